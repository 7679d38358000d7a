// test_topk.cpp: top-k and the engine below it, for the sanitizers: memory of exactly the promised size, threads that
// share an index, an interrupt in the middle. tests/encode/ checks values at large.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "data.h"
#include "engines/product_select/row_block.h"
#include "kernels/table.h"
#include "latom/encode.h"

using namespace latom;

namespace {

template <class T>
std::vector<T> matrix(std::uint64_t seed, int64_t n, int64_t d) {
    test::Random random(seed);
    std::vector<T> v(static_cast<std::size_t>(n * d));
    for (T& x : v) x = static_cast<T>(random.symmetric());
    return v;
}

template <class T>
std::vector<const T*> rows_of(const std::vector<T>& W, int64_t d) {
    std::vector<const T*> rows;
    for (std::size_t at = 0; at < W.size(); at += static_cast<std::size_t>(d)) rows.push_back(&W[at]);
    return rows;
}

/// The definition: all scores, summed as kernels/dot.inl.h does, in a stable order.
template <class T>
std::vector<int32_t> plain(const std::vector<T>& X, const std::vector<T>& W, const double* bias, int64_t d, int64_t k,
                           Rank rank, std::vector<T>& scores) {
    const auto n = static_cast<int64_t>(X.size()) / d, m = static_cast<int64_t>(W.size()) / d;
    std::vector<int32_t> best;
    scores.clear();
    for (int64_t i = 0; i < n; ++i) {
        std::vector<double> score(static_cast<std::size_t>(m));
        for (int64_t j = 0; j < m; ++j) {
            double s[8] = {};
            for (int64_t t = 0; t < d; ++t)
                s[t % 8] += static_cast<double>(X[i * d + t]) * static_cast<double>(W[j * d + t]);
            score[j] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])) + (bias ? bias[j] : 0.0);
        }
        const auto key = [&](int32_t j) { return rank == Rank::kMagnitude ? std::abs(score[j]) : score[j]; };
        std::vector<int32_t> order(static_cast<std::size_t>(m));
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return key(a) > key(b); });
        for (int64_t r = 0; r < k; ++r) {
            const bool none = rank == Rank::kAbove && !(score[order[r]] > 0);
            best.push_back(none ? 0 : order[r]);
            scores.push_back(none ? T{0} : static_cast<T>(score[order[r]]));
        }
    }
    return best;
}

template <class T>
TopKStats check_topk(const std::string& isa, int threads, const std::vector<T>& X, const std::vector<T>& W,
                     const double* bias, int64_t d, int64_t k, Rank rank, const std::string& screen, bool pack) {
    const auto n = static_cast<int64_t>(X.size()) / d, m = static_cast<int64_t>(W.size()) / d;
    const Context ctx = test::context(isa, threads);
    const auto index = make_atom_index<T>(ctx, {W.data(), m, d, d}, bias, Similarity::kDot, screen);
    if (pack) index->pack(ctx);
    std::vector<T> score(static_cast<std::size_t>(n * k)), expected;
    std::vector<int32_t> best(score.size());
    const TopKStats stats =
        index->topk(ctx, {X.data(), n, d, Storage::kNative}, k, rank, {}, score.data(), best.data(), nullptr);
    CHECK(best == plain(X, W, bias, d, k, rank, expected));
    CHECK(score == expected);
    return stats;
}

template <class T>
void check_shapes() {
    const Rank ranks[] = {Rank::kScore, Rank::kAbove, Rank::kMagnitude};
    std::uint64_t turn = 0;
    for (const auto& isa : available_isas())
        for (const int64_t d : {1, 2, 15, 33, 257})
            for (const int64_t m : {1, 31, 33, 65, 200})
                for (const int64_t n : {0, 1, 7, 15, 70}) NOTE(isa << ", n " << n << ", m " << m << ", d " << d) {
                        ++turn;
                        const auto X = matrix<T>(turn, n, d), W = matrix<T>(turn + 1000, m, d);
                        const auto bias = matrix<double>(turn + 2000, m, 1);
                        const int64_t ks[] = {1, std::max<int64_t>(1, m / 4), m};
                        check_topk<T>(isa, 1 + turn % 3, X, W, turn % 2 ? bias.data() : nullptr, d, ks[turn % 3],
                                      ranks[turn / 3 % 3], turn % 5 ? "auto" : "float32", turn % 4 == 0);
                    }
}

}  // namespace

TEST(topk_of_float32_is_the_definition) { check_shapes<float>(); }

TEST(topk_of_float64_is_the_definition) { check_shapes<double>(); }

TEST(topk_of_ties_and_zeros) {
    const int64_t d = 20, m = 900;
    for (const auto& isa : available_isas())
        for (const int threads : {1, 3}) NOTE(isa << ", threads " << threads) {
                auto X = matrix<float>(1, 80, d), W = matrix<float>(2, m, d);
                for (int64_t j = 1; j < m; ++j) std::copy_n(W.begin(), d, W.begin() + j * d);
                W[700 * d] += 0.5f;
                std::fill_n(X.begin(), 5 * d, 0.0f);
                CHECK_EQUAL(
                    check_topk<float>(isa, threads, X, W, nullptr, d, 3, Rank::kScore, "auto", false).overflowed, 80);
                check_topk<float>(isa, threads, X, W, nullptr, d, 30, Rank::kAbove, "auto", true);
                check_topk<float>(isa, threads, X, W, nullptr, d, 200, Rank::kMagnitude, "auto", false);
            }
}

TEST(topk_of_lengths_that_float32_cannot_scale) {
    const int64_t d = 16, m = 300;
    for (const auto& isa : available_isas())
        for (const double size : {1e-39, 1e-43, 1e37}) NOTE(isa << ", size " << size) {
                auto X = matrix<float>(3, 60, d), W = matrix<float>(4, m, d);
                check_topk<float>(isa, 2, X, W, nullptr, d, 4, Rank::kScore, "auto", false);
                for (float& w : W) w *= static_cast<float>(size);
                check_topk<float>(isa, 2, X, W, nullptr, d, 4, Rank::kScore, "auto", false);
                for (float& x : X) x *= static_cast<float>(size < 1 ? size : 1.0);
                check_topk<float>(isa, 2, X, W, nullptr, d, 4, Rank::kScore, "auto", false);
            }
}

TEST(topk_of_halves_is_topk_of_floats) {
    const int64_t n = 90, d = 33, m = 300, k = 5;
    for (const auto& isa : available_isas())
        for (const int threads : {1, 3}) {
            const Context ctx = test::context(isa, threads);
            auto X = matrix<float>(5, n, d);
            const auto W = matrix<float>(6, m, d);
            std::vector<std::uint16_t> half(X.size());
            for (std::size_t p = 0; p < X.size(); ++p) {
                std::uint32_t bits;
                std::memcpy(&bits, &X[p], 4);
                half[p] = static_cast<std::uint16_t>(bits >> 16);
                bits &= 0xffff0000u;
                std::memcpy(&X[p], &bits, 4);
            }
            const auto index = make_atom_index<float>(ctx, {W.data(), m, d, d}, nullptr, Similarity::kDot, "auto");
            std::vector<float> score(n * k), expected;
            std::vector<int32_t> best(n * k);
            for (const int64_t rows : {n, int64_t{3}}) {
                index->topk(ctx, {half.data(), rows, d, Storage::kBFloat16}, k, Rank::kScore, {}, score.data(),
                            best.data(), nullptr);
                const std::vector<float> some(X.begin(), X.begin() + rows * d);
                const auto indices = plain<float>(some, W, nullptr, d, k, Rank::kScore, expected);
                CHECK(std::equal(indices.begin(), indices.end(), best.begin()));
                CHECK(std::equal(expected.begin(), expected.end(), score.begin()));
            }
        }
}

TEST(topk_refuses_what_it_cannot_use) {
    const Context ctx = test::context("", 2);
    const std::vector<float> W = matrix<float>(7, 100, 4);
    std::vector<float> X = matrix<float>(8, 50, 4), score(200);
    std::vector<int32_t> best(200);
    const auto index = make_atom_index<float>(ctx, {W.data(), 100, 4, 4}, nullptr, Similarity::kDot, "auto");
    const auto topk = [&](int64_t d, int64_t k) {
        return index->topk(ctx, {X.data(), 50, d, Storage::kNative}, k, Rank::kScore, {}, score.data(), best.data(),
                           nullptr);
    };
    CHECK_THROWS(topk(3, 2), std::invalid_argument, "test: X must have as many columns as atoms, 4; got 3");
    CHECK_THROWS(topk(4, 0), std::invalid_argument, "test: k must lie in [1, 100]; got 0");
    CHECK_THROWS(topk(4, 101), std::invalid_argument, "test: k must lie in [1, 100]; got 101");
    X[30 * 4 + 1] = NAN;
    X[20 * 4 + 2] = HUGE_VALF;
    CHECK_THROWS(topk(4, 2), std::invalid_argument, "in row 20.");
    CHECK_THROWS(make_atom_index<float>(ctx, {W.data(), 100, 0, 0}, nullptr, Similarity::kDot, "auto"),
                 std::invalid_argument, "test: atoms must have at least one column");
}

TEST(panels_are_packed_once_or_not_at_all) {
    const int64_t m = 3000, d = 40;
    const auto W = matrix<float>(9, m, d);
    Context ctx = test::context("", 1);
    std::vector<double> norm2(static_cast<std::size_t>(m)), none;
    for (int64_t j = 0; j < m; ++j) norm2[j] = ctx.kernels->f32.dense_dot(&W[j * d], &W[j * d], d);
    AtomPanels<float> panels(ctx, rows_of(W, d), d, norm2, none, none, {}, Screen::kAuto);
    AtomPanels<float>::Store scratch;
    const auto bytes = [&] {
        const auto run = panels.run(3, 2, scratch);
        std::vector<std::byte> all(run.cells, run.cells + 2 * panels.panel_bytes());
        const auto* length = reinterpret_cast<const std::byte*>(run.length);
        all.insert(all.end(), length, length + 2 * panels.panel_atoms() * 4);
        return all;
    };
    const auto before = bytes();
    ctx.check_interrupt = [] { throw std::runtime_error("stop"); };
    last_check() -= std::chrono::seconds(1);
    CHECK_THROWS(panels.keep(ctx), std::runtime_error, "stop");
    CHECK(!panels.kept());  // the next call must not read what is there
    CHECK(bytes() == before);
    ctx.check_interrupt = nullptr;
    panels.keep(ctx);
    CHECK(panels.kept());
    CHECK(bytes() == before);
}

TEST(an_index_is_packed_while_others_scan) {
    const int64_t n = 300, d = 24, m = 1500, k = 4;
    const auto X = matrix<float>(10, n, d), W = matrix<float>(11, m, d);
    std::vector<float> expected;
    const auto best = plain<float>(X, W, nullptr, d, k, Rank::kScore, expected);
    const Context ctx = test::context("", 1);
    for (int round = 0; round < 3; ++round) {
        const auto index = make_atom_index<float>(ctx, {W.data(), m, d, d}, nullptr, Similarity::kDot, "auto");
        std::vector<std::vector<int32_t>> found(4, std::vector<int32_t>(n * k));
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                const int64_t rows = t == 3 ? n : 40;  // one block scans without packing, more pack first
                std::vector<float> score(static_cast<std::size_t>(rows * k));
                index->topk(ctx, {X.data(), rows, d, Storage::kNative}, k, Rank::kScore, {}, score.data(),
                            found[t].data(), nullptr);
                found[t].resize(static_cast<std::size_t>(rows * k));
            });
        for (auto& thread : threads) thread.join();
        for (const auto& some : found) CHECK(std::equal(some.begin(), some.end(), best.begin()));
    }
}

TEST(a_row_block_is_used_again) {
    // Shapes that grow and shrink: nothing of the last load may remain, and no place be written that is not there.
    typename RowBlock<float>::Query query;
    RowBlock<float> block;
    const std::vector<double> none;
    for (const auto& isa : available_isas())
        for (const auto& [n, m, d, k] :
             {std::array<int64_t, 4>{30, 500, 17, 9}, {3, 40, 5, 40}, {64, 1000, 33, 1}, {1, 1, 1, 1}}) {
            const Context ctx = test::context(isa, 1);
            const auto X = matrix<float>(12, n, d), W = matrix<float>(13, m, d);
            std::vector<double> norm2, x_norm2;
            std::vector<const float*> rows;
            for (int64_t j = 0; j < m; ++j) norm2.push_back(ctx.kernels->f32.dense_dot(&W[j * d], &W[j * d], d));
            for (int64_t i = 0; i < n; ++i) {
                rows.push_back(&X[i * d]);
                x_norm2.push_back(ctx.kernels->f32.dense_dot(rows[i], rows[i], d));
            }
            const AtomPanels<float> panels(ctx, rows_of(W, d), d, norm2, none, none, {}, Screen::kAuto);
            query.k = k;
            block.load(panels, rows.data(), x_norm2.data(), n, query);
            block.scan(panels, 0, panels.panels());
            block.finish();
            std::vector<float> expected;
            const auto best = plain<float>(X, W, nullptr, d, k, Rank::kScore, expected);
            for (int64_t r = 0; r < n; ++r) {
                CHECK(!block.overflowed(r) && block.candidates(r) >= k &&
                      block.candidates(r) <= RowBlock<float>::capacity(k));
                const int32_t* at = block.position(r);
                for (int64_t c = 0; c < k; ++c)
                    CHECK(std::find(at, at + block.candidates(r), best[r * k + c]) != at + block.candidates(r));
                CHECK(block.ceiling(r) <= expected[r * k + k - 1]);
            }
        }
}
