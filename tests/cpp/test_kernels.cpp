// test_kernels.cpp: every kernel of every variant on memory of exactly the promised size (the address sanitizer
// watches its ends), against the baseline. tests/kernels/ checks the values against numpy.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "check.h"
#include "data.h"
#include "kernels/table.h"

using namespace latom;

namespace {

/// An array without spare room, unaligned for vector loads.
template <class T>
struct Exact {
    explicit Exact(int64_t size) : memory(new T[static_cast<std::size_t>(size)]), size_(size) {}
    T& operator[](int64_t i) { return memory[static_cast<std::size_t>(i)]; }
    T* data() { return memory.get(); }
    std::vector<T> copy() const { return {memory.get(), memory.get() + size_}; }

    std::unique_ptr<T[]> memory;
    int64_t size_;
};

template <class T>
Exact<T> random_exact(test::Random& random, int64_t size, double low, double high) {
    Exact<T> out(size);
    for (int64_t i = 0; i < size; ++i) out[i] = static_cast<T>(low + random.uniform() * (high - low));
    return out;
}

}  // namespace

TEST(dispatch_knows_every_variant_by_name) {
    const auto names = available_isas();
    CHECK_EQUAL(names.front(), "baseline");
    for (const auto& name : names) CHECK_EQUAL(kernel_table(name)->isa, name);
    CHECK_EQUAL(kernel_table("")->isa, names.back());
    CHECK_THROWS(kernel_table("sse9"), std::invalid_argument, "baseline");
    CHECK_THROWS(kernel_table("sse9"), std::invalid_argument, "got 'sse9'");
}

TEST(dot_kernels_stay_within_their_arrays_and_agree) {
    const KernelTable* plain = kernel_table("baseline");
    for (const auto& isa : available_isas())
        for (int64_t d = 0; d < 70; ++d) NOTE(isa << ", length " << d) {
                const KernelTable* k = kernel_table(isa);
                test::Random random(static_cast<std::uint64_t>(d));
                auto x = random_exact<float>(random, d, -1, 1), y = random_exact<float>(random, d, -1, 1);
                auto u = random_exact<double>(random, d, -1, 1), v = random_exact<double>(random, d, -1, 1);
                auto c32 = random_exact<std::int32_t>(random, d, 0, static_cast<double>(d));
                auto c64 = random_exact<std::int64_t>(random, d, 0, static_cast<double>(d));
                CHECK_EQUAL(k->f32.dense_dot(x.data(), y.data(), d), plain->f32.dense_dot(x.data(), y.data(), d));
                CHECK_EQUAL(k->f64.dense_dot(u.data(), v.data(), d), plain->f64.dense_dot(u.data(), v.data(), d));
                CHECK_EQUAL(k->f32_i32.sparse_dot(x.data(), c32.data(), d, y.data()),
                            plain->f32_i32.sparse_dot(x.data(), c32.data(), d, y.data()));
                CHECK_EQUAL(k->f32_i64.sparse_dot(x.data(), c64.data(), d, y.data()),
                            plain->f32_i64.sparse_dot(x.data(), c64.data(), d, y.data()));
                CHECK_EQUAL(k->f64_i32.sparse_dot(u.data(), c32.data(), d, v.data()),
                            plain->f64_i32.sparse_dot(u.data(), c32.data(), d, v.data()));
                CHECK_EQUAL(k->f64_i64.sparse_dot(u.data(), c64.data(), d, v.data()),
                            plain->f64_i64.sparse_dot(u.data(), c64.data(), d, v.data()));
            }
}

template <class T, class I>
void gather_case(void (*add)(const I*, const T*, int64_t, int64_t, const T*, int64_t, int64_t, T*),
                 void (*plain)(const I*, const T*, int64_t, int64_t, const T*, int64_t, int64_t, T*), int64_t width) {
    test::Random random(static_cast<std::uint64_t>(width));
    const int64_t rows = 9, stride = width + 3, count = 21;  // the last row ends where its columns do
    auto W = random_exact<T>(random, (rows - 1) * stride + width, -1, 1);
    auto index = random_exact<I>(random, count + 30, 0, static_cast<double>(rows));
    index[count - 1] = index[count + 29] = static_cast<I>(rows - 1);
    auto value = random_exact<T>(random, count, -1, 1);
    Exact<T> out = random_exact<T>(random, width, -1, 1), expected(width);
    for (int64_t c = 0; c < width; ++c) expected[c] = out[c];
    add(index.data(), value.data(), count, count + 30, W.data(), stride, width, out.data());
    plain(index.data(), value.data(), count, count + 30, W.data(), stride, width, expected.data());
    CHECK(out.copy() == expected.copy());
}

TEST(gather_kernels_stay_within_their_arrays_and_agree) {
    const KernelTable* plain = kernel_table("baseline");
    for (const auto& isa : available_isas())
        for (const int64_t width : {1, 7, 8, 9, 15, 16, 17, 40, 64, 127, 128, 129, 145})
            NOTE(isa << ", width " << width) {
                const KernelTable* k = kernel_table(isa);
                gather_case(k->f32_i32.gather_add, plain->f32_i32.gather_add, width);
                gather_case(k->f32_i64.gather_add, plain->f32_i64.gather_add, width);
                gather_case(k->f64_i32.gather_add, plain->f64_i32.gather_add, width);
                gather_case(k->f64_i64.gather_add, plain->f64_i64.gather_add, width);
            }
}

TEST(screen_kernels_stay_within_their_arrays_and_agree) {
    const KernelTable* plain = kernel_table("baseline");
    for (const auto& isa : available_isas())
        for (const int64_t width : {64, 128, 192, 256, 320, 448, 512, 1024})
            for (const int64_t count : {0, 4, 20}) NOTE(isa << ", width " << width << ", count " << count) {
                    const KernelTable* k = kernel_table(isa);
                    test::Random random(static_cast<std::uint64_t>(width + count));
                    const int64_t lines = 9, stride = width + 64;  // the last line ends where its width does
                    auto slab = random_exact<std::int8_t>(random, (lines - 1) * stride + width, -127, 128);
                    auto line = random_exact<std::int32_t>(random, count, 0, lines);
                    auto p = random_exact<std::uint8_t>(random, count, 0, 128);
                    if (count > 0) line[count - 1] = lines - 1;
                    auto acc = random_exact<std::int32_t>(random, width, -1000, 1000);
                    auto other = random_exact<std::int32_t>(random, width, 0, 1);
                    for (int64_t j = 0; j < width; ++j) other[j] = acc[j];
                    k->accumulate(acc.data(), slab.data(), stride, line.data(), p.data(), count, width);
                    plain->accumulate(other.data(), slab.data(), stride, line.data(), p.data(), count, width);
                    CHECK(acc.copy() == other.copy());
                    Exact<std::int32_t> eight(8), also(8);
                    for (int64_t j = 0; j < 8; ++j) eight[j] = also[j] = acc[j];
                    k->accumulate_group(eight.data(), slab.data(), line.data(), 1, p.data(), count);
                    plain->accumulate_group(also.data(), slab.data(), line.data(), 1, p.data(), count);
                    CHECK(eight.copy() == also.copy());

                    for (const int64_t used : {width, width - 1, width - 63}) {
                        Exact<std::int32_t> head(used);
                        for (int64_t j = 0; j < used; ++j) head[j] = other[j];
                        auto scale = random_exact<float>(random, used, 0, 1),
                             bias = random_exact<float>(random, used, -1, 0);
                        for (const bool scaled : {false, true}) {
                            Exact<float> block((used + 63) / 64), expected((used + 63) / 64);
                            const float *s = scaled ? scale.data() : nullptr, *b = scaled ? bias.data() : nullptr;
                            const float best =
                                k->block_max(head.data(), used, 1e-5f, 0.1f, 0.0f, s, b, 0.5f, block.data());
                            CHECK_EQUAL(best, plain->block_max(head.data(), used, 1e-5f, 0.1f, 0.0f, s, b, 0.5f,
                                                               expected.data()));
                            CHECK(block.copy() == expected.copy());
                        }
                    }
                }
}

TEST(few_dots_stay_within_their_arrays_and_within_their_bound) {
    for (const auto& isa : available_isas())
        for (const int64_t d : {1, 3, 4, 5, 8, 15, 16, 17, 31, 33, 48, 63, 100})
            for (const int64_t count : {1, 2, 3, 4, 5, 9})
                for (const int64_t m : {4, 8, 12}) NOTE(isa << ", " << count << " rows of " << d << ", " << m) {
                        test::Random random(static_cast<std::uint64_t>(d * 100 + count * 10 + m));
                        const int64_t stride = (d + 15) / 16 * 16;
                        std::vector<Exact<float>> rows;
                        std::vector<const float*> x;
                        for (int64_t i = 0; i < count; ++i)
                            x.push_back(rows.emplace_back(random_exact<float>(random, d, -1, 1)).data());
                        Exact<float> atoms = random_exact<float>(random, m * stride, -1, 1), out(count * m);
                        for (int64_t j = 0; j < m; ++j)
                            for (int64_t t = d; t < stride; ++t) atoms[j * stride + t] = 0;
                        kernel_table(isa)->few_dots(x.data(), count, d, atoms.data(), m, stride, out.data());
                        for (int64_t i = 0; i < count; ++i)
                            for (int64_t j = 0; j < m; ++j) {
                                double sum = 0, size = 0;
                                for (int64_t t = 0; t < d; ++t) {
                                    const double term = static_cast<double>(x[static_cast<std::size_t>(i)][t]) *
                                                        static_cast<double>(atoms[j * stride + t]);
                                    sum += term;
                                    size += std::abs(term);
                                }
                                const double error = static_cast<double>(out[i * m + j]) - sum;
                                CHECK(std::abs(error) <= static_cast<double>(d + 1) * 0x1p-24 * size);
                            }
                    }
}

TEST(sparse_two_stays_within_its_arrays_and_within_its_bound) {
    constexpr int64_t d = 40;
    for (const auto& isa : available_isas())
        for (int64_t nnz = 0; nnz < 12; ++nnz)
            for (const int64_t stride : {16, 32, 48, 64, 80, 128, 144, 272})
                NOTE(isa << ", " << nnz << ", " << stride) {
                    test::Random random(static_cast<std::uint64_t>(nnz * 1000 + stride));
                    auto x = random_exact<float>(random, nnz, -1, 1);
                    auto Y = random_exact<float>(random, d * stride, -1, 1);
                    auto factor = random_exact<float>(random, stride, 0.5, 1);
                    auto bias = random_exact<float>(random, stride, -1, 0);
                    auto column = random_exact<std::int32_t>(random, nnz, 0, d);
                    bias[stride - 1] = -INFINITY;                                                         // none
                    if (stride > 16) bias[stride - 3] = bias[5] = 9, factor[stride - 3] = factor[5] = 0;  // a tie
                    int32_t label = -1;
                    float best = 0, second = 0;
                    kernel_table(isa)->f32_i32.sparse_two(x.data(), column.data(), nnz, Y.data(), stride, factor.data(),
                                                          bias.data(), &label, &best, &second);
                    std::vector<double> score;
                    for (int64_t j = 0; j < stride; ++j) {
                        double sum = 0;
                        for (int64_t p = 0; p < nnz; ++p) sum += double{x[p]} * double{Y[column[p] * stride + j]};
                        score.push_back(sum * double{factor[j]} + double{bias[j]});
                    }
                    CHECK(std::abs(score[static_cast<std::size_t>(label)] - double{best}) < 1e-5);
                    CHECK(stride == 16 || label == 5);
                    std::sort(score.begin(), score.end());
                    CHECK(std::abs(score[score.size() - 1] - double{best}) < 1e-5);
                    CHECK(std::abs(score[score.size() - 2] - double{second}) < 1e-5);
                }
}

TEST(quantize_row_stays_within_its_arrays_and_agrees) {
    const KernelTable* plain = kernel_table("baseline");
    for (const auto& isa : available_isas())
        for (const int64_t count : {0, 16, 32, 48, 160})
            for (const bool round_up : {false, true})
                for (const int drop : {0, 3, 127}) NOTE(isa << ", count " << count << ", drop " << drop) {
                        test::Random random(static_cast<std::uint64_t>(count));
                        auto a = random_exact<float>(random, count, round_up ? 0 : -1, 1);
                        Exact<std::int8_t> p(count), expected(count);
                        const RowError e = kernel_table(isa)->quantize_row(a.data(), count, round_up, drop, p.data());
                        const RowError f = plain->quantize_row(a.data(), count, round_up, drop, expected.data());
                        CHECK(p.copy() == expected.copy());
                        CHECK(e.step == f.step && e.abs_sum == f.abs_sum && e.rest == f.rest && e.dropped == f.dropped);
                    }
}

TEST(product_select_kernels_stay_within_their_arrays_and_agree) {
    const KernelTable* plain = kernel_table("baseline");
    for (const auto& isa : available_isas())
        for (const int64_t d : {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 255, 256, 257}) NOTE(isa << ", length " << d) {
                const KernelTable* k = kernel_table(isa);
                test::Random random(static_cast<std::uint64_t>(d));
                auto x = random_exact<float>(random, d, -1, 1);
                auto u = random_exact<double>(random, d, -1, 1);
                Exact<float> wide(d), wide_plain(d);
                Exact<std::uint16_t> half(d), half_plain(d);
                Exact<std::int16_t> fixed(d), fixed_plain(d);
                double length2;
                CHECK_EQUAL(k->f32.round_i16(x.data(), d, 0.5, fixed.data(), &length2),
                            plain->f32.round_i16(x.data(), d, 0.5, fixed_plain.data(), &length2));
                CHECK(fixed.copy() == fixed_plain.copy());
                CHECK_EQUAL(k->f64.round_i16(u.data(), d, 2, fixed.data(), &length2),
                            plain->f64.round_i16(u.data(), d, 2, fixed_plain.data(), &length2));
                CHECK(fixed.copy() == fixed_plain.copy());
                CHECK_EQUAL(k->f32.round_f32(x.data(), d, 0.5, wide.data(), &length2),
                            plain->f32.round_f32(x.data(), d, 0.5, wide_plain.data(), &length2));
                CHECK(wide.copy() == wide_plain.copy());
                CHECK_EQUAL(k->f64.round_f32(u.data(), d, 2, wide.data(), &length2),
                            plain->f64.round_f32(u.data(), d, 2, wide_plain.data(), &length2));
                CHECK(wide.copy() == wide_plain.copy());
                CHECK_EQUAL(k->f64.round_bf16(u.data(), d, 2, half.data(), &length2),
                            plain->f64.round_bf16(u.data(), d, 2, half_plain.data(), &length2));
                CHECK(half.copy() == half_plain.copy());
                CHECK_EQUAL(k->f32.round_bf16(x.data(), d, 2, half.data(), &length2),
                            plain->f32.round_bf16(x.data(), d, 2, half_plain.data(), &length2));
                CHECK(half.copy() == half_plain.copy());
                k->widen_bf16(half.data(), d, wide.data());
                plain->widen_bf16(half.data(), d, wide_plain.data());
                CHECK(wide.copy() == wide_plain.copy());
                k->widen_f16(half.data(), d, wide.data());
                plain->widen_f16(half.data(), d, wide_plain.data());
                CHECK(wide.copy() == wide_plain.copy());

                Exact<std::int8_t> byte(d), byte_plain(d);
                CHECK_EQUAL(k->f32.round_i8(x.data(), d, 100, byte.data(), &length2),
                            plain->f32.round_i8(x.data(), d, 100, byte_plain.data(), &length2));
                CHECK(byte.copy() == byte_plain.copy());
                CHECK_EQUAL(k->f64.round_i8(u.data(), d, 150, byte.data(), &length2),
                            plain->f64.round_i8(u.data(), d, 150, byte_plain.data(), &length2));
                CHECK(byte.copy() == byte_plain.copy());
                CHECK_EQUAL(k->f32.largest_magnitude(x.data(), d), plain->f32.largest_magnitude(x.data(), d));
                CHECK_EQUAL(k->f64.largest_magnitude(u.data(), d), plain->f64.largest_magnitude(u.data(), d));

                const float* rows[5] = {x.data(), wide.data(), x.data(), x.data(), wide.data()};
                Exact<double> dots(5), dots_plain(5);
                k->f32.dense_dots(rows, rows, 5, d, dots.data());
                plain->f32.dense_dots(rows, rows, 5, d, dots_plain.data());
                CHECK(dots.copy() == dots_plain.copy());

                // The screen: a tile and a panel of whole numbers, so that every variant sums exactly.
                const int64_t tile_rows = k->tile_rows, atoms = k->panel_atoms;
                auto tile = random_exact<std::int32_t>(random, d * tile_rows, -3, 4);
                auto panel = random_exact<std::int32_t>(random, d * atoms, -3, 4);
                Exact<float> tile_f(d * tile_rows), panel_f(d * atoms), score(tile_rows * atoms);
                for (int64_t p = 0; p < d * tile_rows; ++p) tile_f[p] = static_cast<float>(tile[p]);
                for (int64_t p = 0; p < d * atoms; ++p) panel_f[p] = static_cast<float>(panel[p]);
                Exact<float> factor(atoms), bias(atoms), limit(tile_rows), row_bias(tile_rows);
                Exact<std::uint32_t> hit(tile_rows);
                for (int64_t c = 0; c < atoms; ++c) factor[c] = 0.5f, bias[c] = static_cast<float>(c);
                for (int64_t r = 0; r < tile_rows; ++r) limit[r] = 0, row_bias[r] = 1;
                k->screen_f32(tile_f.data(), panel_f.data(), d, {factor.data(), bias.data(), panel_f.data()},
                              {limit.data(), row_bias.data(), false}, score.data(), hit.data());
                for (int64_t r = 0; r < tile_rows; ++r)
                    for (int64_t c = 0; c < atoms; ++c) {
                        std::int32_t sum = 0;
                        for (int64_t t = 0; t < d; ++t) sum += tile[t * tile_rows + r] * panel[t * atoms + c];
                        CHECK_EQUAL(score[r * atoms + c], 0.5f * static_cast<float>(sum) + static_cast<float>(c));
                        CHECK_EQUAL(hit[r] >> c & 1u, score[r * atoms + c] >= 0 ? 1u : 0u);
                    }
                if (k->screen_i16) {  // the low half of a cell alone
                    Exact<std::uint32_t> tile_i(d * tile_rows), panel_i(d * atoms);
                    for (int64_t p = 0; p < d * tile_rows; ++p) tile_i[p] = static_cast<std::uint16_t>(tile[p]);
                    for (int64_t p = 0; p < d * atoms; ++p) panel_i[p] = static_cast<std::uint16_t>(panel[p]);
                    const auto expected = score.copy();
                    for (int64_t c = 0; c < atoms; ++c) factor[c] = 0x1p29f;
                    k->screen_i16(tile_i.data(), panel_i.data(), d, {factor.data(), bias.data(), panel_i.data()},
                                  {limit.data(), row_bias.data(), false}, score.data(), hit.data());
                    CHECK(score.copy() == expected);
                }
                if (k->screen_i8) {  // one byte of a cell alone; rows are offset by 3 here, and each panel starts with
                                     // what that adds
                    Exact<std::uint32_t> tile_b(d * tile_rows), panel_b((d + 1) * atoms);
                    for (int64_t p = 0; p < d * tile_rows; ++p) tile_b[p] = static_cast<std::uint8_t>(tile[p] + 3);
                    for (int64_t c = 0; c < atoms; ++c) {
                        std::int32_t sum = 0;
                        for (int64_t t = 0; t < d; ++t) sum += panel[t * atoms + c];
                        panel_b[c] = static_cast<std::uint32_t>(-3 * sum);
                    }
                    for (int64_t p = 0; p < d * atoms; ++p) panel_b[atoms + p] = static_cast<std::uint8_t>(panel[p]);
                    const auto expected = score.copy();
                    for (int64_t c = 0; c < atoms; ++c) factor[c] = 0.5f;
                    k->screen_i8(tile_b.data(), panel_b.data(), d, {factor.data(), bias.data(), panel_b.data()},
                                 {limit.data(), row_bias.data(), false}, score.data(), hit.data());
                    CHECK(score.copy() == expected);
                }

                // Candidates of a tile: what the screen let pass and its own bound keeps, as one row after the other
                // gives them.
                const int64_t capacity = 2 * atoms;
                Exact<float> of_row(tile_rows), of_atom(atoms), tau(tile_rows), low(tile_rows * capacity),
                    high(tile_rows * capacity);
                Exact<std::int32_t> place(tile_rows * capacity), filled(tile_rows), full(tile_rows);
                for (int64_t r = 0; r < tile_rows; ++r)
                    of_row[r] = 0.25f, tau[r] = 1, filled[r] = static_cast<std::int32_t>(r), full[r] = 20;
                for (int64_t c = 0; c < atoms; ++c) of_atom[c] = static_cast<float>(c % 3);
                const std::uint32_t valid = 0x6fffffffu, some = (1u << tile_rows) - 2;
                const std::uint32_t now_full = k->collect(
                    some, hit.data(), valid, score.data(), {of_atom.data(), of_atom.data(), of_atom.data()}, 7,
                    {of_row.data(), of_row.data(), of_row.data(), tau.data(), full.data(), filled.data(), low.data(),
                     high.data(), place.data(), capacity});
                for (int64_t r = 0; r < tile_rows; ++r) {
                    int64_t at = r;
                    for (int64_t c = 0; r > 0 && c < atoms; ++c) {
                        const float s = score[r * atoms + c],
                                    e = 0.75f * of_atom[c] * (1 + 1e-5f) + std::fabs(s) * 2.5e-7f + 1e-30f;
                        if (!(hit[r] & valid & 1u << c) || !(s + e >= 1)) continue;
                        CHECK(std::fabs(low[r * capacity + at] - (s - e)) <= 1e-6f * (1 + std::fabs(s)));
                        CHECK(std::fabs(high[r * capacity + at] - (s + e)) <= 1e-6f * (1 + std::fabs(s)));
                        CHECK_EQUAL(place[r * capacity + at++], 7 + static_cast<std::int32_t>(c));
                    }
                    CHECK_EQUAL(filled[r], static_cast<std::int32_t>(at));
                    CHECK_EQUAL(now_full >> r & 1u, r > 0 && at >= 20 ? 1u : 0u);
                }

                // Products of bfloat16: rows of whole lines, any number of them.
                const int64_t line_cells = (d + 15) / 16 * 16;
                Exact<std::uint32_t> one(line_cells), many(6 * line_cells);
                for (auto* v : {&one, &many})
                    for (int64_t p = 0; p < (v == &one ? 1 : 6) * line_cells; ++p) {
                        const float pair[2] = {static_cast<float>(p % 7 - 3), static_cast<float>(p % 5 - 2) * 0.5f};
                        std::uint32_t bits[2];
                        std::memcpy(bits, pair, sizeof bits);
                        (*v)[p] = bits[0] >> 16 | (bits[1] & 0xffff0000u);
                    }
                for (const int64_t count : {0, 1, 3, 4, 5, 6}) {
                    Exact<std::int32_t> which(count);
                    Exact<float> products(count);
                    for (int64_t p = 0; p < count; ++p) which[p] = static_cast<std::int32_t>(5 - p);
                    k->dots_at_bf16(which.data(), count, one.data(), many.data(), line_cells, products.data());
                    for (int64_t p = 0; p < count; ++p) {
                        float sum = 0;  // of small halves: exact in any order
                        for (int64_t c = 0; c < line_cells; ++c) {
                            const int64_t q = (5 - p) * line_cells + c;
                            sum += static_cast<float>((c % 7 - 3) * (q % 7 - 3)) +
                                   static_cast<float>((c % 5 - 2) * (q % 5 - 2)) * 0.25f;
                        }
                        CHECK_EQUAL(products[p], sum);
                    }
                }
                const int64_t stride = (d + 3) / 4 * 4;
                auto cells = random_exact<std::uint32_t>(random, atoms * stride, 0, 4e9);
                Exact<std::uint32_t> stream(atoms * d);
                k->interleave(cells.data(), atoms, stride, d, stream.data());
                for (int64_t p = 0; p < atoms * d; ++p) CHECK_EQUAL(stream[p], cells[p % atoms * stride + p / atoms]);

                // Thresholds read, and candidates are moved, within whole sixteens.
                const int64_t room = (d + 15) / 16 * 16;
                auto lower = random_exact<float>(random, room, -1, 1), upper = random_exact<float>(random, room, -1, 1);
                auto position = random_exact<std::int32_t>(random, room, 0, 1e6);
                CHECK_EQUAL(k->raise_bar(lower.data(), d, 1 + d / 3, -1, 6),
                            plain->raise_bar(lower.data(), d, 1 + d / 3, -1, 6));
                std::vector<std::int32_t> expected;
                for (int64_t p = 0; p < d; ++p)
                    if (upper[p] >= 0) expected.push_back(position[p]);
                const int64_t kept = k->drop_below(0, d, lower.data(), upper.data(), position.data());
                CHECK(std::vector<std::int32_t>(position.data(), position.data() + kept) == expected);
            }
}
