// transposed_product.cpp: columns gather rows of W, block of X after block of X.
#include "engines/gather/transposed_product.h"

#include <algorithm>

namespace latom {
namespace {

// By measurement (arXiv abstracts, k = 32 to 256): shorter slices spend more on starting than the cache saves.
constexpr int64_t kSliceBytes = 1024;  // of a row of W that is gathered in one pass over the blocks
constexpr int64_t kApart = 64;  // entries whose sum is made apart: a column of very many would lose digits one by one

}  // namespace

template <class T>
void transposed_product(const Context& ctx, const Transposed<T>& X, const DenseView<T>& W, T* out) {
    const int64_t k = W.d, slice = kSliceBytes / static_cast<int64_t>(sizeof(T));
    const std::vector<int64_t>& borders = X.borders();
    const int64_t chunks = static_cast<int64_t>(borders.size()) - 1;
    const auto add = ctx.kernels->of<T, int32_t>().gather_add;
    // All chunks of one slice before those of the next: threads then share what the cache holds of W.
    parallel_for(ctx, chunks * chunk_count(k, slice), [&](int64_t chunk, int) {
        const int64_t column = chunk / chunks * slice, width = std::min(slice, k - column);
        const int64_t first = borders[chunk % chunks], last = borders[chunk % chunks + 1];
        for (int64_t j = first; j < last; ++j) std::fill_n(out + j * k + column, width, T{0});
        T partial[kSliceBytes / sizeof(T)];
        X.each_segment(first, last,
                       [&](int64_t j, int64_t row, const int32_t* rows, const T* values, int64_t count, int64_t ahead) {
                           T* sum = out + j * k + column;
                           const bool apart = count >= kApart;
                           if (apart) std::fill_n(partial, width, T{0});
                           add(rows, values, count, ahead, W.row(row) + column, W.stride, width, apart ? partial : sum);
                           if (apart)
                               for (int64_t c = 0; c < width; ++c) sum[c] += partial[c];
                       });
    });
}

template void transposed_product(const Context&, const Transposed<float>&, const DenseView<float>&, float*);
template void transposed_product(const Context&, const Transposed<double>&, const DenseView<double>&, double*);

}  // namespace latom
