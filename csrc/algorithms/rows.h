// rows.h: one face for dense and sparse rows, so that an algorithm is written once.
//
// Rows<View> adds to a view the norms of its rows and the operations that algorithms need:
//
//   dot(i, y)        float64 <x_i, y> for a dense y [d]: the fixed order of kernels/dot.inl.h
//   each(i, f)       f(column, value) over the stored entries in order
//   norm2(i)         ||x_i||^2 in float64
//
// Construction reads the data once and refuses what no algorithm can use: NaN, infinity, squares that overflow, and
// CSR arrays that are not CSR.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "core/message.h"
#include "core/parallel.h"
#include "core/prefetch.h"
#include "kernels/table.h"
#include "latom/views.h"

namespace latom {

template <class View>
inline constexpr bool kIsSparse = false;
template <class T, class I>
inline constexpr bool kIsSparse<CsrView<T, I>> = true;

namespace detail {

inline auto dense_dot(const KernelTable* k, float) {
    return k->dense_dot_f32;
}
inline auto dense_dot(const KernelTable* k, double) {
    return k->dense_dot_f64;
}
inline auto dense_dots(const KernelTable* k, float) {
    return k->dense_dots_f32;
}
inline auto dense_dots(const KernelTable* k, double) {
    return k->dense_dots_f64;
}
inline auto add_scaled(const KernelTable* k, float) {
    return k->add_scaled_f32;
}
inline auto add_scaled(const KernelTable* k, double) {
    return k->add_scaled_f64;
}
inline auto sparse_dot(const KernelTable* k, float, int32_t) {
    return k->sparse_dot_f32_i32;
}
inline auto sparse_dot(const KernelTable* k, float, int64_t) {
    return k->sparse_dot_f32_i64;
}
inline auto sparse_dot(const KernelTable* k, double, int32_t) {
    return k->sparse_dot_f64_i32;
}
inline auto sparse_dot(const KernelTable* k, double, int64_t) {
    return k->sparse_dot_f64_i64;
}
inline auto gather_add(const KernelTable* k, float, int32_t) {
    return k->gather_add_f32_i32;
}
inline auto gather_add(const KernelTable* k, float, int64_t) {
    return k->gather_add_f32_i64;
}
inline auto gather_add(const KernelTable* k, double, int32_t) {
    return k->gather_add_f64_i32;
}
inline auto gather_add(const KernelTable* k, double, int64_t) {
    return k->gather_add_f64_i64;
}

inline auto sparse_scores(const KernelTable* k, float, int32_t) {
    return k->sparse_scores_f32_i32;
}
inline auto sparse_scores(const KernelTable* k, float, int64_t) {
    return k->sparse_scores_f32_i64;
}
inline auto sparse_scores(const KernelTable* k, double, int32_t) {
    return k->sparse_scores_f64_i32;
}
inline auto sparse_scores(const KernelTable* k, double, int64_t) {
    return k->sparse_scores_f64_i64;
}

/// The lowest row for which bad(i) holds, or n.
template <class Bad>
int64_t first_row(const Context& ctx, int64_t n, Bad bad) {
    constexpr int64_t kRows = 4096;
    const int64_t chunks = chunk_count(n, kRows);
    std::vector<int64_t> found(static_cast<std::size_t>(chunks), n);
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        for (int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i)
            if (bad(i)) {
                found[c] = i;
                return;
            }
    });
    return found.empty() ? n : *std::min_element(found.begin(), found.end());
}

}  // namespace detail

/// Lowest row of a CSR matrix whose columns are not strictly increasing, or n. indptr must have been checked.
template <class I>
int64_t first_uncanonical_row(const Context& ctx, const int64_t* indptr, const I* indices, int64_t n) {
    return detail::first_row(ctx, n, [=](int64_t i) {
        for (int64_t p = indptr[i] + 1; p < indptr[i + 1]; ++p)
            if (!(indices[p - 1] < indices[p])) return true;
        return false;
    });
}

/// Throws unless indptr [size] rises from 0 to at most nnz.
inline void check_indptr(const std::string& function, const std::string& name, const int64_t* indptr, int64_t size,
                         int64_t nnz) {
    const std::string remedy = "Rebuild the matrix, for example with scipy.sparse.csr_array(X.tocoo()).";
    if (size < 1) fail(function, name + ".indptr must hold one number more than rows", size, remedy);
    if (indptr[0] != 0) fail(function, name + ".indptr must start at 0", indptr[0], remedy);
    for (int64_t i = 0; i + 1 < size; ++i)
        if (indptr[i + 1] < indptr[i])
            fail(function, name + ".indptr must not decrease", "a decrease at row " + std::to_string(i), remedy);
    if (indptr[size - 1] > nnz)
        fail(function, name + ".indptr must end within indices and data (" + std::to_string(nnz) + ")",
             indptr[size - 1], remedy);
}

template <class View>
class Rows {
public:
    using T = typename View::value_type;
    static constexpr bool sparse = kIsSparse<View>;

    /// `name` is what messages call the matrix.
    Rows(const Context& ctx, const View& view, const std::string& function, const std::string& name = "X")
        : view_(view), kernels_(ctx.kernels) {
        if (view.d > std::numeric_limits<int32_t>::max())
            fail(function, name + " must have fewer than 2^31 columns", view.d, "Hash or drop features.");
        check_columns(ctx, function, name);
        norm2_.resize(static_cast<std::size_t>(view.n));
        const auto dot = detail::dense_dot(kernels_, T{});
        std::atomic<bool> negative{false};
        const int64_t bad = detail::first_row(ctx, view.n, [&](int64_t i) {
            T lowest{0};
            for (const T *x = values(i), *end = x + size(i); x < end; ++x) lowest = *x < lowest ? *x : lowest;
            if (lowest < 0) negative.store(true, std::memory_order_relaxed);
            norm2_[i] = dot(values(i), values(i), size(i));
            // Squares that lose bits to underflow would make bounds wrong.
            return !std::isfinite(norm2_[i]) || (norm2_[i] < 1e-290 && !all_of(i, [](T v) { return v == T{0}; }));
        });
        non_negative_ = !negative;
        if (bad == view.n) return;
        const std::string row = "row " + std::to_string(bad);
        if (!all_of(bad, [](T v) { return std::isfinite(v); }))
            fail(function, name + " must be finite, without NaN or infinity", "NaN or infinity in " + row,
                 "Drop or impute such rows.");
        if (std::isfinite(norm2_[bad]))
            fail(function, name + " must have rows of length 0 or at least 1e-145", "an underflow in " + row,
                 "Scale " + name + " up.");
        fail(function, name + " must have rows whose squared norm is finite", "an overflow in " + row,
             "Scale " + name + " down.");
    }

    int64_t n() const { return view_.n; }
    int64_t d() const { return view_.d; }
    double norm2(int64_t i) const { return norm2_[i]; }
    bool non_negative() const { return non_negative_; }
    const KernelTable* kernels() const { return kernels_; }

    const T* values(int64_t i) const {
        if constexpr (sparse) return view_.data + view_.begin(i);
        else return view_.row(i);
    }
    const auto* columns(int64_t i) const { return view_.indices + view_.begin(i); }
    int64_t size(int64_t i) const {
        if constexpr (sparse) return view_.size(i);
        else return view_.d;
    }
    int64_t stored() const {
        if constexpr (sparse) return view_.nnz();
        else return view_.n * view_.d;
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
            return detail::sparse_dot(kernels_, T{}, I{})(values(i), columns(i), size(i), y);
        } else {
            return detail::dense_dot(kernels_, T{})(values(i), y, view_.d);
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
    template <class Test>
    bool all_of(int64_t i, Test test) const {
        return std::all_of(values(i), values(i) + size(i), test);
    }

    void check_columns([[maybe_unused]] const Context& ctx, [[maybe_unused]] const std::string& function,
                       [[maybe_unused]] const std::string& name) {
        if constexpr (sparse) {
            const int64_t n = view_.n, d = view_.d;
            // With rising columns the ends tell whether all are in range.
            const int64_t unsorted = first_uncanonical_row(ctx, view_.indptr, view_.indices, n);
            if (unsorted < n)
                fail(function, name + " must have sorted columns without duplicates in each row",
                     "row " + std::to_string(unsorted), "Call " + name + ".sum_duplicates().");
            const int64_t bad = detail::first_row(
                ctx, n, [&](int64_t i) { return size(i) > 0 && (columns(i)[0] < 0 || columns(i)[size(i) - 1] >= d); });
            if (bad < n)
                fail(function, name + ".indices must lie in [0, " + std::to_string(d) + ")",
                     "a column out of range in row " + std::to_string(bad), "Rebuild the matrix with a larger shape.");
        }
    }

    View view_;
    const KernelTable* kernels_;
    std::vector<double> norm2_;
    bool non_negative_ = true;
};

}  // namespace latom
