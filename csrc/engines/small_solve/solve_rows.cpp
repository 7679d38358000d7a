// solve_rows.cpp: sweeps for all rows, a proof for each, and an active set for those that it does not cover.
//
// With slopes g = G x - p and curvature c, at most the least eigenvalue of G, no x' >= 0 is better than x by more than
//
//   sum over t of  min(g_t^2 / (2 c), g_t x_t)  where g_t > 0,     g_t^2 / (2 c)  where g_t < 0,
//
// since the value at x' is at least that at x plus sum g_t (x'_t - x_t) + c (x'_t - x_t)^2 / 2, whose terms are each
// at least what is taken here from it.
#include <algorithm>
#include <numeric>

#include "engines/small_solve/passive_set.h"
#include "engines/small_solve/small_solve.h"
#include "rows/rows.h"

namespace latom {
namespace {

/// What may be left to gain of a row's squared error: a share of it, or of the row's square, which is rounding.
template <class T>
constexpr double kOfError = sizeof(T) == 4 ? 1e-5 : 1e-9;
template <class T>
constexpr double kOfSquare = sizeof(T) == 4 ? 1e-12 : 1e-18;

/// Twice the bound at the head.
double left_to_gain(const double* slope, const double* x, int64_t k, double curvature) {
    double left = 0;
    for (int64_t t = 0; t < k; ++t) {
        const double g = slope[t], curved = curvature > 0 ? g * g / curvature : HUGE_VAL;
        if (g > 0) left += std::min(curved, 2 * g * x[t]);
        else if (g < 0) left += curved;
    }
    return left;
}

}  // namespace

template <class T>
double solve_rows(const Context& ctx, const RowProblems<T>& all, T* W) {
    constexpr int64_t kRows = 16;
    const int64_t n = all.P.n, k = all.P.d, d = all.X.d, chunks = chunk_count(n, kRows);
    coordinate_sweep(ctx, all.G, all.P, all.sweeps, W, W);
    struct Scratch {
        PassiveSet set;
        std::vector<double> numbers;
    };
    std::vector<Scratch> scratch;
    for (int w = 0; w < workers(ctx, chunks); ++w)
        scratch.push_back({{ctx.kernels, all.G, k}, std::vector<double>(static_cast<std::size_t>(3 * k))});
    const auto dot = ctx.kernels->of<T>().dense_dot;
    std::vector<double> errors(static_cast<std::size_t>(chunks));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        auto& [set, numbers] = scratch[worker];
        double *p = numbers.data(), *x = p + k, *slope = x + k;
        for (int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i) {
            T* own = W + i * k;
            std::copy_n(own, k, x);
            std::copy_n(all.P.row(i), k, p);
            const double square = dot(all.X.row(i), all.X.row(i), d);
            const auto error = [&] {  // ||row - x H||^2 = ||row||^2 + x G x - 2 p x
                set.slopes(p, x, slope);
                double sum = square;
                for (int64_t t = 0; t < k; ++t) sum += x[t] * (slope[t] - p[t]);
                return std::max(0.0, sum);
            };
            double now = error();
            if (left_to_gain(slope, x, k, all.curvature) > std::max(kOfError<T> * now, kOfSquare<T> * square)) {
                if (sizeof(T) == 4)  // what sweeps could not tell apart may be the rounding of P
                    for (int64_t t = 0; t < k; ++t) p[t] = dot(all.X.row(i), all.H.row(t), d);
                set.solve(p, x);
                std::copy_n(x, k, own);
                std::copy_n(own, k, x);
                now = error();
            }
            errors[c] += now;
        }
    });
    return std::accumulate(errors.begin(), errors.end(), 0.0);
}

template double solve_rows(const Context&, const RowProblems<float>&, float*);
template double solve_rows(const Context&, const RowProblems<double>&, double*);

}  // namespace latom
