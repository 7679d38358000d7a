// randomized_svd.cpp: a random range, power iterations, and the singular vectors of a small triangle.
//
//   Q R = orth((X X^T)^q X Omega),   X^T Q = Q' R',   R'^T = u s v^T (one-sided Jacobi),   U = Q u,  V = Q' v
//
// Where many columns are asked for, narrow blocks take the place of the powers (krylov_range.h); these follow where the
// singular values fall so far that the blocks, which square them, lose the last in rounding.
//
// Products of X dominate; of w columns, each costs 2 nnz w flops. Between them a Gram matrix, n w^2 multiply-adds in
// float64, and a product with a triangle. The triangle keeps small singular values, which a Gram matrix would square.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "algorithms/factorize/krylov_range.h"
#include "algorithms/factorize/normal_numbers.h"
#include "core/buffer.h"
#include "engines/small_solve/small_solve.h"
#include "latom/spectral.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int kSweeps = 40;          // of all pairs of rows, at most
constexpr double kPrecise = 100;     // times what rounds a number: a share of X^T X that blocks resolve
constexpr double kParallel = 1e-15;  // of the lengths of two rows: their product, where they count as orthogonal

/// Rotates rows of A [w, w] until they are orthogonal, and those of B, at first the identity, with them.
void jacobi(const Context& ctx, int64_t w, double* A, double* B) {
    const auto dot = ctx.kernels->f64.dense_dot;
    std::fill_n(B, w * w, 0.0);
    for (int64_t i = 0; i < w; ++i) B[i * w + i] = 1;
    const auto rotate = [w](double* p, double* q, double c, double s) {
        for (int64_t t = 0; t < w; ++t) {
            const double a = p[t], b = q[t];
            p[t] = c * a - s * b;
            q[t] = s * a + c * b;
        }
    };
    bool moved = true;
    for (int sweep = 0; moved && sweep < kSweeps; ++sweep) {
        moved = false;
        for (int64_t p = 0; p < w; ++p) {
            poll();
            for (int64_t q = p + 1; q < w; ++q) {
                double *x = A + p * w, *y = A + q * w;
                const double a = dot(x, x, w), b = dot(y, y, w), c = dot(x, y, w);
                if (!(std::abs(c) > kParallel * std::sqrt(a) * std::sqrt(b))) continue;
                const double zeta = (b - a) / (2 * c);
                const double t = (zeta < 0 ? -1 : 1) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
                const double cosine = 1 / std::sqrt(1 + t * t);
                rotate(x, y, cosine, cosine * t);
                rotate(B + p * w, B + q * w, cosine, cosine * t);
                moved = true;
            }
        }
    }
}

/// Of each column of V the entry of the largest magnitude is made positive, and U follows.
template <class T>
void set_signs(int64_t n, int64_t d, int64_t k, T* U, T* V) {
    std::vector<T> largest(static_cast<std::size_t>(k), T{0});
    for (int64_t j = 0; j < d; ++j)
        for (int64_t t = 0; t < k; ++t)
            if (std::abs(V[j * k + t]) > std::abs(largest[t])) largest[t] = V[j * k + t];
    const auto turn = [&](int64_t rows, T* A) {
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t t = 0; t < k; ++t)
                if (largest[t] < 0) A[i * k + t] = -A[i * k + t];
    };
    turn(n, U);
    turn(d, V);
}

/// X^T.
template <class T>
class Turned final : public LinearMap<T> {
public:
    explicit Turned(const LinearMap<T>& X) : LinearMap<T>(X.d, X.n), X_(X) {}
    void times(const DenseView<T>& F, T* out) const override { X_.transposed_times(F, out); }
    void transposed_times(const DenseView<T>& W, T* out) const override { X_.times(W, out); }

private:
    const LinearMap<T>& X_;
};

}  // namespace

template <class T>
void randomized_svd(const Context& ctx, const LinearMap<T>& X, const SvdOptions& options, const T* start, T* U,
                    double* S, T* V) {
    const int64_t n = X.n, d = X.d, k = options.k, least = std::min(n, d);
    const int64_t asked = std::min(k + options.oversamples, least), width = whole_lines<T>(asked);
    const bool blocks = !start && blocks_pay(n, d, width, options.iterations);
    if (blocks && n < d) {  // blocks stand on the shorter side
        randomized_svd(ctx, Turned<T>(X), options, start, V, S, U);
        return set_signs(n, d, k, U, V);
    }
    AlignedVector<T> Y(static_cast<std::size_t>(n * width)), Z(static_cast<std::size_t>(d * width));
    const DenseView<T> of_rows{Y.data(), n, width, width}, of_columns{Z.data(), d, width, width};
    if (start) {
        std::fill(Z.begin(), Z.end(), T{0});
        for (int64_t j = 0; j < d; ++j) std::copy_n(start + j * asked, asked, Z.data() + j * width);
    } else if (!blocks) {
        fill_normal(ctx, d, std::min(width, least), width, Z.data());
    }
    int64_t iterations = options.iterations;
    if (blocks && krylov_range(ctx, X, iterations, width, Z.data()) > kPrecise * std::numeric_limits<T>::epsilon())
        iterations = 0;
    X.times(of_columns, Y.data());
    for (int64_t done = 0; done < iterations; ++done) {
        if (options.before) options.before(done);
        orthonormalize(ctx, n, width, Y.data(), 1, nullptr);
        X.transposed_times(of_rows, Z.data());
        orthonormalize(ctx, d, width, Z.data(), 1, nullptr);
        X.times(of_columns, Y.data());
    }
    orthonormalize(ctx, n, width, Y.data(), 2, nullptr);
    X.transposed_times(of_rows, Z.data());
    std::vector<double> R(static_cast<std::size_t>(width * width)), B(R.size());
    orthonormalize(ctx, d, width, Z.data(), 2, R.data());
    jacobi(ctx, width, R.data(), B.data());  // rows of R are the columns of u s, rows of B those of v

    std::vector<double> length(static_cast<std::size_t>(width)), u(static_cast<std::size_t>(width * k)), v(u.size());
    std::vector<int64_t> order(static_cast<std::size_t>(width));
    for (int64_t t = 0; t < width; ++t)
        length[t] = std::sqrt(ctx.kernels->f64.dense_dot(R.data() + t * width, R.data() + t * width, width));
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return length[a] > length[b]; });
    for (int64_t t = 0; t < k; ++t) {
        S[t] = length[order[t]];
        for (int64_t s = 0; s < width && S[t] > 0; ++s) {
            u[s * k + t] = R[order[t] * width + s] / S[t];
            v[s * k + t] = B[order[t] * width + s];
        }
    }
    multiply_rows(ctx, of_rows, u.data(), k, U);
    multiply_rows(ctx, of_columns, v.data(), k, V);
    set_signs(n, d, k, U, V);
}

template void randomized_svd(const Context&, const LinearMap<float>&, const SvdOptions&, const float*, float*, double*,
                             float*);
template void randomized_svd(const Context&, const LinearMap<double>&, const SvdOptions&, const double*, double*,
                             double*, double*);

}  // namespace latom
