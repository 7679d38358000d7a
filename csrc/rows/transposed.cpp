// transposed.cpp: two passes over the rows: columns are counted in runs of rows, then each run fills its own places.
#include "rows/transposed.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace latom {
namespace {

// By measurement (arXiv abstracts, k = 32 to 256).
constexpr int64_t kBlockRows = 4096;    // of the shortest blocks
constexpr int64_t kDensity = 32;        // entries of a column in a block, on average, at least
constexpr int64_t kChunks = 16;         // of columns; more would share less of a block's rows
constexpr int64_t kMostRows = 1 << 30;  // of a block, whose rows are counted in 32 bits

/// Chunks of columns with about as many entries each.
std::vector<int64_t> borders_of(const std::vector<int64_t>& entries, int64_t nnz) {
    std::vector<int64_t> borders{0};
    const auto d = static_cast<int64_t>(entries.size());
    for (int64_t j = 0, seen = 0; j < d; ++j) {
        seen += entries[j];
        if (seen * kChunks >= static_cast<int64_t>(borders.size()) * nnz || j + 1 == d) borders.push_back(j + 1);
    }
    return borders;
}

}  // namespace

/// Parts whose blocks have `shortest` rows, twice as many and so on, without columns so far; or one part.
template <class T>
void Transposed<T>::divide(const std::vector<int64_t>& entries, int64_t shortest, bool one) {
    for (int64_t rows = shortest;; rows *= 2) {
        parts_.emplace_back();
        parts_.back().rows_ = rows;
        parts_.back().blocks_ = std::max<int64_t>(1, chunk_count(n_, rows));
        if (one || rows >= n_ || rows > kMostRows / 2) break;
    }
    for (int64_t j = 0; j < d_; ++j) {
        std::size_t t = 0;
        while (t + 1 < parts_.size() && parts_[t].blocks_ * kDensity > entries[j]) ++t;
        parts_[t].columns_.push_back(static_cast<int32_t>(j));
    }
    std::erase_if(parts_, [&](const Part& part) { return !one && part.columns_.empty(); });
    for (Part& part : parts_) part.starts_.resize(static_cast<std::size_t>(part.blocks_ * (part.count() + 1)));
}

template <class T>
template <class I>
Transposed<T>::Transposed(const Context& ctx, const Rows<CsrView<T, I>>& X, int64_t rows_per_block)
    : n_(X.n()), d_(X.d()) {
    const int64_t nnz = X.stored();
    int64_t rows = std::clamp<int64_t>(rows_per_block > 0 ? rows_per_block : kBlockRows, 1, kMostRows);
    // A run lies within one block of each part. Runs count all columns: not in more memory than X has.
    if (rows_per_block <= 0)
        while (rows < n_ && chunk_count(n_, rows) * d_ > nnz / 2) rows *= 2;
    const int64_t runs = chunk_count(n_, rows);
    AlignedVector<int64_t> next(static_cast<std::size_t>(runs * d_));  // counts; then where a run's entries go
    const auto each_row = [&](int64_t r, auto f) {
        for (int64_t i = r * rows; i < std::min(n_, (r + 1) * rows); ++i) f(i);
    };
    parallel_for(ctx, runs, [&](int64_t r, int) {
        int64_t* count = next.data() + r * d_;
        std::fill_n(count, d_, int64_t{0});
        each_row(r, [&](int64_t i) {
            for (const I *column = X.columns(i), *end = column + X.size(i); column < end; ++column) ++count[*column];
        });
    });
    std::vector<int64_t> entries(static_cast<std::size_t>(d_), 0);
    constexpr int64_t kColumns = 4096;
    parallel_for(ctx, chunk_count(d_, kColumns), [&](int64_t c, int) {
        for (int64_t r = 0; r < runs; ++r)
            for (int64_t j = c * kColumns; j < std::min(d_, (c + 1) * kColumns); ++j) entries[j] += next[r * d_ + j];
    });
    divide(entries, rows, rows_per_block > 0);

    struct Block {
        Part* part;
        int64_t b, entries;
    };
    std::vector<Block> blocks;
    for (Part& part : parts_)
        for (int64_t b = 0; b < part.blocks_; ++b) blocks.push_back({&part, b, 0});
    const auto each_count = [&](const Block& block, auto f) {  // f(place, that of a run), run by run
        const Part& part = *block.part;
        const int64_t each = part.rows_ / rows, last = std::min(runs, (block.b + 1) * each);
        for (int64_t r = block.b * each; r < last; ++r)
            for (int64_t c = 0; c < part.count(); ++c) f(c, next[r * d_ + part.columns_[c]]);
    };
    const auto start_of = [](const Block& block) {
        return block.part->starts_.data() + block.b * (block.part->count() + 1);
    };
    parallel_for(ctx, static_cast<int64_t>(blocks.size()), [&](int64_t q, int) {
        Block& block = blocks[q];
        int64_t* start = start_of(block);
        std::fill_n(start, block.part->count() + 1, int64_t{0});
        each_count(block, [&](int64_t c, int64_t found) { start[c] += found; });
        block.entries = std::accumulate(start, start + block.part->count(), int64_t{0});
    });
    int64_t before = 0;
    for (Block& block : blocks) before += std::exchange(block.entries, before);
    parallel_for(ctx, static_cast<int64_t>(blocks.size()), [&](int64_t q, int) {
        int64_t *start = start_of(blocks[q]), at = blocks[q].entries;
        const int64_t count = blocks[q].part->count();
        for (int64_t c = 0; c <= count; ++c) at += std::exchange(start[c], at);
        std::vector<int64_t> place(start, start + count);
        each_count(blocks[q], [&](int64_t c, int64_t& found) { place[c] += std::exchange(found, place[c]); });
    });
    std::vector<std::uint8_t> part_of(static_cast<std::size_t>(d_));
    for (std::size_t t = 0; t < parts_.size(); ++t)
        for (const int32_t j : parts_[t].columns_) part_of[j] = static_cast<std::uint8_t>(t);
    rows_of_.resize(static_cast<std::size_t>(nnz));
    values_.resize(static_cast<std::size_t>(nnz));
    parallel_for(ctx, runs, [&](int64_t r, int) {
        int64_t *own = next.data() + r * d_, first[64];  // rows of the blocks of each part
        for (std::size_t t = 0; t < parts_.size(); ++t) first[t] = r * rows / parts_[t].rows_ * parts_[t].rows_;
        each_row(r, [&](int64_t i) {
            X.each(i, [&](int64_t j, T v) {
                const int64_t q = own[j]++;
                rows_of_[q] = static_cast<int32_t>(i - first[part_of[j]]);
                values_[q] = v;
            });
        });
    });
    borders_ = borders_of(entries, nnz);
}

template class Transposed<float>;
template class Transposed<double>;
template Transposed<float>::Transposed(const Context&, const Rows<CsrView<float, int32_t>>&, int64_t);
template Transposed<float>::Transposed(const Context&, const Rows<CsrView<float, int64_t>>&, int64_t);
template Transposed<double>::Transposed(const Context&, const Rows<CsrView<double, int32_t>>&, int64_t);
template Transposed<double>::Transposed(const Context&, const Rows<CsrView<double, int64_t>>&, int64_t);

}  // namespace latom
