// multiply_sparse.cpp: tiles of rows turned, so that a column of X is a line and an atom gathers a few of them.
#include <algorithm>

#include "core/buffer.h"
#include "engines/gather/multiply_sparse.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kTileBytes = 512 << 10;  // of turned rows: they stay in the second cache

}  // namespace

template <class T, class I>
void multiply_sparse(const Context& ctx, const DenseView<T>& X, const CsrView<T, I>& F, T* P) {
    constexpr int64_t kLine = 64 / sizeof(T);
    const int64_t n = X.n, d = X.d, m = F.n;
    const int64_t rows = kLine * std::clamp<int64_t>(kTileBytes / (d * 64), 1, 4), chunks = chunk_count(n, rows);
    const auto transpose = ctx.kernels->of<T>().transpose;
    const auto add = ctx.kernels->of<T, I>().gather_add;
    std::vector<AlignedVector<T>> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        scratch[worker].resize(static_cast<std::size_t>((d + m) * rows));
        T *x = scratch[worker].data(), *p = x + d * rows;
        const int64_t first = c * rows, count = std::min(rows, n - first);
        if (count < rows) std::fill_n(x, d * rows, T{0});
        transpose(X.row(first), count, X.stride, d, x, rows);
        std::fill_n(p, m * rows, T{0});
        for (int64_t t = 0; t < m; ++t)
            add(F.indices + F.begin(t), F.data + F.begin(t), F.size(t), F.size(t), x, rows, rows, p + t * rows);
        transpose(p, m, rows, count, P + first * m, m);
    });
}

template void multiply_sparse(const Context&, const DenseView<float>&, const CsrView<float, int32_t>&, float*);
template void multiply_sparse(const Context&, const DenseView<float>&, const CsrView<float, int64_t>&, float*);
template void multiply_sparse(const Context&, const DenseView<double>&, const CsrView<double, int32_t>&, double*);
template void multiply_sparse(const Context&, const DenseView<double>&, const CsrView<double, int64_t>&, double*);

}  // namespace latom
