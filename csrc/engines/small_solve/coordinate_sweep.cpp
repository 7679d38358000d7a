// coordinate_sweep.cpp: rows in tiles that share a Gram matrix, or one by one where each has its own.
#include <algorithm>

#include "core/buffer.h"
#include "engines/small_solve/small_solve.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kBlock = 8;      // coordinates, as the kernel takes them
constexpr double kLeft = 0x1p-10;  // of a diagonal, at least, where outer products are taken from a Gram matrix

/// 1 / diagonal, 0 where there is no curvature.
template <class T>
T inverse_of(double diagonal) {
    const T inverse = static_cast<T>(1 / diagonal);
    return diagonal > 0 && std::isfinite(inverse) ? inverse : T{0};
}

SweepStats sum(const std::vector<SweepStats>& parts) {
    SweepStats total;
    for (const SweepStats& part : parts) {
        total.violation += part.violation;
        total.cross += part.cross;
        total.quadratic += part.quadratic;
    }
    return total;
}

/// Sweeps until few violations are left; sweep() returns those that it met. Returns those of the first.
template <class Sweep>
double sweep_until(const SweepOptions& options, Sweep sweep) {
    const double first = sweep();
    for (int64_t s = 1; s < options.sweeps; ++s)
        if (sweep() <= options.inner_tol * first) break;
    return first;
}

}  // namespace

template <class T>
SweepStats coordinate_sweep(const Context& ctx, const double* G, const DenseView<T>& P, const SweepOptions& options,
                            const T* X, T* out, int64_t stride) {
    if (stride == 0) stride = P.d;
    constexpr int64_t kRows = 128 / sizeof(T);
    const int64_t n = P.n, k = P.d, width = chunk_count(k, kBlock) * kBlock;
    AlignedVector<T> blocks(static_cast<std::size_t>(width * width)), inverse(static_cast<std::size_t>(width));
    for (int64_t s = 0; s < width; ++s)
        for (int64_t t = 0; t < width; ++t)
            blocks[(t / kBlock * width + s) * kBlock + t % kBlock] =
                s < k && t < k ? static_cast<T>(G[s * k + t]) : T{0};
    for (int64_t t = 0; t < width; ++t) inverse[t] = t < k ? inverse_of<T>(G[t * k + t]) : T{0};

    const int64_t rows = kRows * std::clamp<int64_t>((1 << 15) / (kRows * k), 1, 8), chunks = chunk_count(n, rows);
    const auto transpose = ctx.kernels->of<T>().transpose;
    const auto sweep = ctx.kernels->of<T>().coordinate_sweep;
    const auto dot = ctx.kernels->of<T>().dense_dot;
    const T l1 = static_cast<T>(options.l1);
    std::vector<SweepStats> parts(static_cast<std::size_t>(chunks));
    std::vector<AlignedVector<T>> tiles(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        const int64_t numbers = width * kRows;
        tiles[worker].resize(static_cast<std::size_t>(2 * numbers));
        T *x = tiles[worker].data(), *p = x + numbers;
        for (int64_t i = c * rows; i < std::min(n, (c + 1) * rows); i += kRows) {
            const int64_t count = std::min(kRows, n - i);
            if (count < kRows || width > k) std::fill_n(x, 2 * numbers, T{0});
            transpose(X + i * stride, count, stride, k, x, kRows);
            transpose(P.row(i), count, P.stride, k, p, kRows);
            if (l1 != 0)
                for (int64_t q = 0; q < k * kRows; ++q) p[q] -= l1;
            parts[c].violation +=
                sweep_until(options, [&] { return sweep(x, p, blocks.data(), inverse.data(), width); });
            parts[c].cross += dot(x, p, k * kRows);
            transpose(x, k, kRows, count, out + i * stride, stride);
        }
    });
    return sum(parts);
}

template <class T, class I>
SweepStats sweep_masked(const Context& ctx, const double* G, double l2, const DenseView<T>& F, const Pattern<I>& listed,
                        bool observed, const DenseView<T>& P, const SweepOptions& options, const T* X, T* out) {
    constexpr int64_t kRows = 16;
    const int64_t n = P.n, k = P.d, chunks = chunk_count(n, kRows);
    const auto add_row = ctx.kernels->of<T>().add_scaled;
    const auto add = ctx.kernels->f64.add_scaled;
    std::vector<SweepStats> parts(static_cast<std::size_t>(chunks));
    std::vector<AlignedVector<double>> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        scratch[worker].resize(static_cast<std::size_t>(k * (k + 3)));
        double *own = scratch[worker].data(), *gradient = own + k * k, *x = gradient + k, *p = x + k;
        for (int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i) {
            const I *first = listed.indices + listed.indptr[i], *end = listed.indices + listed.indptr[i + 1];
            const auto each = [&](bool of_list, auto visit) {  // in order, those listed or those not
                if (of_list)
                    for (const I* j = first; j < end; ++j) visit(*j);
                const I* next = first;
                for (int64_t j = 0; j < F.n && !of_list; ++j)
                    if (next < end && *next == j) ++next;
                    else visit(j);
            };
            const auto add_pair = [&](int64_t j, double sign) {
                for (int64_t a = 0; a < k; ++a)
                    add_row(F.row(j), sign * static_cast<double>(F.row(j)[a]), a + 1, own + a * k);
            };
            // A difference of Gram matrices is only as good as what it leaves: not for rows that see few entries, nor
            // where what they miss was most of it.
            const int64_t seen = observed ? end - first : F.n - (end - first), lost = F.n - seen;
            bool sound = lost <= seen && seen > 4 * k;
            if (sound) {
                std::copy_n(G, k * k, own);
                each(!observed, [&](int64_t j) { add_pair(j, -1); });
                for (int64_t t = 0; t < k; ++t) sound = sound && own[t * (k + 1)] >= kLeft * G[t * (k + 1)];
            }
            if (!sound) {
                std::fill_n(own, k * k, 0.0);
                each(observed, [&](int64_t j) { add_pair(j, 1); });
                for (int64_t a = 0; a < k; ++a) own[a * (k + 1)] += l2;
            }
            for (int64_t a = 0; a < k; ++a)
                for (int64_t b = 0; b < a; ++b) own[b * k + a] = own[a * k + b];

            for (int64_t t = 0; t < k; ++t) {
                x[t] = static_cast<double>(X[i * k + t]);
                p[t] = static_cast<double>(P.row(i)[t]) - options.l1;
                gradient[t] = -p[t];
            }
            for (int64_t t = 0; t < k; ++t)
                if (x[t] != 0) add(own + t * k, x[t], k, gradient);
            parts[c].violation += sweep_until(options, [&] {
                double violation = 0;
                for (int64_t t = 0; t < k; ++t) {
                    const double g = gradient[t];
                    violation += x[t] > 0 ? std::abs(g) : std::max(0.0, -g);
                    const double after = std::max(0.0, x[t] - g * inverse_of<double>(own[t * (k + 1)]));
                    const double change = static_cast<double>(static_cast<T>(after)) - x[t];
                    if (change != 0) add(own + t * k, change, k, gradient);
                    x[t] += change;
                }
                return violation;
            });
            for (int64_t t = 0; t < k; ++t) {
                out[i * k + t] = static_cast<T>(x[t]);
                parts[c].cross += x[t] * p[t];
                parts[c].quadratic += x[t] * (gradient[t] + p[t]);
            }
        }
    });
    return sum(parts);
}

#define LATOM_INSTANTIATE(T)                                                                                      \
    template SweepStats coordinate_sweep(const Context&, const double*, const DenseView<T>&, const SweepOptions&, \
                                         const T*, T*, int64_t);                                                  \
    template SweepStats sweep_masked(const Context&, const double*, double, const DenseView<T>&,                  \
                                     const Pattern<int32_t>&, bool, const DenseView<T>&, const SweepOptions&,     \
                                     const T*, T*);                                                               \
    template SweepStats sweep_masked(const Context&, const double*, double, const DenseView<T>&,                  \
                                     const Pattern<int64_t>&, bool, const DenseView<T>&, const SweepOptions&,     \
                                     const T*, T*);
LATOM_INSTANTIATE(float)
LATOM_INSTANTIATE(double)
#undef LATOM_INSTANTIATE

}  // namespace latom
