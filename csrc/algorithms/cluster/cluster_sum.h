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
#include <cmath>
#include <cstring>
#include <vector>

#include "core/bin_grid.h"
#include "rows/rows.h"

namespace latom {

/// Dense rows which [count], times factor [count], to sum [levels, d].
template <class T>
void add_dense(const Rows<DenseView<T>>& rows, const int64_t* which, const double* factor, int64_t count,
               const BinGrid& grid, std::int64_t* sum) {
    constexpr int64_t kTogether = 16;  // their columns pass through registers together: they stay in the first cache
    const auto add = rows.kernels()->template of<T>().add_binned;
    const T* row[kTogether];
    for (int64_t from = 0; from < count; from += kTogether) {
        const int64_t some = std::min(kTogether, count - from);
        for (int64_t r = 0; r < some; ++r) row[r] = rows.values(which[from + r]);
        for (int64_t next = from + kTogether; next < std::min(count, from + 2 * kTogether); ++next)
            rows.prefetch(which[next]);
        add(row, factor + from, some, rows.d(), grid.magic(), grid.levels(), sum);
    }
}

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
            few_ = d <= kFewColumns;
            if constexpr (kIsSparse<View>) touched_.assign(static_cast<std::size_t>(chunk_count(d, kBlock)), few_);
        } else {
            clear();
        }
    }

    /// Adds the rows which [count], times factor [count].
    void add(const Rows<View>& rows, const int64_t* which, const double* factor, int64_t count) {
        if constexpr (kIsSparse<View>) {
            using I = typename View::index_type;
            const auto scatter = rows.kernels()->template of<T, I>().scatter_binned;
            char* const touched = few_ ? nullptr : touched_.data();
            for (int64_t r = 0; r < count; ++r) {
                if (r + 2 * kAhead < count && rows.whole())  // where the row lies
                    __builtin_prefetch(rows.view().indptr + which[r + 2 * kAhead]);
                if (r + kAhead < count) rows.prefetch(which[r + kAhead]);
                const int64_t i = which[r];
                scatter(rows.values(i), rows.columns(i), rows.size(i), factor[r], grid_.magic(), grid_.levels(),
                        sum_.data(), touched);
            }
        } else {
            add_dense(rows, which, factor, count, grid_, sum_.data());
        }
    }

    /// Adds what another holds, whose grid may be finer; this one's must be the coarser of the two.
    void merge(const ClusterSum& other) {
        other.each_run([&](int64_t from, int64_t to) {
            for (int64_t t = from; t < to; ++t) grid_.merge(other.grid_, other.at(t), at(t), other.step(), step());
        });
        for (std::size_t block = 0; block < touched_.size(); ++block) touched_[block] |= other.touched_[block];
    }

    /// Appends the float64 sums by rising column: all of dense rows, without their columns; of CSR rows those that are
    /// not 0.
    void read(const KernelTable* kernels, std::vector<int32_t>& column, std::vector<double>& value) const {
        each_run([&](int64_t from, int64_t to) {
            double all[kRun], some[kRun];
            int32_t at_column[kRun];
            for (int64_t t = from; t < to; t += kRun) {
                const int64_t count = std::min(kRun, to - t);
                kernels->binned_values(at(t), count, step(), grid_.unit(), grid_.levels(), all);
                if constexpr (!kIsSparse<View>) {
                    value.insert(value.end(), all, all + count);
                } else {
                    int64_t left = 0;
                    for (int64_t c = 0; c < count; ++c) {
                        some[left] = all[c];
                        at_column[left] = static_cast<int32_t>(t + c);
                        left += all[c] != 0;
                    }
                    value.insert(value.end(), some, some + left);
                    column.insert(column.end(), at_column, at_column + left);
                }
            }
        });
    }
    /// f(column, integers, distance between their levels), columns rising: those that rows may have touched.
    template <class F>
    void each_integers(F f) const {
        each_run([&](int64_t from, int64_t to) {
            for (int64_t t = from; t < to; ++t) f(t, at(t), step());
        });
    }
    /// Those of dense rows, [levels, d].
    const std::int64_t* integers() const { return sum_.data(); }
    const BinGrid& grid() const { return grid_; }

private:
    static constexpr int64_t kBlock = 8;          // columns that one flag stands for, as scatter_binned has it
    static constexpr int64_t kFewColumns = 1024;  // up to these, reading all costs less than flags; by measurement
    static constexpr int64_t kRun = 128;          // values that are read at a time
    static constexpr int64_t kAhead = 4;          // rows that are on their way while one is added; by measurement

    // Dense sums stand level by level, so that columns are vectors; sparse ones column by column, a line or two per
    // entry.
    int64_t step() const { return kIsSparse<View> ? 1 : d_; }
    std::int64_t* at(int64_t t) { return sum_.data() + (kIsSparse<View> ? t * grid_.levels() : t); }
    const std::int64_t* at(int64_t t) const { return sum_.data() + (kIsSparse<View> ? t * grid_.levels() : t); }

    static const char* next(const char* from, const char* end, int flag) {
        const void* at = std::memchr(from, flag, static_cast<std::size_t>(end - from));
        return at ? static_cast<const char*>(at) : end;
    }
    // f(from, to) for columns [from, to) that rows may have touched.
    template <class F>
    void each_run(F f) const {
        if constexpr (kIsSparse<View>) {
            const char *begin = touched_.data(), *end = begin + touched_.size();
            for (const char* first = begin; (first = next(first, end, 1)) != end;) {
                const char* last = next(first, end, 0);
                f((first - begin) * kBlock, std::min(d_, (last - begin) * kBlock));
                first = last;
            }
        } else {
            f(int64_t{0}, d_);
        }
    }
    void clear() {
        each_run([&](int64_t from, int64_t to) {
            if constexpr (kIsSparse<View>) std::fill(at(from), at(to), 0);
            else std::fill(sum_.begin(), sum_.end(), 0);
        });
        std::fill(touched_.begin(), touched_.end(), few_);
    }

    BinGrid grid_;
    int64_t d_ = 0;
    bool few_ = false;  // columns: CSR rows count as touching all
    std::vector<std::int64_t> sum_;
    std::vector<char> touched_;  // per block of columns: 1 where CSR rows that have been added have an entry
};

}  // namespace latom
