// weighted_gram.h: sums over gathered rows: right-hand sides, Gram matrices, and products with such a matrix that is
// not formed.
//
//   rhs      sum_p b_p v_p            gram     sum_p a_p v_p v_p^T            pass    sum_p a_p <v_p, x> v_p
//
// Rows of V are kept in whole lines of 64 bytes. A Gram matrix is summed in float64 from products of float32, which are
// exact there: a multiply-add of eight such numbers takes the registers no longer than a float32 product and a float32
// sum, rounded apart, of sixteen. Rows of many entries are cut into segments, whose sums are added in order; that grid
// depends on the number of entries alone, so segments may be the work of several threads.
//
// The same bits for every number of threads and every kernel variant.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "core/buffer.h"
#include "core/parallel.h"
#include "kernels/table.h"
#include "latom/views.h"

namespace latom {

/// The entries of one row: which rows of V, and their numbers. Where it is read more than once, local is a copy of
/// these rows, one after another, and order counts them.
template <class T, class I>
struct WeightedEntries {
    const I* index;
    const T *a, *b;
    int64_t count;
    const T* local = nullptr;
    const I* order = nullptr;
};

/// Memory for a tile of gathered rows, one for each thread.
template <class T>
struct GramScratch {
    AlignedVector<T> tile;
    AlignedVector<double> wide;
};

template <class T>
class GatheredRows {
public:
    /// Rows of V, or what turn(rows [count, width], count, out) makes of them.
    template <class Turn = std::nullptr_t>
    explicit GatheredRows(const Context& ctx, const DenseView<T>& V, const Turn& turn = nullptr)
        : ctx_(ctx), k_(V.d), width_(whole_lines<T>(V.d)), square_(chunk_count(V.d, 16) * 16) {
        constexpr int64_t kRows = 64;
        rows_.resize(static_cast<std::size_t>(V.n * width_));
        parallel_for(ctx, chunk_count(V.n, kRows), [&](int64_t c, int) {
            const int64_t first = c * kRows, count = std::min(V.n - first, kRows);
            T* rows = rows_.data() + first * width_;
            for (int64_t i = 0; i < count; ++i) {
                std::copy_n(V.row(first + i), k_, rows + i * width_);
                std::fill_n(rows + i * width_ + k_, width_ - k_, T{0});
            }
            if constexpr (!std::is_null_pointer_v<Turn>) {
                const AlignedVector<T> plain(rows, rows + count * width_);
                turn(plain.data(), count, rows);
            }
        });
    }

    int64_t k() const { return k_; }
    int64_t width() const { return width_; }    // of a row of V: k numbers, then zeros
    int64_t square() const { return square_; }  // of a Gram matrix
    const T* row(int64_t i) const { return rows_.data() + i * width_; }

    /// The rows of V that are named, one after another: to [count, width].
    template <class I>
    void copy(const I* index, int64_t count, T* to) const {
        constexpr int64_t kAhead = 12, kLine = 64 / sizeof(T);
        for (int64_t p = 0; p < count; ++p) {
            if (p + kAhead < count) {
                const T* later = row(static_cast<int64_t>(index[p + kAhead]));
                for (int64_t t = 0; t < width_; t += kLine) __builtin_prefetch(later + t);
            }
            std::copy_n(row(static_cast<int64_t>(index[p])), width_, to + p * width_);
        }
    }

    /// sum [width].
    template <class I>
    void rhs(const WeightedEntries<T, I>& row, double* sum) const {
        AlignedVector<T> part(static_cast<std::size_t>(width_));
        std::fill_n(sum, width_, 0.0);
        for (int64_t p = 0; p < row.count; p += kApart) {
            std::fill(part.begin(), part.end(), T{0});
            ctx_.kernels->of<T, I>().gather_add(row.local ? row.order : row.index + p, row.b + p,
                                                std::min(kApart, row.count - p), row.local ? 0 : row.count - p,
                                                row.local ? row.local + p * width_ : rows_.data(), width_, width_,
                                                part.data());
            for (int64_t t = 0; t < width_; ++t) sum[t] += static_cast<double>(part[t]);
        }
    }

    /// What is made of dots d_p = <v_p, x>.
    enum class Pass {
        kProduct,    // out [width] += sum_p a_p d_p v_p; returns sum_p a_p d_p^2
        kCurvature,  // that number alone
        kResidual,   // out [width] += sum_p (b_p - a_p d_p) v_p; returns sum_p b_p d_p
    };

    /// dots [count] is scratch. Rows of V are used twice at a time, while the first cache holds them.
    template <class I>
    double pass(Pass kind, const WeightedEntries<T, I>& row, const T* x, T* dots, T* out) const {
        const int64_t segment = std::max<int64_t>(kSegment, chunk_count(row.count, 64));
        const int64_t segments = chunk_count(row.count, segment);
        if (segments <= 1) return pass_segment(kind, row, 0, row.count, x, dots, out);
        AlignedVector<T> parts(static_cast<std::size_t>(segments * width_), T{0});
        std::vector<double> sums(static_cast<std::size_t>(segments));
        parallel_for(ctx_, segments, [&](int64_t s, int) {
            const int64_t first = s * segment;
            sums[s] = pass_segment(kind, row, first, std::min(segment, row.count - first), x, dots,
                                   parts.data() + s * width_);
        });
        double sum = 0;
        for (int64_t s = 0; s < segments; ++s) {
            sum += sums[s];
            if (kind == Pass::kCurvature) continue;
            for (int64_t t = 0; t < width_; ++t) out[t] += parts[s * width_ + t];
        }
        return sum;
    }

    /// sum [square, square] = its upper triangle, and some numbers below it.
    template <class I>
    void gram(const WeightedEntries<T, I>& row, GramScratch<T>& scratch, double* sum) const {
        const int64_t segment = std::max<int64_t>(kSegment, chunk_count(row.count, 16));
        const int64_t segments = chunk_count(row.count, segment), numbers = square_ * square_;
        std::fill_n(sum, numbers, 0.0);
        if (segments <= 1) return add_gram(row, 0, row.count, scratch, sum);
        AlignedVector<double> parts(static_cast<std::size_t>(segments * numbers), 0.0);
        parallel_for(ctx_, segments, [&](int64_t s, int) {
            GramScratch<T> own;
            add_gram(row, s * segment, std::min(row.count, (s + 1) * segment), own, parts.data() + s * numbers);
        });
        for (int64_t s = 0; s < segments; ++s)
            for (int64_t q = 0; q < numbers; ++q) sum[q] += parts[s * numbers + q];
    }

private:
    template <class I>
    double pass_segment(Pass kind, const WeightedEntries<T, I>& row, int64_t first, int64_t count, const T* x, T* dots,
                        T* out) const {
        constexpr int64_t kHeld = 16 << 10;  // bytes of the first cache
        const int64_t block = std::max<int64_t>(8, kHeld / (width_ * static_cast<int64_t>(sizeof(T))) / 4 * 4);
        const auto& kernels = ctx_.kernels->of<T, I>();
        const T* rows = row.local ? row.local + first * width_ : rows_.data();
        double sum = 0;
        for (int64_t at = 0; at < count; at += block) {
            const int64_t some = std::min(block, count - at), p = first + at;
            const I* index = row.local ? row.order + at : row.index + p;
            kernels.dots_at(index, some, count - at, x, rows, width_, dots + p);
            for (int64_t q = p; q < p + some; ++q) {
                const T product = row.a[q] * dots[q];
                const double target = static_cast<double>(kind == Pass::kResidual ? row.b[q] : product);
                sum += target * static_cast<double>(dots[q]);
                dots[q] = kind == Pass::kResidual ? row.b[q] - product : product;
            }
            if (kind != Pass::kCurvature) kernels.gather_add(index, dots + p, some, 0, rows, width_, width_, out);
        }
        return sum;
    }

    static constexpr int64_t kApart = 256;     // entries that are summed in T before they are widened
    static constexpr int64_t kSegment = 4096;  // entries, at least
    static constexpr int64_t kTile = 64;       // rows that are gathered at once

    /// Rows times the root of |a|, those of either sign by themselves.
    template <class I>
    void add_gram(const WeightedEntries<T, I>& row, int64_t first, int64_t last, GramScratch<T>& scratch,
                  double* sum) const {
        auto& [tile, wide] = scratch;
        tile.resize(static_cast<std::size_t>(kTile * k_));
        wide.resize(static_cast<std::size_t>(kTile * square_));
        AlignedVector<double> minus;
        const auto kernel = ctx_.kernels->of<T>().gram;
        for (const bool negative : {false, true}) {
            int64_t filled = 0;
            double* to = sum;
            const auto flush = [&] {
                if (filled) kernel(tile.data(), filled, k_, k_, square_, wide.data(), to);
                filled = 0;
            };
            for (int64_t p = first; p < last; ++p) {
                if (negative ? !(row.a[p] < 0) : !(row.a[p] > 0)) continue;
                if (negative && minus.empty()) {
                    minus.resize(static_cast<std::size_t>(square_ * square_), 0.0);
                    to = minus.data();
                }
                const T root = std::sqrt(std::abs(row.a[p]));
                const T* v = rows_.data() + static_cast<int64_t>(row.index[p]) * width_;
                for (int64_t t = 0; t < k_; ++t) tile[filled * k_ + t] = root * v[t];
                if (++filled == kTile) flush();
            }
            flush();
        }
        for (std::size_t q = 0; q < minus.size(); ++q) sum[q] -= minus[q];
    }

    const Context& ctx_;
    int64_t k_, width_, square_;
    AlignedVector<T> rows_;
};

/// U^T U x = b in place, for U [k, k] as solve_cholesky leaves it.
inline void substitute(const KernelTable* kernels, const double* U, int64_t k, double* b) {
    for (int64_t p = 0; p < k; ++p) {
        const double *row = U + p * k, value = b[p] /= row[p];
        for (int64_t j = p + 1; j < k; ++j) b[j] -= row[j] * value;
    }
    for (int64_t p = k - 1; p >= 0; --p) {
        const double* row = U + p * k;
        b[p] = (b[p] - kernels->f64.dense_dot(row + p + 1, b + p + 1, k - p - 1)) / row[p];
    }
}

}  // namespace latom
