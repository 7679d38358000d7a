// test_factorize.cpp: products and steps of factorizations, for the sanitizers: sizes around vector widths and tiles,
// empty rows and columns, threads that share a problem. tests/factorize/ and tests/kernels/ check values at large.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "check.h"
#include "data.h"
#include "engines/gather/gather_rows.h"
#include "engines/gather/multiply_sparse.h"
#include "engines/gather/transposed_product.h"
#include "engines/small_solve/small_solve.h"
#include "factors.h"
#include "latom/factorize.h"

using namespace latom;
using namespace test;

namespace {

template <class T>
Doubles plain_transposed(const test::Sparse<T>& X, const std::vector<T>& W, int64_t k) {
    Doubles out(static_cast<std::size_t>(X.d * k), 0.0);
    for (int64_t i = 0; i < X.n; ++i)
        for (int64_t p = X.indptr[i]; p < X.indptr[i + 1]; ++p)
            for (int64_t c = 0; c < k; ++c)
                out[X.column64[p] * k + c] += static_cast<double>(X.value[p]) * static_cast<double>(W[i * k + c]);
    return out;
}

template <class T, class View>
void check_products(const test::Sparse<T>& X, const View& view, int64_t k, int64_t rows_per_block) {
    const std::vector<T> W = positive<T>(9, X.n * k), F = positive<T>(10, X.d * k);
    const auto turned = everywhere<std::vector<T>>([&](const Context& ctx) {
        std::vector<T> out(static_cast<std::size_t>(X.d * k));
        transposed_product(ctx, Transposed<T>(ctx, Rows(ctx, view), rows_per_block), DenseView<T>{W.data(), X.n, k, k},
                           out.data());
        return out;
    });
    CHECK(near(turned, plain_transposed(X, W, k), 5 * kTolerance<T>));
    using I = typename View::index_type;
    const auto straight = everywhere<std::vector<T>>([&](const Context& ctx) {
        std::vector<T> out(static_cast<std::size_t>(X.n * k));
        const Codes<T, I> codes{view.indptr, view.indices, view.data, X.n};
        CHECK_EQUAL(
            gather_rows(ctx, codes, DenseView<T>{F.data(), X.d, k, k}, static_cast<const T*>(nullptr), out.data()),
            X.n);
        return out;
    });
    Doubles want(static_cast<std::size_t>(X.n * k), 0.0);
    for (int64_t i = 0; i < X.n; ++i)
        for (int64_t p = X.indptr[i]; p < X.indptr[i + 1]; ++p)
            for (int64_t c = 0; c < k; ++c)
                want[i * k + c] += static_cast<double>(X.value[p]) * static_cast<double>(F[X.column64[p] * k + c]);
    CHECK(near(straight, want, 5 * kTolerance<T>));
}

/// By rows (transposed = false) or by columns; both against the formula.
template <class T, class View>
void check_kullback(const test::Sparse<T>& X, const View& view, int64_t k, bool by_columns) {
    const int64_t rows = by_columns ? X.d : X.n, columns = by_columns ? X.n : X.d;
    const std::vector<T> A = positive<T>(11, rows * k), F = positive<T>(12, columns * k);
    Doubles sums(static_cast<std::size_t>(k), 0.0);
    for (int64_t j = 0; j < columns; ++j)
        for (int64_t c = 0; c < k; ++c) sums[c] += static_cast<double>(F[j * k + c]);
    double logs = 0;
    const auto stepped = everywhere<std::vector<T>>([&](const Context& ctx) {
        std::vector<T> out(A.size());
        const KullbackStep<T> step{A.data(), {F.data(), columns, k, k}, sums.data(), 0.1, 0.2, out.data()};
        logs = by_columns ? kullback_step(ctx, Transposed<T>(ctx, Rows(ctx, view), 16), step)
                          : kullback_step(ctx, Rows(ctx, view), step);
        return out;
    });
    Doubles numerator(A.size(), 0.0);
    double want_logs = 0;
    for (int64_t i = 0; i < X.n; ++i)
        for (int64_t p = X.indptr[i]; p < X.indptr[i + 1]; ++p) {
            const int64_t a = by_columns ? X.column64[p] : i, f = by_columns ? i : X.column64[p];
            double y = 0;
            for (int64_t c = 0; c < k; ++c) y += static_cast<double>(A[a * k + c]) * static_cast<double>(F[f * k + c]);
            want_logs += static_cast<double>(X.value[p]) * std::log(y);
            for (int64_t c = 0; c < k; ++c)
                numerator[a * k + c] += static_cast<double>(X.value[p]) / y * static_cast<double>(F[f * k + c]);
        }
    Doubles want(A.size());
    for (std::size_t p = 0; p < want.size(); ++p) {
        const auto a = static_cast<double>(A[p]);
        want[p] = a * numerator[p] / (sums[p % static_cast<std::size_t>(k)] + 0.1 + 0.2 * a);
    }
    CHECK(near(stepped, want, 20 * kTolerance<T>));
    CHECK(std::abs(logs - want_logs) <= 20 * kTolerance<T> * (1 + std::abs(want_logs)));
}

template <class T>
void check_keep(int64_t n, int64_t d, int64_t k, Axis axis) {
    test::Random random(13);
    std::vector<T> X(static_cast<std::size_t>(n * d));
    for (T& x : X) x = static_cast<T>(random.below(9) - 4);  // ties and zeros
    const int64_t lines = axis == Axis::kRow ? n : d, count = axis == Axis::kRow ? d : n;
    std::vector<T> want = X;
    for (int64_t l = 0; l < lines; ++l) {
        const auto at = [&](int64_t i) -> T& { return axis == Axis::kRow ? want[l * d + i] : want[i * d + l]; };
        std::vector<T> size;
        for (int64_t i = 0; i < count; ++i) size.push_back(std::abs(at(i)));
        std::sort(size.rbegin(), size.rend());
        for (int64_t i = 0; i < count; ++i)
            if (std::abs(at(i)) < size[k - 1]) at(i) = 0;
    }
    const auto kept = everywhere<std::vector<T>>([&](const Context& ctx) {
        std::vector<T> out = X;
        std::vector<int64_t> counts(static_cast<std::size_t>(lines));
        keep_largest(ctx, out.data(), n, d, k, axis, counts.data());
        int64_t total = 0;
        for (const int64_t c : counts) total += c;
        CHECK_EQUAL(total, static_cast<int64_t>(out.size()) - std::count(out.begin(), out.end(), T{0}));
        return out;
    });
    CHECK(kept == want);
}

template <class T>
void check_small(bool shared) {
    const int64_t problems = 5, n = 19, d = 11, k = 3;
    const std::vector<T> X = positive<T>(14, (shared ? 1 : problems) * n * d);
    const std::vector<T> W0 = positive<T>(15, problems * n * k), F0 = positive<T>(16, problems * d * k);
    everywhere<std::vector<T>>([&](const Context& ctx) {
        std::vector<T> W = W0, F = F0;
        Doubles loss(problems);
        std::vector<int64_t> n_iter(problems);
        factorize_small(
            ctx, SmallProblems<T>{X.data(), shared, problems, n, d, k, W.data(), F.data(), loss.data(), n_iter.data()},
            SweepOptions{0, 2, 0.1}, 0.0, 7);
        for (int64_t b = 0; b < problems; ++b) {
            double want = 0;
            for (int64_t i = 0; i < n; ++i)
                for (int64_t j = 0; j < d; ++j) {
                    double rest = static_cast<double>(X[(shared ? 0 : b * n * d) + i * d + j]);
                    for (int64_t c = 0; c < k; ++c)
                        rest -=
                            static_cast<double>(W[(b * n + i) * k + c]) * static_cast<double>(F[(b * d + j) * k + c]);
                    want += rest * rest / 2;
                }
            CHECK(std::abs(loss[b] - want) <= 100 * kTolerance<T> * (1 + want));
            CHECK_EQUAL(n_iter[b], int64_t{7});
        }
        W.insert(W.end(), F.begin(), F.end());
        return W;
    });
}

/// 150 rows with gaps: empty rows, columns that nothing holds, columns that many rows hold.
template <class T>
test::Sparse<T> with_gaps() {
    test::Sparse<T> X = test::random_sparse<T>(17, 140, 60, 9, false);
    X.end_row();
    for (int64_t i = 0; i < 9; ++i) {
        X.push(0, T{1});
        X.push(59, T{2});
        X.end_row();
    }
    X.d = 65;
    return X;
}

}  // namespace

TEST(sparse_products_both_ways) {
    const test::Sparse<float> X = with_gaps<float>();
    const test::Sparse<double> Y = with_gaps<double>();
    for (const int64_t k : {1, 3, 7, 8, 9, 15, 16, 17, 33, 130, 300}) NOTE("k " << k) {
            check_products(X, X.view32(), k, 0);
            check_products(X, X.view64(), k, 16);
            check_products(Y, Y.view32(), k, 64);
        }
}

TEST(kullback_steps) {
    const test::Sparse<float> X = with_gaps<float>();
    const test::Sparse<double> Y = with_gaps<double>();
    for (const int64_t k : {1, 8, 15, 17})
        for (const bool by_columns : {false, true}) NOTE("k " << k << (by_columns ? ", columns" : ", rows")) {
                check_kullback(X, X.view32(), k, by_columns);
                check_kullback(Y, Y.view64(), k, by_columns);
            }
}

TEST(largest_entries) {
    for (const Axis axis : {Axis::kRow, Axis::kColumn})
        for (const int64_t k : {1, 2, 5}) {
            check_keep<float>(5, 37, k, axis);
            check_keep<double>(33, 7, k, axis);
        }
}

TEST(dense_rows_times_sparse_atoms) {
    const test::Sparse<float> F = test::random_sparse<float>(21, 13, 40, 6, true);
    for (const int64_t n : {1, 15, 16, 70}) {
        const std::vector<float> X = positive<float>(22, n * F.d);
        const auto P = everywhere<std::vector<float>>([&](const Context& ctx) {
            std::vector<float> out(static_cast<std::size_t>(n * F.n));
            multiply_sparse(ctx, DenseView<float>{X.data(), n, F.d, F.d}, F.view32(), out.data());
            return out;
        });
        Doubles want(P.size(), 0.0);
        for (int64_t i = 0; i < n; ++i)
            for (int64_t t = 0; t < F.n; ++t)
                for (int64_t p = F.indptr[t]; p < F.indptr[t + 1]; ++p)
                    want[i * F.n + t] +=
                        static_cast<double>(F.value[p]) * static_cast<double>(X[i * F.d + F.column64[p]]);
        CHECK(near(P, want, 1e-4));
    }
}

TEST(small_problems_and_extrapolation) {
    check_small<float>(true);
    check_small<double>(false);
    for (const int64_t count : {1, 7, 16, 70'000}) {
        const std::vector<float> X = positive<float>(23, count), old = positive<float>(24, count);
        const auto ahead = everywhere<std::vector<float>>([&](const Context& ctx) {
            std::vector<float> out = old;
            extrapolate(ctx, X.data(), 2.0, count, out.data());
            return out;
        });
        Doubles want;
        for (int64_t p = 0; p < count; ++p)
            want.push_back(std::max(
                0.0, static_cast<double>(X[p]) + 2.0 * (static_cast<double>(X[p]) - static_cast<double>(old[p]))));
        CHECK(near(ahead, want, 1e-5));
    }
}
