// transposed.cpp: a counting sort within each block of rows.
#include "rows/transposed.h"

#include <algorithm>
#include <limits>

namespace latom {
namespace {

// By measurement (arXiv abstracts, k = 32 to 256): shorter blocks spend more on starting than the cache saves.
constexpr int64_t kBlockRows = 8192;
constexpr int64_t kDensity = 8;  // entries per column and block, on average, at least
constexpr int64_t kChunks = 16;  // of columns; more would share less of a block's rows

}  // namespace

template <class T>
template <class I>
Transposed<T>::Transposed(const Context& ctx, const Rows<CsrView<T, I>>& X, int64_t rows_per_block)
    : n_(X.n()), d_(X.d()) {
    const int64_t nnz = X.stored(), longest = std::max<int64_t>(1, chunk_count(n_, kBlockRows));
    const int64_t most = std::clamp<int64_t>(nnz / (kDensity * d_), 1, longest);
    rows_ = rows_per_block > 0 ? rows_per_block : std::max<int64_t>(1, chunk_count(n_, most));
    rows_ = std::min<int64_t>(rows_, std::numeric_limits<int32_t>::max());
    blocks_ = chunk_count(n_, rows_);
    starts_.resize(static_cast<std::size_t>(blocks_ * (d_ + 1)));
    rows_of_.resize(static_cast<std::size_t>(nnz));
    values_.resize(static_cast<std::size_t>(nnz));
    std::vector<int64_t> base(static_cast<std::size_t>(blocks_) + 1, 0);  // entries before each block
    for (int64_t b = 0; b < blocks_; ++b) {
        base[b + 1] = base[b];
        for (int64_t i = first_row(b); i < first_row(b + 1); ++i) base[b + 1] += X.size(i);
    }
    parallel_for(ctx, blocks_, [&](int64_t b, int) {
        int64_t* start = starts_.data() + b * (d_ + 1);
        const int64_t first = first_row(b), last = first_row(b + 1);
        std::fill_n(start, d_ + 1, int64_t{0});
        for (int64_t i = first; i < last; ++i)
            for (const I *column = X.columns(i), *end = column + X.size(i); column < end; ++column) ++start[*column];
        for (int64_t j = 0, next = base[b]; j <= d_; ++j) {
            const int64_t count = start[j];
            start[j] = next;
            next += count;
        }
        for (int64_t i = first; i < last; ++i)
            X.each(i, [&](int64_t j, T v) {
                const int64_t at = start[j]++;
                rows_of_[at] = static_cast<int32_t>(i - first);
                values_[at] = v;
            });
        for (int64_t j = d_; j > 0; --j) start[j] = start[j - 1];  // each had moved to where the next began
        start[0] = base[b];
    });

    borders_.push_back(0);
    for (int64_t j = 0, seen = 0; j < d_; ++j) {
        for (int64_t b = 0; b < blocks_; ++b) seen += starts_[b * (d_ + 1) + j + 1] - starts_[b * (d_ + 1) + j];
        if (seen * kChunks >= static_cast<int64_t>(borders_.size()) * nnz || j + 1 == d_) borders_.push_back(j + 1);
    }
}

template class Transposed<float>;
template class Transposed<double>;
template Transposed<float>::Transposed(const Context&, const Rows<CsrView<float, int32_t>>&, int64_t);
template Transposed<float>::Transposed(const Context&, const Rows<CsrView<float, int64_t>>&, int64_t);
template Transposed<double>::Transposed(const Context&, const Rows<CsrView<double, int32_t>>&, int64_t);
template Transposed<double>::Transposed(const Context&, const Rows<CsrView<double, int64_t>>&, int64_t);

}  // namespace latom
