// reconstruct.cpp: rows from codes, what they lack, and the slopes, a row at a time while its latents are hot.
#include <algorithm>

#include "core/buffer.h"
#include "engines/gather/latent_lists.h"
#include "latom/train.h"

namespace latom {
namespace {

constexpr int64_t kRows = 16;  // of a chunk

/// Pointers for dense_dots, which scores pairs.
template <class T>
struct Pairs {
    std::vector<const T*> row, atom;
    std::vector<double> dot;

    // out [nnz of row i] = scale <x, W[index_p]>, 0 where a value is 0.
    void products(const Context& ctx, const Codes<T, int32_t>& codes, int64_t i, const T* x, const DenseView<T>& W,
                  double scale, T* out) {
        const int64_t first = codes.indptr[i], count = codes.indptr[i + 1] - first;
        row.assign(static_cast<std::size_t>(count), x);
        atom.resize(row.size());
        dot.resize(row.size());
        for (int64_t p = 0; p < count; ++p) atom[p] = W.row(codes.indices[first + p]);
        ctx.kernels->of<T>().dense_dots(atom.data(), row.data(), count, W.d, dot.data());
        for (int64_t p = 0; p < count; ++p) {
            const bool live = !codes.values || codes.values[first + p] != T{0};
            out[first + p] = live ? static_cast<T>(scale * dot[p]) : T{0};
        }
    }
};

}  // namespace

template <class T>
void products_at(const Context& ctx, const Codes<T, int32_t>& codes, const T* rows, const DenseView<T>& W, double scale,
                 T* out) {
    const int64_t chunks = chunk_count(codes.n, kRows);
    std::vector<Pairs<T>> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t chunk, int worker) {
        for (int64_t i = chunk * kRows; i < std::min(codes.n, (chunk + 1) * kRows); ++i)
            scratch[worker].products(ctx, codes, i, rows + i * W.d, W, scale, out);
    });
}

template <class T>
void reconstruct(const Context& ctx, const Codes<T, int32_t>& codes, const T* X, const DenseView<T>& W_dec,
                 const T* bias, double scale, T* residual, T* slope, double* squared) {
    const int64_t d = W_dec.d, chunks = chunk_count(codes.n, kRows);
    const auto add = ctx.kernels->of<T, int32_t>().gather_add;
    const auto dot = ctx.kernels->of<T>().dense_dot;
    std::vector<Pairs<T>> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t chunk, int worker) {
        const int64_t last = std::min(codes.n, (chunk + 1) * kRows);
        for (int64_t i = chunk * kRows; i < last; ++i) {
            const int64_t p = codes.indptr[i];
            const T* x = X + i * d;
            T* r = residual + i * d;
            for (int64_t c = 0; c < d; ++c) r[c] = bias ? bias[c] : T{0};
            add(codes.indices + p, codes.values + p, codes.indptr[i + 1] - p, codes.indptr[last] - p, W_dec.data,
                W_dec.stride, d, r);
            for (int64_t c = 0; c < d; ++c) r[c] -= x[c];
            squared[i] = dot(r, r, d);
            scratch[worker].products(ctx, codes, i, r, W_dec, scale, slope);
        }
    });
}

template <class T>
void gather_by_latent(const Context& ctx, const Codes<T, int32_t>& codes, const DenseView<T>& rows, int64_t m, T* out) {
    constexpr int64_t kLatents = 64;
    const int64_t nnz = codes.indptr[codes.n], d = rows.d;
    LatentLists lists(m);
    lists.count(codes.indices, nnz);
    lists.finish();
    AlignedVector<int32_t> row(static_cast<std::size_t>(nnz));
    AlignedVector<T> value(static_cast<std::size_t>(nnz));
    for (int64_t i = 0; i < codes.n; ++i)
        for (int64_t p = codes.indptr[i]; p < codes.indptr[i + 1]; ++p) {
            const int64_t at = lists.place(codes.indices[p]);
            row[at] = static_cast<int32_t>(i);
            value[at] = codes.values[p];
        }
    const int64_t width = batch_columns<T>(rows.n, d), blocks = chunk_count(m, kLatents);
    const int64_t chunks = blocks * chunk_count(d, width);
    std::vector<AlignedVector<T>> partial(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t chunk, int worker) {  // all latents of a slice before those of the next
        const int64_t column = chunk / blocks * width, block = chunk % blocks;
        const DenseView<T> slice{rows.data + column, rows.n, std::min(width, d - column), rows.stride};
        partial[worker].resize(static_cast<std::size_t>(width));
        const int64_t last = std::min(m, (block + 1) * kLatents), end = lists.begin(last);
        for (int64_t j = block * kLatents; j < last; ++j) {
            const int64_t p = lists.begin(j);
            std::fill_n(out + j * d + column, slice.d, T{0});
            gather_run(ctx.kernels, row.data() + p, value.data() + p, lists.size(j), end - p, slice,
                       partial[worker].data(), out + j * d + column);
        }
    });
}

#define LATOM_INSTANTIATE(T)                                                                                        \
    template void products_at(const Context&, const Codes<T, int32_t>&, const T*, const DenseView<T>&, double, T*); \
    template void reconstruct(const Context&, const Codes<T, int32_t>&, const T*, const DenseView<T>&, const T*,    \
                              double, T*, T*, double*);                                                             \
    template void gather_by_latent(const Context&, const Codes<T, int32_t>&, const DenseView<T>&, int64_t, T*);
LATOM_INSTANTIATE(float)
LATOM_INSTANTIATE(double)
#undef LATOM_INSTANTIATE

}  // namespace latom
