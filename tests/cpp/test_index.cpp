// test_index.cpp: QuantizedIndex against a plain statement of its header.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "check.h"
#include "data.h"
#include "engines/sparse_select/quantized_index.h"
#include "kernels/table.h"

using namespace latom;

namespace {

template <class T>
std::vector<Atom<T>> random_atoms(std::uint64_t seed, int64_t m, int64_t d, int64_t length, bool is_signed) {
    const auto X = test::random_sparse<T>(seed, m, d, length, is_signed);
    std::vector<Atom<T>> atoms(static_cast<std::size_t>(m));
    for (int64_t j = 0; j < m; ++j) {
        if (j % 41 == 40) continue;  // an atom of norm 0
        atoms[j].column.assign(X.column32.begin() + X.indptr[j], X.column32.begin() + X.indptr[j + 1]);
        atoms[j].value.assign(X.value.begin() + X.indptr[j], X.value.begin() + X.indptr[j + 1]);
        for (const T v : atoms[j].value) atoms[j].norm2 += static_cast<double>(v) * static_cast<double>(v);
    }
    return atoms;
}

std::vector<int32_t> shuffled(int64_t m, std::uint64_t seed) {
    std::vector<int32_t> order(static_cast<std::size_t>(m));
    std::iota(order.begin(), order.end(), 0);
    test::Random random(seed);
    for (int64_t r = m; r > 1; --r) std::swap(order[r - 1], order[random.below(r)]);
    return order;
}

/// Column t as float64 unit values by position, from the definition.
template <class T>
std::vector<std::vector<double>> unit_columns(const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order,
                                              int64_t d) {
    std::vector<std::vector<double>> columns(static_cast<std::size_t>(d), std::vector<double>(order.size(), 0.0));
    for (std::size_t j = 0; j < order.size(); ++j) {
        const auto& atom = atoms[order[j]];
        for (std::size_t p = 0; p < atom.column.size(); ++p)
            columns[atom.column[p]][j] = static_cast<double>(atom.value[p]) / std::sqrt(atom.norm2);
    }
    return columns;
}

/// Head term `line` of each group, read from the maxima by the layout in kernels/accumulate.inl.h.
std::vector<int> maxima(const QuantizedIndex& index, int64_t line) {
    std::vector<int> q(static_cast<std::size_t>(index.groups));
    for (int64_t g = 0; g < index.groups; ++g) {
        const int64_t tile = g / index.tile * index.tile, within = g - tile, atom = within % 64;
        const int64_t k = atom / 16, l = atom % 16 / 4, e = atom % 4;
        q[g] = index.tile_data(tile)[line * index.stride(tile) + within / 64 * 64 + 16 * l + 4 * k + e];
    }
    return q;
}

/// The same, read by the kernel: one line with weight 1.
std::vector<int> kernel_maxima(const KernelTable* kernels, const QuantizedIndex& index, int64_t line) {
    std::vector<int> q;
    for (int64_t from = 0; from < index.groups; from += index.tile) {
        const int64_t width = index.stride(from);
        const std::int32_t lines[4] = {0, 0, static_cast<std::int32_t>(line), 0};
        const std::uint8_t weights[4] = {0, 0, 1, 0};
        std::vector<std::int32_t> acc(static_cast<std::size_t>(width), 0);
        kernels->accumulate(acc.data(), index.tile_data(from), width, lines, weights, 4, width);
        for (int64_t g = 0; g < width; ++g) {
            if (from + g < index.groups) q.push_back(acc[g]);
            else CHECK_EQUAL(acc[g], 0);  // after the last group
        }
    }
    return q;
}

/// q of head term `line` at every position; the maxima are held to it.
std::vector<int> head_values(const QuantizedIndex& index, int32_t line, int64_t m) {
    const std::vector<int> largest = maxima(index, line * index.signs);
    const std::vector<int> opposite = index.signs == 2 ? maxima(index, line * 2 + 1) : std::vector<int>{};
    for (const auto& isa : available_isas())
        CHECK(kernel_maxima(kernel_table(isa), index, line * index.signs) == largest);
    if (index.group == 1) {
        for (std::size_t j = 0; j < opposite.size(); ++j) CHECK_EQUAL(opposite[j], -largest[j]);
        return largest;
    }
    std::vector<int> q(static_cast<std::size_t>(m));
    for (int64_t j = 0; j < m; ++j) q[j] = index.group_data(j / 8)[line * 8 + j % 8];
    for (int64_t g = 0; g < index.groups; ++g) {
        int top = 0, bottom = 0;
        for (int64_t j = 8 * g; j < std::min(m, 8 * g + 8); ++j) {
            top = std::max(top, q[j]);
            bottom = std::max(bottom, -q[j]);
        }
        CHECK_EQUAL(largest[g], top);
        if (index.signs == 2) CHECK_EQUAL(opposite[g], bottom);
    }
    return q;
}

template <class T>
void check_index(const QuantizedIndex& index, const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order,
                 int64_t d, bool non_negative_rows) {
    const auto m = static_cast<int64_t>(order.size());
    const auto columns = unit_columns(atoms, order, d);
    bool negative = false;
    for (const auto& atom : atoms)
        negative |= std::any_of(atom.value.begin(), atom.value.end(), [](T v) { return v < 0; });
    CHECK_EQUAL(index.round_up, !negative && non_negative_rows);
    CHECK_EQUAL(static_cast<int64_t>(index.terms.size()), d);
    CHECK(index.tile >= QuantizedIndex::kMinTile && index.tile <= QuantizedIndex::kMaxTile && index.tile % 64 == 0);

    std::vector<int> lines(static_cast<std::size_t>(index.heads), 0);
    for (int64_t t = 0; t < d; ++t) NOTE("term " << t) {
            const auto [sigma, line] = index.terms[t];
            int64_t holders = 0;
            double largest = 0;
            for (const double c : columns[t]) {
                holders += c != 0;
                largest = std::max(largest, std::abs(c));
            }
            CHECK_EQUAL(line >= 0, holders > 0 && holders * QuantizedIndex::head_share(index.group) >= m);
            if (holders == 0) {
                CHECK_EQUAL(sigma, 0.0f);
            } else {
                CHECK(std::abs(sigma - largest / 127) <= 1e-6 * sigma);
            }

            std::vector<int> q(static_cast<std::size_t>(m), 0);
            if (line >= 0) {
                ++lines[line];
                q = head_values(index, line, m);
            } else {
                const auto list = index.tails[~line];
                CHECK_EQUAL(list.count, holders);
                for (int64_t at = list.begin; at < list.begin + list.count; ++at) {
                    CHECK(at == list.begin || index.tail_position[at - 1] < index.tail_position[at]);
                    q[index.tail_position[at]] = index.tail_value[at];
                    CHECK(columns[t][index.tail_position[at]] != 0);
                }
            }
            for (int64_t j = 0; j < m; ++j) {
                const double c = columns[t][j], off = static_cast<double>(sigma) * q[j] - c, unit = sigma * (1 + 1e-5);
                CHECK(q[j] >= -127 && q[j] <= 127);
                if (c == 0) CHECK_EQUAL(q[j], 0);
                else if (index.round_up) CHECK(off >= -1e-6 * unit * 127 && off <= unit);
                else CHECK(std::abs(off) <= 0.5 * unit + 1e-6 * unit * 127);
            }
        }
    CHECK(std::all_of(lines.begin(), lines.end(), [](int times) { return times == 1; }));
}

bool same(const QuantizedIndex& a, const QuantizedIndex& b) {
    const auto terms = [](const QuantizedIndex::Term& x, const QuantizedIndex::Term& y) {
        return x.sigma == y.sigma && x.line == y.line;
    };
    const auto lists = [](const QuantizedIndex::List& x, const QuantizedIndex::List& y) {
        return x.begin == y.begin && x.count == y.count;
    };
    return a.tile == b.tile && a.heads == b.heads && a.round_up == b.round_up && a.group == b.group &&
           std::equal(a.terms.begin(), a.terms.end(), b.terms.begin(), b.terms.end(), terms) && a.maxima == b.maxima &&
           a.values == b.values && std::equal(a.tails.begin(), a.tails.end(), b.tails.begin(), b.tails.end(), lists) &&
           a.tail_position == b.tail_position && a.tail_value == b.tail_value;
}

template <class T>
void check_indexes() {
    QuantizedIndex reused;  // built again and again: nothing of the last build may remain
    for (const auto& [m, d, length] : {std::array<int64_t, 3>{1, 5, 2},
                                       {63, 40, 5},
                                       {64, 40, 5},
                                       {65, 300, 8},
                                       {300, 500, 12},
                                       {600, 90, 4},
                                       {40, 700, 20}})
        for (const bool is_signed : {false, true})
            for (const bool non_negative_rows : {false, true})
                for (const int64_t group : {1, 8}) NOTE("m " << m << ", d " << d << (is_signed ? ", signed" : "")) {
                        const auto atoms = random_atoms<T>(static_cast<std::uint64_t>(m), m, d, length, is_signed);
                        const auto order = shuffled(m, 3);
                        QuantizedIndex first;
                        first.build(test::context("", 1), atoms, order, d, non_negative_rows, group);
                        check_index(first, atoms, order, d, non_negative_rows);
                        for (const auto& isa : available_isas())
                            for (const int threads : {1, 2, 5}) {
                                reused.build(test::context(isa, threads), atoms, order, d, non_negative_rows, group);
                                CHECK(same(first, reused));
                            }
                    }
}

}  // namespace

TEST(index_of_float32_atoms_is_what_its_header_says) { check_indexes<float>(); }

TEST(index_of_float64_atoms_is_what_its_header_says) { check_indexes<double>(); }

TEST(index_is_cut_into_tiles) {
    const int64_t m = 700, d = 2400;
    const auto atoms = random_atoms<float>(5, m, d, 200, true);
    const auto order = shuffled(m, 4);
    QuantizedIndex index;
    index.build(test::context("", 2), atoms, order, d, true, 1);
    CHECK(index.heads > 2048);
    CHECK_EQUAL(index.tile, QuantizedIndex::kMinTile);  // 512 + 188 positions
    CHECK_EQUAL(index.stride(512), 192);
    for (int64_t t = 0; t < d; t += 97)
        if (const int32_t line = index.terms[t].line; line >= 0)
            for (const auto& isa : available_isas())
                CHECK(kernel_maxima(kernel_table(isa), index, 2 * line + 1) == maxima(index, 2 * line + 1));
}

TEST(index_survives_values_that_float32_cannot_scale) {
    std::vector<Atom<double>> atoms(3);
    atoms[0] = {{0, 1}, {1.0, 1e-300}, 1.0};
    atoms[1] = {{1, 2}, {1e-40, 1.0}, 1.0};
    atoms[2] = {{0, 2}, {1e-320, -1.0}, 1.0};
    QuantizedIndex index;
    index.build(test::context("", 1), atoms, {0, 1, 2}, 4, true, 1);
    CHECK(!index.round_up);
    for (const auto& term : index.terms) CHECK(std::isfinite(term.sigma) && (term.sigma == 0 || term.sigma >= 1e-30f));
    CHECK_EQUAL(index.terms[3].sigma, 0.0f);
}
