// rows.h: the one prepared X: one face for dense and sparse rows, checked and measured once.
//
// Rows<View> adds to a view the norms of its rows, whether a number is negative, and the operations that algorithms
// need:
//
//   dot(i, y)        float64 <x_i, y> for a dense y [d]: the fixed order of kernels/dot.inl.h
//   each(i, f)       f(column, value) over the stored entries in order
//   norm2(i)         ||x_i||^2 in float64
//   subset(chosen)   the rows `chosen` in that order, without a copy of any number
//
// Construction reads the data once and refuses what no algorithm can use (acceptable.h, csr_checks.h). Copies share
// what was measured; the arrays of the view must outlive all of them.
//
// Memory    8 bytes per row; a subset takes 8 bytes per row of its own.
#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <utility>

#include "core/prefetch.h"
#include "kernels/short_dot.h"
#include "kernels/table.h"
#include "rows/csr_checks.h"

namespace latom {

template <class View>
inline constexpr bool kIsSparse = false;
template <class T, class I>
inline constexpr bool kIsSparse<CsrView<T, I>> = true;

template <class View>
class Rows {
public:
    using T = typename View::value_type;
    static constexpr bool sparse = kIsSparse<View>;

    /// `name` is what messages call the matrix; `checked` says that the columns of CSR have been.
    Rows(const Context& ctx, const View& view, const std::string& name = "X", [[maybe_unused]] bool checked = false)
        : view_(view), kernels_(ctx.kernels), n_(view.n) {
        if constexpr (sparse)
            if (!checked) check_columns(ctx, name, view.indptr, view.indices, view.n, view.d);
        auto norm2 = std::make_shared<std::vector<double>>(static_cast<std::size_t>(n_));
        const auto dot = kernels_->of<T>().dense_dot;
        std::atomic<bool> negative{false};
        const int64_t bad = first_row(ctx, n_, [&](int64_t i) {
            T lowest{0};
            for (const T *x = values(i), *end = x + size(i); x < end; ++x) lowest = *x < lowest ? *x : lowest;
            if (lowest < 0) negative.store(true, std::memory_order_relaxed);
            const bool is_short = size(i) <= kShortDot;
            (*norm2)[i] = is_short ? short_dot(values(i), values(i), size(i)) : dot(values(i), values(i), size(i));
            return !acceptable(values(i), size(i), (*norm2)[i]);
        });
        if (bad < n_) refuse_row(ctx, name, bad, values(bad), size(bad));
        if constexpr (sparse) stored_ = view_.nnz();
        else stored_ = view_.n * view_.d;
        non_negative_ = !negative;
        norm2_ = std::move(norm2);
    }

    /// Dense rows that have been checked before, when these squared norms were found.
    Rows(const Context& ctx, const View& view, std::shared_ptr<const std::vector<double>> norm2, bool non_negative)
        requires(!sparse)
        : view_(view),
          kernels_(ctx.kernels),
          n_(view.n),
          stored_(view.n * view.d),
          norm2_(std::move(norm2)),
          non_negative_(non_negative) {}

    int64_t n() const { return n_; }
    int64_t d() const { return view_.d; }
    double norm2(int64_t i) const { return (*norm2_)[at(i)]; }
    /// Whether no number of X, the whole of it, is negative.
    bool non_negative() const { return non_negative_; }
    const KernelTable* kernels() const { return kernels_; }
    int64_t stored() const { return stored_; }
    int64_t zero_rows() const {
        int64_t count = 0;
        for (int64_t i = 0; i < n_; ++i) count += !(norm2(i) > 0);
        return count;
    }

    /// The rows `chosen`, each within [0, n), in that order; a row may be chosen more than once.
    Rows subset(const std::vector<int64_t>& chosen) const {
        auto own = std::make_shared<std::vector<int64_t>>(chosen.size());
        Rows part(*this);
        part.n_ = static_cast<int64_t>(chosen.size());
        part.stored_ = 0;
        for (std::size_t r = 0; r < chosen.size(); ++r) {
            (*own)[r] = at(chosen[r]);
            part.stored_ += size(chosen[r]);
        }
        part.chosen_ = std::move(own);
        return part;
    }
    bool whole() const { return !chosen_; }
    /// The arrays as they were given; the rows of a whole matrix alone.
    const View& view() const { return view_; }

    const T* values(int64_t i) const {
        if constexpr (sparse) return view_.data + view_.begin(at(i));
        else return view_.row(at(i));
    }
    const auto* columns(int64_t i) const { return view_.indices + view_.begin(at(i)); }
    int64_t size(int64_t i) const {
        if constexpr (sparse) return view_.size(at(i));
        else return view_.d;
    }

    /// Starts loading row i.
    void prefetch(int64_t i) const {
        if constexpr (!sparse) {
            latom::prefetch(values(i), view_.d);
        } else {
            const auto *value = values(i), *value_end = value + size(i);
            const auto *column = columns(i), *column_end = column + size(i);
            for (; value < value_end; value += 64 / sizeof(*value)) __builtin_prefetch(value);
            for (; column < column_end; column += 64 / sizeof(*column)) __builtin_prefetch(column);
        }
    }

    double dot(int64_t i, const T* y) const {
        if constexpr (sparse) {
            using I = typename View::index_type;
            return kernels_->of<T, I>().sparse_dot(values(i), columns(i), size(i), y);
        } else {
            if (view_.d <= kShortDot) return short_dot(values(i), y, view_.d);
            return kernels_->of<T>().dense_dot(values(i), y, view_.d);
        }
    }

    template <class F>
    void each(int64_t i, F f) const {
        const T* x = values(i);
        const int64_t count = size(i);
        if constexpr (sparse) {
            const auto* column = columns(i);
            for (int64_t p = 0; p < count; ++p) f(static_cast<int64_t>(column[p]), x[p]);
        } else {
            for (int64_t p = 0; p < count; ++p) f(p, x[p]);
        }
    }

private:
    int64_t at(int64_t i) const { return chosen_ ? (*chosen_)[i] : i; }

    View view_;
    const KernelTable* kernels_;
    int64_t n_, stored_ = 0;
    std::shared_ptr<const std::vector<double>> norm2_;    // [rows of the view]
    std::shared_ptr<const std::vector<int64_t>> chosen_;  // [n]; null: all rows
    bool non_negative_ = true;
};

}  // namespace latom
