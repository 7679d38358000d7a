// cluster_sum.h: the sum of a cluster's scaled rows, which can be split, merged and taken back without a changed bit.
//
//   s = sum_i factor_i x_i        in integers on a grid (core/bin_grid.h, kernels/add_binned.inl.h)
//
// Integers add up exactly, so the sum depends on which rows are in it and on nothing else: not on their order, nor on
// how they were divided among threads, batches or machines. A row that leaves a cluster is added with the opposite
// factor.
//
// Memory    16 or 24 bytes per column.        Cost per row: kernels/add_binned.inl.h.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "core/bin_grid.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class ClusterSum {
public:
    using T = typename View::value_type;

    /// Starts from nothing. |factor x| must not exceed the bound of the grid.
    void reset(const BinGrid& grid, int64_t d) {
        const auto size = static_cast<std::size_t>(d * grid.levels());
        if (!(grid == grid_) || sum_.size() != size) {
            grid_ = grid;
            d_ = d;
            sum_.assign(size, 0);
            if constexpr (kIsSparse<View>) touched_.assign(static_cast<std::size_t>(chunk_count(d, 64)), 0);
        } else {
            clear();
        }
    }

    /// Adds the rows which [count], times factor [count].
    void add(const Rows<View>& rows, const int64_t* which, const double* factor, int64_t count) {
        if constexpr (kIsSparse<View>) {
            using I = typename View::index_type;
            const auto scatter = rows.kernels()->template of<T, I>().scatter_binned;
            for (int64_t r = 0; r < count; ++r) {
                if (r + kAhead < count) rows.prefetch(which[r + kAhead]);
                const int64_t i = which[r], nnz = rows.size(i);
                const I* column = rows.columns(i);
                for (int64_t p = 0; p < nnz; ++p) touched_[column[p] >> 6] |= std::uint64_t{1} << (column[p] & 63);
                scatter(rows.values(i), column, nnz, factor[r], grid_.magic(), grid_.levels(), sum_.data());
            }
        } else {
            const auto add = rows.kernels()->template of<T>().add_binned;
            const T* row[kTogether];
            for (int64_t from = 0; from < count; from += kTogether) {
                const int64_t some = std::min(kTogether, count - from);
                for (int64_t r = 0; r < some; ++r) row[r] = rows.values(which[from + r]);
                for (int64_t next = from + kTogether; next < std::min(count, from + 2 * kTogether); ++next)
                    rows.prefetch(which[next]);
                add(row, factor + from, some, d_, grid_.magic(), grid_.levels(), sum_.data());
            }
        }
    }

    /// Adds what another holds, whose grid may be finer; this one's must be the coarser of the two.
    void merge(const ClusterSum& other) {
        other.each_column([&](int64_t t) { grid_.merge(other.grid_, other.at(t), at(t), other.step(), step()); });
        if constexpr (kIsSparse<View>)
            for (std::size_t word = 0; word < touched_.size(); ++word) touched_[word] |= other.touched_[word];
    }

    /// f(column, float64 sum), columns rising: all of dense rows, of CSR rows those that a row had.
    template <class F>
    void each(F f) const {
        each_column([&](int64_t t) { f(t, grid_.value(at(t), step())); });
    }
    const BinGrid& grid() const { return grid_; }

private:
    static constexpr int64_t kTogether =
        16;  // rows whose columns pass through registers together: they stay in the first cache
    static constexpr int64_t kAhead = 4;  // rows that are on their way while one is added; by measurement

    // Dense sums stand level by level, so that columns are vectors; sparse ones column by column, a line or two per
    // entry.
    int64_t step() const { return kIsSparse<View> ? 1 : d_; }
    std::int64_t* at(int64_t t) { return sum_.data() + (kIsSparse<View> ? t * grid_.levels() : t); }
    const std::int64_t* at(int64_t t) const { return sum_.data() + (kIsSparse<View> ? t * grid_.levels() : t); }

    template <class F>
    void each_column(F f) const {
        if constexpr (kIsSparse<View>) {
            for (std::size_t word = 0; word < touched_.size(); ++word)
                for (std::uint64_t bits = touched_[word]; bits; bits &= bits - 1)
                    f(static_cast<int64_t>(word * 64) + std::countr_zero(bits));
        } else {
            for (int64_t t = 0; t < d_; ++t) f(t);
        }
    }
    void clear() {
        if constexpr (kIsSparse<View>) {
            each_column([&](int64_t t) { std::fill_n(at(t), grid_.levels(), 0); });
            std::fill(touched_.begin(), touched_.end(), 0);
        } else {
            std::fill(sum_.begin(), sum_.end(), 0);
        }
    }

    BinGrid grid_;
    int64_t d_ = 0;
    std::vector<std::int64_t> sum_;
    std::vector<std::uint64_t> touched_;  // bits: columns of CSR rows that have been added
};

}  // namespace latom
