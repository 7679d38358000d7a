// orthonormal.cpp: CholeskyQR2: a Gram matrix, its Cholesky factor, one product; and once more.
#include <algorithm>
#include <cmath>

#include "core/buffer.h"
#include "engines/small_solve/small_solve.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kRows = 256;    // of a block of a product
constexpr double kPivot = 1e-13;  // of a diagonal: with less left, the column depends on those before it

/// L [w, w], L L^T = G, and its inverse, by rows. Rows of dependent columns have no diagonal, and no inverse.
void factor(const KernelTable* kernels, const std::vector<double>& G, int64_t w, std::vector<double>& L,
            std::vector<double>& inverse) {
    const auto dot = kernels->f64.dense_dot;
    const auto add = kernels->f64.add_scaled;
    L.assign(G.size(), 0.0);
    inverse.assign(G.size(), 0.0);
    for (int64_t i = 0; i < w; ++i) {
        double *own = L.data() + i * w, *back = inverse.data() + i * w;
        for (int64_t j = 0; j < i; ++j) {
            const double* other = L.data() + j * w;
            own[j] = other[j] > 0 ? (G[i * w + j] - dot(own, other, j)) / other[j] : 0;
        }
        const double left = G[i * w + i] - dot(own, own, i);
        if (!(left > kPivot * G[i * w + i])) continue;
        own[i] = std::sqrt(left);
        for (int64_t j = 0; j < i; ++j)
            if (own[j] != 0) add(inverse.data() + j * w, -own[j], j + 1, back);
        for (int64_t j = 0; j < i; ++j) back[j] /= own[i];
        back[i] = 1 / own[i];
    }
}

}  // namespace

template <class T>
void multiply_rows(const Context& ctx, const DenseView<T>& A, const double* B, int64_t k, T* out) {
    const int64_t w = A.d, width = whole_lines<T>(k), chunks = chunk_count(A.n, kRows);
    AlignedVector<T> narrow(static_cast<std::size_t>(w * width), T{0});
    for (int64_t a = 0; a < w; ++a)
        for (int64_t b = 0; b < k; ++b) narrow[a * width + b] = static_cast<T>(B[a * k + b]);
    std::vector<AlignedVector<T>> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    const auto product = ctx.kernels->of<T>().small_product;
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        const int64_t first = c * kRows, count = std::min(kRows, A.n - first);
        scratch[worker].resize(static_cast<std::size_t>(kRows * (w + width)));
        T *rows = scratch[worker].data(), *products = rows + kRows * w;
        for (int64_t i = 0; i < count; ++i) std::copy_n(A.row(first + i), w, rows + i * w);
        product(rows, count, w, narrow.data(), width, products);
        for (int64_t i = 0; i < count; ++i) std::copy_n(products + i * width, k, out + (first + i) * k);
    });
}

template <class T>
void orthonormalize(const Context& ctx, int64_t n, int64_t w, T* Y, int passes, double* R) {
    std::vector<double> G(static_cast<std::size_t>(w * w)), L, inverse, turned(G.size());
    const auto add = ctx.kernels->f64.add_scaled;
    for (int pass = 0; pass < passes; ++pass) {
        const DenseView<T> view{Y, n, w, w};
        gram(ctx, view, G.data());
        factor(ctx.kernels, G, w, L, inverse);
        for (int64_t a = 0; a < w; ++a)
            for (int64_t b = 0; b < w; ++b) turned[a * w + b] = inverse[b * w + a];
        multiply_rows(ctx, view, turned.data(), w, Y);
        if (!R) continue;
        // R <- L^T R, from the top: a row is made of those from it on.
        for (int64_t a = 0; a < w; ++a) {
            double* row = turned.data() + a * w;
            std::fill_n(row, w, 0.0);
            if (pass == 0)
                for (int64_t b = a; b < w; ++b) row[b] = L[b * w + a];
            else
                for (int64_t m = a; m < w; ++m)
                    if (L[m * w + a] != 0) add(R + m * w, L[m * w + a], w, row);
        }
        std::copy(turned.begin(), turned.end(), R);
    }
}

#define LATOM_INSTANTIATE(T)                                                                      \
    template void multiply_rows(const Context&, const DenseView<T>&, const double*, int64_t, T*); \
    template void orthonormalize(const Context&, int64_t, int64_t, T*, int, double*);
LATOM_INSTANTIATE(float)
LATOM_INSTANTIATE(double)
#undef LATOM_INSTANTIATE

}  // namespace latom
