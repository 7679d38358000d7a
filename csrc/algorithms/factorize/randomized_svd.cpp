// randomized_svd.cpp: a random range, power iterations, and the singular vectors of a small triangle.
//
//   Q = orth((X^T X)^(q + 1) Omega),   X Q = Q' R,   R = u s v^T (one-sided Jacobi),   U = Q' u,  V = Q v
//
// Where many columns are asked for, narrow blocks take the place of the powers (krylov_range.h); these follow where the
// singular values fall so far that the blocks, which square them, lose the last in rounding.
//
// Products of X dominate; of w columns, each costs 2 nnz w flops. Between them a Gram matrix, n w^2 multiply-adds in
// float64, and a product with a triangle. The triangle keeps small singular values, which a Gram matrix would square.
#include <algorithm>
#include <cmath>
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

/// The sign of the entry of the largest magnitude of each column of V, which is made positive.
template <class T>
std::vector<double> take_signs(int64_t d, int64_t k, T* V) {
    std::vector<T> largest(static_cast<std::size_t>(k), T{0});
    for (int64_t j = 0; j < d; ++j)
        for (int64_t t = 0; t < k; ++t)
            if (std::abs(V[j * k + t]) > std::abs(largest[t])) largest[t] = V[j * k + t];
    std::vector<double> sign;
    for (const T v : largest) sign.push_back(v < 0 ? -1 : 1);
    for (int64_t j = 0; j < d; ++j)
        for (int64_t t = 0; t < k; ++t) V[j * k + t] *= static_cast<T>(sign[t]);
    return sign;
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

/// Ranges of both sides, where U and V go, and the singular values.
template <class T>
struct Triplets {
    DenseView<T> of_rows, of_columns;
    T *U, *V;
    double* S;
};

/// From orthonormal columns on one side and X, or X^T, times them on the other: `made`, which becomes orthonormal here.
template <class T>
void finish(const Context& ctx, int64_t k, const Triplets<T>& out, bool made_rows, T* made) {
    const int64_t width = out.of_rows.d;
    std::vector<double> R(static_cast<std::size_t>(width * width)), B(R.size());
    orthonormalize(ctx, made_rows ? out.of_rows.n : out.of_columns.n, width, made, 2, R.data());
    jacobi(ctx, width, R.data(), B.data());  // R was B^T times the rows that are left, which are orthogonal
    std::vector<double> length(static_cast<std::size_t>(width)), u(static_cast<std::size_t>(width * k)), v(u.size());
    std::vector<int64_t> order(static_cast<std::size_t>(width));
    for (int64_t t = 0; t < width; ++t)
        length[t] = std::sqrt(ctx.kernels->f64.dense_dot(R.data() + t * width, R.data() + t * width, width));
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) { return length[x] > length[y]; });
    for (int64_t t = 0; t < k; ++t) {
        out.S[t] = length[order[t]];
        for (int64_t s = 0; s < width && out.S[t] > 0; ++s) {
            (made_rows ? v : u)[s * k + t] = R[order[t] * width + s] / out.S[t];
            (made_rows ? u : v)[s * k + t] = B[order[t] * width + s];
        }
    }
    multiply_rows(ctx, out.of_columns, v.data(), k, out.V);
    const std::vector<double> sign = take_signs(out.of_columns.n, k, out.V);
    for (int64_t s = 0; s < width; ++s)
        for (int64_t t = 0; t < k; ++t) u[s * k + t] *= sign[t];
    multiply_rows(ctx, out.of_rows, u.data(), k, out.U);
}

}  // namespace

template <class T>
void randomized_svd(const Context& ctx, const LinearMap<T>& X, const SvdOptions& options, const T* start, T* U,
                    double* S, T* V) {
    const int64_t n = X.n, d = X.d, k = options.k, least = std::min(n, d);
    const int64_t asked = std::min(k + options.oversamples, least), width = whole_lines<T>(asked);
    AlignedVector<T> Y(static_cast<std::size_t>(n * width)), Z(static_cast<std::size_t>(d * width));
    const DenseView<T> of_rows{Y.data(), n, width, width}, of_columns{Z.data(), d, width, width};
    int64_t rounds = options.iterations + 1;
    if (start) {
        std::fill(Z.begin(), Z.end(), T{0});
        for (int64_t j = 0; j < d; ++j) std::copy_n(start + j * asked, asked, Z.data() + j * width);
        --rounds;
    } else if (blocks_pay(n, d, width, options.iterations)) {
        bool precise = false;  // blocks stand on the shorter side
        if (n < d) {
            precise = krylov_range(ctx, Turned<T>(X), options.iterations, width, Y.data());
            X.transposed_times(of_rows, Z.data());
        } else {
            precise = krylov_range(ctx, X, options.iterations, width, Z.data());
        }
        if (precise) rounds = 0;
        else orthonormalize(ctx, d, width, Z.data(), 1, nullptr);
    } else {
        fill_normal(ctx, d, std::min(width, least), width, Z.data());
    }
    for (int64_t done = 0; done < rounds; ++done) {
        if (options.before && done < options.iterations) options.before(done);
        X.times(of_columns, Y.data());
        orthonormalize(ctx, n, width, Y.data(), 1, nullptr);
        X.transposed_times(of_rows, Z.data());
        if (start || done + 1 < rounds) orthonormalize(ctx, d, width, Z.data(), 1, nullptr);
    }
    if (start) {  // as who gave it goes on: to X^T
        X.times(of_columns, Y.data());
        orthonormalize(ctx, n, width, Y.data(), 2, nullptr);
        X.transposed_times(of_rows, Z.data());
        finish<T>(ctx, k, {of_rows, of_columns, U, V, S}, false, Z.data());
    } else {  // to X, so that U S is X V
        orthonormalize(ctx, d, width, Z.data(), 2, nullptr);
        X.times(of_columns, Y.data());
        finish<T>(ctx, k, {of_rows, of_columns, U, V, S}, true, Y.data());
    }
}

template void randomized_svd(const Context&, const LinearMap<float>&, const SvdOptions&, const float*, float*, double*,
                             float*);
template void randomized_svd(const Context&, const LinearMap<double>&, const SvdOptions&, const double*, double*,
                             double*, double*);

}  // namespace latom
