// transposed.cpp: counting sort within blocks of rows; then columns gather, block after block.
#include "algorithms/factorize/transposed.h"

#include <algorithm>
#include <limits>

#include "algorithms/rows.h"

namespace latom {
namespace {

// By measurement (arXiv abstracts, k = 32 to 256): shorter slices and blocks spend more on starting than the cache
// saves.
constexpr int64_t kSliceBytes = 1024;  // of a row of W that is gathered in one pass over the blocks
constexpr int64_t kBlockRows = 8192;
constexpr int64_t kDensity = 8;  // entries a column and block, on average, at least
constexpr int64_t kApart = 64;   // entries whose sum is made apart: a column of very many would lose digits one by one
constexpr int64_t kChunks = 16;  // more would share less of a block's rows

}  // namespace

template <class T>
template <class I>
Transposed<T>::Transposed(const Context& ctx, const CsrView<T, I>& X, int64_t rows_per_block) : n_(X.n), d_(X.d) {
    const int64_t nnz = X.nnz(), most = std::clamp<int64_t>(nnz / (kDensity * d_), 1, chunk_count(n_, kBlockRows));
    rows_ = rows_per_block > 0 ? rows_per_block : chunk_count(n_, most);
    rows_ = std::min<int64_t>(rows_, std::numeric_limits<int32_t>::max());
    blocks_ = chunk_count(n_, rows_);
    starts_.resize(static_cast<std::size_t>(blocks_ * (d_ + 1)));
    rows_of_.resize(static_cast<std::size_t>(nnz));
    values_.resize(static_cast<std::size_t>(nnz));
    parallel_for(ctx, blocks_, [&](int64_t b, int) {
        int64_t* start = starts_.data() + b * (d_ + 1);
        const int64_t first = b * rows_, last = std::min(n_, first + rows_);
        const int64_t from = X.begin(first), end = X.indptr[last];
        std::fill_n(start, d_ + 1, int64_t{0});
        for (int64_t p = from; p < end; ++p) ++start[X.indices[p]];
        for (int64_t j = 0, next = from; j <= d_; ++j) {
            const int64_t count = start[j];
            start[j] = next;
            next += count;
        }
        for (int64_t i = first; i < last; ++i)
            for (int64_t p = X.begin(i); p < X.indptr[i + 1]; ++p) {
                const int64_t at = start[X.indices[p]]++;
                rows_of_[at] = static_cast<int32_t>(i - first);
                values_[at] = X.data[p];
            }
        for (int64_t j = d_; j > 0; --j) start[j] = start[j - 1];  // each had moved to where the next began
        start[0] = from;
    });

    borders_.push_back(0);
    for (int64_t j = 0, seen = 0; j < d_; ++j) {
        for (int64_t b = 0; b < blocks_; ++b) seen += starts_[b * (d_ + 1) + j + 1] - starts_[b * (d_ + 1) + j];
        if (seen * kChunks >= static_cast<int64_t>(borders_.size()) * nnz || j + 1 == d_) borders_.push_back(j + 1);
    }
}

template <class T>
void Transposed<T>::product(const Context& ctx, const DenseView<T>& W, T* out) const {
    const int64_t k = W.d, slice = kSliceBytes / static_cast<int64_t>(sizeof(T));
    const int64_t chunks = static_cast<int64_t>(borders_.size()) - 1;
    const auto add = detail::gather_add(ctx.kernels, T{}, int32_t{});
    // All chunks of one slice before those of the next: threads then share what the cache holds of W.
    parallel_for(ctx, chunks * chunk_count(k, slice), [&](int64_t chunk, int) {
        const int64_t column = chunk / chunks * slice, width = std::min(slice, k - column);
        const int64_t first = borders_[chunk % chunks], last = borders_[chunk % chunks + 1];
        for (int64_t j = first; j < last; ++j) std::fill_n(out + j * k + column, width, T{0});
        T partial[kSliceBytes / sizeof(T)];
        each_segment(first, last,
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

template class Transposed<float>;
template class Transposed<double>;
template Transposed<float>::Transposed(const Context&, const CsrView<float, int32_t>&, int64_t);
template Transposed<float>::Transposed(const Context&, const CsrView<float, int64_t>&, int64_t);
template Transposed<double>::Transposed(const Context&, const CsrView<double, int32_t>&, int64_t);
template Transposed<double>::Transposed(const Context&, const CsrView<double, int64_t>&, int64_t);

}  // namespace latom
