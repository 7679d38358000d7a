// transposed.h: CSR rows by columns, so that a column, or what it is multiplied with, meets only the rows that hold it.
//
// A copy of X turned within blocks of rows: the entries of a block stand by column, then by row. So what the rows of
// one block refer to stays in the second cache while all columns pass over it.
//
// Memory    as much as X, and 8 bytes per column and block.
#pragma once

#include <vector>

#include "core/buffer.h"
#include "rows/rows.h"

namespace latom {

template <class T>
class Transposed {
public:
    /// rows_per_block 0 chooses: as many as the second cache holds some columns of, more where blocks would be too
    /// sparse.
    template <class I>
    Transposed(const Context& ctx, const Rows<CsrView<T, I>>& X, int64_t rows_per_block = 0);

    int64_t n() const { return n_; }
    int64_t d() const { return d_; }
    int64_t nnz() const { return static_cast<int64_t>(values_.size()); }
    int64_t blocks() const { return blocks_; }
    /// The rows of block b are [first_row(b), first_row(b + 1)).
    int64_t first_row(int64_t b) const { return std::min(n_, b * rows_); }
    int64_t block_rows() const { return rows_; }

    /// The entries of a column in a block: rows counted from the block's first, rising, and their values.
    struct Segment {
        const int32_t* rows;
        const T* values;
        int64_t count;
    };
    Segment segment(int64_t block, int64_t column) const {
        const int64_t* start = starts_.data() + block * (d_ + 1) + column;
        return {rows_of_.data() + start[0], values_.data() + start[0], start[1] - start[0]};
    }

    /// f(column, the block's first row, rows, values, count, entries up to the end of these columns in the block) for
    /// each block and, within it, for each of the columns [first, last) that has entries there.
    template <class F>
    void each_segment(int64_t first, int64_t last, F f) const {
        for (int64_t b = 0; b < blocks_; ++b) {
            const int64_t* start = starts_.data() + b * (d_ + 1);
            const int64_t end = start[last];
            for (int64_t j = first; j < last; ++j)
                if (start[j] < start[j + 1])
                    f(j, b * rows_, rows_of_.data() + start[j], values_.data() + start[j], start[j + 1] - start[j],
                      end - start[j]);
        }
    }
    /// Chunks of columns with about as many entries each; borders [chunks + 1].
    const std::vector<int64_t>& borders() const { return borders_; }

private:
    int64_t n_, d_, rows_, blocks_;
    AlignedVector<int64_t> starts_;   // [blocks, d + 1]: where the columns of a block start
    AlignedVector<int32_t> rows_of_;  // [nnz], within the block
    AlignedVector<T> values_;         // [nnz]
    std::vector<int64_t> borders_;
};

}  // namespace latom
