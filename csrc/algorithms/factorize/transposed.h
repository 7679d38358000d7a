// transposed.h: X^T W for CSR X [n, d], W [n, k].
//
//   out_j = sum_i X[i][j] W_i        over the stored entries, i rising; a block's sum apart where it has many
//
// A copy of X turned within blocks of rows: entries of a block by column, then by row. Sweeping block after block, the
// rows of W that a column gathers are in the second cache. In T, products rounded before they are added: the same bits
// for every number of threads and every kernel variant.
#pragma once

#include <vector>

#include "core/buffer.h"
#include "latom/context.h"
#include "latom/views.h"

namespace latom {

template <class T>
class Transposed {
public:
    /// rows_per_block 0 chooses: as many as the second cache holds some columns of, more where blocks would be too
    /// sparse.
    template <class I>
    Transposed(const Context& ctx, const CsrView<T, I>& X, int64_t rows_per_block = 0);

    /// out [d, k]. Cost: 2 nnz k flops.
    void product(const Context& ctx, const DenseView<T>& W, T* out) const;

    int64_t n() const { return n_; }
    int64_t d() const { return d_; }
    int64_t nnz() const { return static_cast<int64_t>(values_.size()); }

    /// f(block's first row, entries of a column in it: rows within the block, values, count, count up to the chunk's
    /// end) for each block, for columns [first, last) that have entries there: f(j, ...).
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
    AlignedVector<int64_t> starts_;   // [blocks, d + 1]: where columns of a block start
    AlignedVector<int32_t> rows_of_;  // [nnz], within the block
    AlignedVector<T> values_;         // [nnz]
    std::vector<int64_t> borders_;
};

}  // namespace latom
