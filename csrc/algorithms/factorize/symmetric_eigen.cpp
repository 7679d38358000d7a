// symmetric_eigen.cpp: reflections, QL steps whose rotations turn rows, and the reflections backward.
#include "algorithms/factorize/symmetric_eigen.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/parallel.h"
#include "kernels/table.h"

namespace latom {
namespace {

constexpr int kSteps = 60;  // for one eigenvalue; two are usual

/// Reflects A to its diagonal and the one below. Column c of A keeps the vector of reflection c, of length sqrt(2).
void tridiagonalize(const Context& ctx, int64_t w, double* A, double* diagonal, double* below) {
    const auto& f64 = ctx.kernels->f64;
    std::vector<double> v(static_cast<std::size_t>(w)), p(v.size());
    for (int64_t c = 0; c + 1 < w; ++c) {
        poll();
        const int64_t first = c + 1, left = w - first;
        for (int64_t i = 0; i < left; ++i) v[i] = A[(first + i) * w + c];
        const double length = std::sqrt(f64.dense_dot(v.data(), v.data(), left));
        below[c] = v[0] > 0 ? -length : length;
        v[0] -= below[c];
        const double norm2 = f64.dense_dot(v.data(), v.data(), left);
        const double scale = norm2 > 0 ? std::sqrt(2 / norm2) : 0;
        for (int64_t i = 0; i < left; ++i) A[(first + i) * w + c] = v[i] *= scale;
        std::fill_n(p.data(), left, 0.0);
        for (int64_t i = 0; i < left; ++i) f64.add_scaled(A + (first + i) * w + first, v[i], left, p.data());
        const double half = f64.dense_dot(p.data(), v.data(), left) / 2;
        for (int64_t i = 0; i < left; ++i) p[i] -= half * v[i];
        for (int64_t i = 0; i < left; ++i) {
            f64.add_scaled(v.data(), -p[i], left, A + (first + i) * w + first);
            f64.add_scaled(p.data(), -v[i], left, A + (first + i) * w + first);
        }
    }
    for (int64_t i = 0; i < w; ++i) diagonal[i] = A[i * w + i];
}

/// Implicit QL steps (Dubrulle, Martin & Wilkinson 1968); rows of Z [w, w] are turned as coordinates are.
void diagonalize(int64_t w, double* diagonal, double* below, double* Z) {
    for (int64_t low = 0; low < w; ++low) {
        for (int step = 0; step < kSteps; ++step) {
            poll();
            int64_t high = low;
            while (high + 1 < w &&
                   std::abs(below[high]) > std::numeric_limits<double>::epsilon() *
                                               (std::abs(diagonal[high]) + std::abs(diagonal[high + 1])))
                ++high;
            if (high == low) break;
            double g = (diagonal[low + 1] - diagonal[low]) / (2 * below[low]);
            const double root = std::sqrt(g * g + 1);
            g = diagonal[high] - diagonal[low] + below[low] / (g + (g < 0 ? -root : root));
            double sine = 1, cosine = 1, shift = 0;
            int64_t i = high - 1;
            for (; i >= low; --i) {
                const double f = sine * below[i], b = cosine * below[i], r = std::sqrt(f * f + g * g);
                below[i + 1] = r;
                if (r == 0) break;
                sine = f / r;
                cosine = g / r;
                g = diagonal[i + 1] - shift;
                const double t = (diagonal[i] - g) * sine + 2 * cosine * b;
                shift = sine * t;
                diagonal[i + 1] = g + shift;
                g = cosine * t - b;
                double *x = Z + i * w, *y = x + w;
                for (int64_t q = 0; q < w; ++q) {
                    const double a = x[q], c = y[q];
                    y[q] = sine * a + cosine * c;
                    x[q] = cosine * a - sine * c;
                }
            }
            if (i >= low) diagonal[i + 1] -= shift;
            else diagonal[low] -= shift, below[low] = g;
            below[high] = 0;
        }
    }
}

}  // namespace

void symmetric_eigen(const Context& ctx, int64_t w, int64_t count, double* A, std::vector<double>& values,
                     std::vector<double>& vectors) {
    const auto size = static_cast<std::size_t>(w);
    std::vector<double> diagonal(size), below(size + 1), Z(size * size, 0.0);
    for (int64_t i = 0; i < w; ++i) Z[i * w + i] = 1;
    tridiagonalize(ctx, w, A, diagonal.data(), below.data());
    diagonalize(w, diagonal.data(), below.data(), Z.data());
    std::vector<int64_t> order(size);
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return diagonal[a] > diagonal[b]; });
    values.resize(size);
    for (int64_t t = 0; t < w; ++t) values[t] = diagonal[order[t]];
    vectors.resize(static_cast<std::size_t>(count * w));
    std::vector<double> v(size);
    for (int64_t t = 0; t < count; ++t) std::copy_n(Z.data() + order[t] * w, w, vectors.data() + t * w);
    for (int64_t c = w - 2; c >= 0; --c) {
        for (int64_t i = c + 1; i < w; ++i) v[i] = A[i * w + c];
        for (int64_t t = 0; t < count; ++t) {
            double* x = vectors.data() + t * w + c + 1;
            const double by = ctx.kernels->f64.dense_dot(x, v.data() + c + 1, w - c - 1);
            ctx.kernels->f64.add_scaled(v.data() + c + 1, -by, w - c - 1, x);
        }
    }
}

}  // namespace latom
