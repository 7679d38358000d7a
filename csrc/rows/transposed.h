// transposed.h: CSR rows by columns, so that a column, or what it is multiplied with, meets only the rows that hold it.
//
// A copy of X turned within blocks of rows: the entries of a block stand by column, then by row. So what the rows of
// one block refer to stays in the second cache while columns pass over it. Columns of few entries would have hardly one
// per block and cost a start each, so their blocks are longer: columns with about as many entries make a part, which
// has blocks of its own.
//
// Memory    as much as X, and 8 bytes per column and block of its part.
#pragma once

#include <vector>

#include "core/buffer.h"
#include "rows/rows.h"

namespace latom {

template <class T>
class Transposed {
public:
    /// rows_per_block 0 chooses; else there is one part, whose blocks have as many.
    template <class I>
    Transposed(const Context& ctx, const Rows<CsrView<T, I>>& X, int64_t rows_per_block = 0);

    int64_t n() const { return n_; }
    int64_t d() const { return d_; }
    int64_t nnz() const { return static_cast<int64_t>(values_.size()); }

    /// The entries of a column in a block: rows counted from the block's first, rising, and their values.
    struct Segment {
        const int32_t* rows;
        const T* values;
        int64_t count;
    };

    /// Columns whose entries stand in the same blocks of rows.
    class Part {
    public:
        int64_t count() const { return static_cast<int64_t>(columns_.size()); }
        /// Rising.
        const std::vector<int32_t>& columns() const { return columns_; }
        int64_t blocks() const { return blocks_; }
        int64_t block_rows() const { return rows_; }
        /// Where the entries of block b begin, by place among the columns; [count + 1].
        const int64_t* starts(int64_t b) const { return starts_.data() + b * (count() + 1); }

    private:
        friend class Transposed;
        std::vector<int32_t> columns_;
        int64_t rows_ = 1, blocks_ = 0;
        AlignedVector<int64_t> starts_;  // [blocks, count + 1]
    };
    const std::vector<Part>& parts() const { return parts_; }

    /// f(place, segment, entries up to the end of these columns in the block) for those of the places [first, last)
    /// that have entries in block b of a part.
    template <class F>
    void each_of_block(const Part& part, int64_t b, int64_t first, int64_t last, F f) const {
        const int64_t *start = part.starts(b), end = start[last];
        for (int64_t c = first; c < last; ++c)
            if (start[c] < start[c + 1])
                f(c, Segment{rows_of_.data() + start[c], values_.data() + start[c], start[c + 1] - start[c]},
                  end - start[c]);
    }
    /// Where rows_per_block was given.
    Segment segment(int64_t block, int64_t column) const {
        const int64_t* start = parts_[0].starts(block) + column;
        return {rows_of_.data() + start[0], values_.data() + start[0], start[1] - start[0]};
    }

    /// f(column, the block's first row, segment, entries up to the end of these columns in the block) for those of the
    /// columns [first, last) that have entries in a block; the blocks of a column rise.
    template <class F>
    void each_segment(int64_t first, int64_t last, F f) const {
        for (const Part& part : parts_) {
            const auto& columns = part.columns();
            const auto place = [&](int64_t j) {
                return std::lower_bound(columns.begin(), columns.end(), j) - columns.begin();
            };
            const int64_t from = place(first), to = place(last);
            for (int64_t b = 0; b < part.blocks(); ++b)
                each_of_block(part, b, from, to, [&](int64_t c, const Segment& segment, int64_t ahead) {
                    f(columns[c], b * part.block_rows(), segment, ahead);
                });
        }
    }
    /// Chunks of columns with about as many entries each; borders [chunks + 1].
    const std::vector<int64_t>& borders() const { return borders_; }

private:
    void divide(const std::vector<int64_t>& entries, int64_t shortest, bool one);

    int64_t n_, d_;
    std::vector<Part> parts_;
    AlignedVector<int32_t> rows_of_;  // [nnz], within the block
    AlignedVector<T> values_;         // [nnz]
    std::vector<int64_t> borders_;
};

}  // namespace latom
