// row_postings.h: products of one row with all CSR rows that share a column with it.
//
// Rows stand in slabs whose products fit in the second cache (the blocks of a Transposed); a slab is one thread's work,
// so sums have one order.
//
// Memory    as much as X, and 8 bytes per column and slab.        Cost per row: the rows that hold its columns.
#pragma once

#include <vector>

#include "core/buffer.h"
#include "rows/transposed.h"

namespace latom {

template <class View>
class RowPostings {
public:
    using T = typename View::value_type;

    struct alignas(kCacheLine) Scratch {
        std::vector<double> dot;       // [slab], 0 outside products()
        std::vector<char> seen;        // [slab]
        std::vector<int32_t> touched;  // rows of the slab
        double products = 0;
    };

    RowPostings(const Context& ctx, const Rows<View>& rows) : rows_(rows), columns_(ctx, rows, slab_rows(rows.n())) {}

    int64_t slabs() const { return slab().blocks(); }
    int64_t first(int64_t s) const { return std::min(columns_.n(), s * slab().block_rows()); }
    int64_t last(int64_t s) const { return first(s + 1); }

    /// f(i, <x_i, x_c>) for the rows of slab s that share a column with row c; for all of them if `all`.
    template <class F>
    void products(Scratch& scratch, int64_t s, int64_t c, bool all, F f) const {
        scratch.dot.resize(static_cast<std::size_t>(std::min(columns_.n(), slab().block_rows())), 0.0);
        scratch.seen.resize(scratch.dot.size(), 0);
        scratch.touched.clear();
        rows_.each(c, [&](int64_t t, T y) {
            const auto segment = columns_.segment(s, t);
            for (int64_t p = 0; p < segment.count; ++p) {
                const int32_t i = segment.rows[p];
                const double product = static_cast<double>(segment.values[p]) * static_cast<double>(y);
                scratch.dot[i] += product;
                if (!scratch.seen[i]) scratch.touched.push_back(i);
                scratch.seen[i] = 1;
            }
            scratch.products += static_cast<double>(segment.count);
        });
        const auto leave = [&](int32_t i) {
            f(first(s) + i, scratch.dot[i]);
            scratch.dot[i] = 0;
            scratch.seen[i] = 0;
        };
        if (all)
            for (int64_t i = first(s); i < last(s); ++i) leave(static_cast<int32_t>(i - first(s)));
        else
            for (const int32_t i : scratch.touched) leave(i);
    }

private:
    static int64_t slab_rows(int64_t n) {
        constexpr int64_t kSlabRows = 16384, kMostSlabs = 16;  // so that the sums of a slab fit in the second cache
        return std::max(kSlabRows, chunk_count(chunk_count(n, kMostSlabs), kSlabRows) * kSlabRows);
    }

    const typename Transposed<T>::Part& slab() const { return columns_.parts()[0]; }

    const Rows<View>& rows_;
    Transposed<T> columns_;
};

}  // namespace latom
