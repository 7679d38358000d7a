// test_small_solve.cpp: Gram matrices, coordinate sweeps and small systems, for the sanitizers: sizes around vector
// widths and tiles. tests/factorize/ and tests/kernels/ check values at large.
#include <algorithm>
#include <cmath>
#include <vector>

#include "check.h"
#include "data.h"
#include "engines/small_solve/small_solve.h"
#include "factors.h"

using namespace latom;
using namespace test;

namespace {

template <class T>
void check_gram(int64_t n, int64_t k) {
    const std::vector<T> V = positive<T>(1, n * k);
    const Doubles G = everywhere<Doubles>([&](const Context& ctx) {
        Doubles out(static_cast<std::size_t>(k * k));
        gram(ctx, DenseView<T>{V.data(), n, k, k}, out.data());
        return out;
    });
    CHECK(near(G, plain_gram(V, n, k), 1e-12));
    const Doubles sums = everywhere<Doubles>([&](const Context& ctx) {
        Doubles out(static_cast<std::size_t>(k));
        column_sums(ctx, DenseView<T>{V.data(), n, k, k}, out.data());
        return out;
    });
    Doubles want(static_cast<std::size_t>(k), 0.0);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t c = 0; c < k; ++c) want[c] += static_cast<double>(V[i * k + c]);
    CHECK(near(sums, want, 1e-12));
}

/// A sweep in float64, one row after the other; returns the violation met.
double plain_sweep(const Doubles& G, const Doubles& P, double l1, int64_t n, int64_t k, Doubles& X) {
    double violation = 0;
    for (int64_t i = 0; i < n; ++i)
        for (int64_t t = 0; t < k; ++t) {
            double g = l1 - P[i * k + t];
            for (int64_t s = 0; s < k; ++s) g += G[s * k + t] * X[i * k + s];
            double& x = X[i * k + t];
            violation += x > 0 ? std::abs(g) : std::max(0.0, -g);
            if (G[t * k + t] > 0) x = std::max(0.0, x - g / G[t * k + t]);
        }
    return violation;
}

template <class T>
void check_sweep(int64_t n, int64_t k) {
    const std::vector<T> V = positive<T>(2, (k + 20) * k), X = positive<T>(3, n * k, 0.3), P = positive<T>(4, n * k);
    Doubles G = plain_gram(V, k + 20, k);
    if (k > 2)  // a coordinate without curvature stays
        for (int64_t t = 0; t < k; ++t) G[t] = G[t * k] = 0;
    const SweepOptions options{0.05, 1, 0};
    double violation = 0, cross = 0;
    const auto swept = everywhere<std::vector<T>>([&](const Context& ctx) {
        std::vector<T> out(X.size());
        const SweepStats stats =
            coordinate_sweep(ctx, G.data(), DenseView<T>{P.data(), n, k, k}, options, X.data(), out.data());
        violation = stats.violation;
        cross = stats.cross;
        std::vector<T> in_place = P;  // out may be P
        coordinate_sweep(ctx, G.data(), DenseView<T>{in_place.data(), n, k, k}, options, X.data(), in_place.data());
        CHECK(in_place == out);
        return out;
    });
    Doubles want(X.begin(), X.end());
    const double met = plain_sweep(G, Doubles(P.begin(), P.end()), options.l1, n, k, want);
    CHECK(near(swept, want, 20 * kTolerance<T>));
    CHECK(std::abs(violation - met) <= 20 * kTolerance<T> * (1 + met));
    double dot = 0;
    for (std::size_t p = 0; p < want.size(); ++p) dot += want[p] * (static_cast<double>(P[p]) - options.l1);
    CHECK(std::abs(cross - dot) <= 20 * kTolerance<T> * (1 + std::abs(dot)));
}

/// Each row has the Gram matrix of what it sees.
template <class T, class I>
void check_masked(int64_t n, int64_t k, int64_t d, double share) {
    const std::vector<T> F = positive<T>(5, d * k), X = positive<T>(6, n * k, 0.3), P = positive<T>(7, n * k);
    test::Random random(8);
    std::vector<int64_t> indptr{0};
    std::vector<I> indices;
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < d; ++j)
            if (random.uniform() < share) indices.push_back(static_cast<I>(j));
        indptr.push_back(static_cast<int64_t>(indices.size()));
    }
    const double l2 = 0.5;
    Doubles G = plain_gram(F, d, k);
    for (int64_t t = 0; t < k; ++t) G[t * (k + 1)] += l2;
    const Pattern<I> missing{indptr.data(), indices.data(), n};
    const auto swept = everywhere<std::vector<T>>([&](const Context& ctx) {
        std::vector<T> out(X.size());
        sweep_masked(ctx, G.data(), l2, DenseView<T>{F.data(), d, k, k}, missing, false,
                     DenseView<T>{P.data(), n, k, k}, SweepOptions{0.05, 1, 0}, X.data(), out.data());
        return out;
    });
    Doubles want(X.begin(), X.end());
    for (int64_t i = 0; i < n; ++i) {
        Doubles own = G;
        for (int64_t p = indptr[i]; p < indptr[i + 1]; ++p)
            for (int64_t a = 0; a < k; ++a)
                for (int64_t b = 0; b < k; ++b)
                    own[a * k + b] -=
                        static_cast<double>(F[indices[p] * k + a]) * static_cast<double>(F[indices[p] * k + b]);
        Doubles row(want.begin() + i * k, want.begin() + (i + 1) * k);
        plain_sweep(own, Doubles(P.begin() + i * k, P.begin() + (i + 1) * k), 0.05, 1, k, row);
        std::copy(row.begin(), row.end(), want.begin() + i * k);
    }
    CHECK(near(swept, want, 50 * kTolerance<T>));
}

}  // namespace

TEST(gram_and_column_sums) {
    for (const int64_t n : {1, 63, 65, 700})
        for (const int64_t k : {1, 7, 8, 9, 16, 17, 33}) NOTE("n " << n << ", k " << k) {
                check_gram<float>(n, k);
                check_gram<double>(n, k);
            }
}

TEST(coordinate_sweeps) {
    for (const int64_t n : {1, 15, 16, 33, 100})
        for (const int64_t k : {1, 7, 8, 9, 17}) NOTE("n " << n << ", k " << k) {
                check_sweep<float>(n, k);
                check_sweep<double>(n, k);
            }
    for (const double share : {0.0, 0.05, 0.7}) NOTE("share " << share) {
            check_masked<float, int32_t>(35, 5, 60, share);
            check_masked<double, int64_t>(35, 5, 60, share);
        }
}

TEST(refits_of_supports) {
    const int64_t k = 5, d = 21;
    const std::vector<double> V = positive<double>(18, 30 * k), B = positive<double>(19, k * d);
    const Doubles G = plain_gram(V, 30, k);
    const std::vector<double> H0 = positive<double>(20, k * d, 0.5);
    const auto H = everywhere<Doubles>([&](const Context& ctx) {
        Doubles out = H0;
        CHECK_EQUAL(refit_supports(ctx, G.data(), B.data(), k, d, out.data()), int64_t{0});
        return out;
    });
    for (int64_t j = 0; j < d; ++j)
        for (int64_t t = 0; t < k; ++t) {
            double rest = -B[t * d + j];
            for (int64_t s = 0; s < k; ++s) rest += G[t * k + s] * H[s * d + j];
            CHECK(H0[t * d + j] == 0 ? H[t * d + j] == 0 : std::abs(rest) < 1e-9);
        }
    Doubles singular(static_cast<std::size_t>(k * k), 0.0), stays = H0;
    refit_supports(test::context(available_isas().back(), 1), singular.data(), B.data(), k, d, stays.data());
    CHECK(stays == H0);
}
