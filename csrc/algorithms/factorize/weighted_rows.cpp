// weighted_rows.cpp: a Gram matrix and a Cholesky factor of its own for each row.
#include <algorithm>

#include "core/buffer.h"
#include "latom/spectral.h"
#include "rows/rows.h"

namespace latom {

template <class T, class I>
void weighted_rows(const Context& ctx, const CsrView<T, I>& X, const T* weights, const DenseView<T>& F, double l2,
                   T* W) {
    constexpr int64_t kRows = 16;
    const int64_t n = X.n, k = F.d, chunks = chunk_count(n, kRows);
    const auto add = ctx.kernels->of<T>().add_scaled;
    std::vector<AlignedVector<double>> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        scratch[worker].resize(static_cast<std::size_t>(k * (k + 1)));
        double *A = scratch[worker].data(), *b = A + k * k;
        for (int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i) {
            std::fill_n(A, k * (k + 1), 0.0);
            for (int64_t p = X.begin(i); p < X.begin(i) + X.size(i); ++p) {
                const T* row = F.row(X.indices[p]);
                const double weight = static_cast<double>(weights[p]);
                for (int64_t t = 0; t < k; ++t)
                    add(row + t, weight * static_cast<double>(row[t]), k - t, A + t * k + t);
                add(row, weight * static_cast<double>(X.data[p]), k, b);
            }
            for (int64_t t = 0; t < k; ++t) A[t * (k + 1)] += l2;
            const bool solved = X.size(i) > 0 && ctx.kernels->solve_cholesky(A, b, k);
            for (int64_t t = 0; t < k; ++t) W[i * k + t] = solved ? static_cast<T>(b[t]) : T{0};
        }
    });
}

#define LATOM_INSTANTIATE(T, I) \
    template void weighted_rows(const Context&, const CsrView<T, I>&, const T*, const DenseView<T>&, double, T*);
LATOM_INSTANTIATE(float, int32_t)
LATOM_INSTANTIATE(float, int64_t)
LATOM_INSTANTIATE(double, int32_t)
LATOM_INSTANTIATE(double, int64_t)
#undef LATOM_INSTANTIATE

}  // namespace latom
