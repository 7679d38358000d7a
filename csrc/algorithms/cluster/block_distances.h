// block_distances.h: Euclidean distances of a block of rows to many others, as products of small matrices.
//
//   |x - y| = sqrt(|x|^2 + |y|^2 - 2 <x, y>)
//
//   exact    in float64. Dense rows: products and squares are summed column by column in order, so a row is at
//            distance 0 from its equal; sparse ones by the kernel that decides.
//   screen   of dense rows, in float32: what the mean distance of a row to the others lies between. Rows are divided by
//            a power of two first, to be no longer than 1. With u = |x - y|^2 as it is and u~ as float32 has it,
//              |u - u~| <= e = ((d + 12) 2^-24 (1 + 1%) + 2^-21) (|x|^2 + |y|^2) + 1e-30
//            (d products and their sum, numbers rounded to float32, squares and the difference). For any t,
//            g(u) = max(sqrt u, t) moves by at most e / 2 t, is no less than sqrt u, and more than that, by at most t,
//            where u~ < t^2 + e alone. Sums of 64 distances in float32 are off by at most 2^-17 of themselves.
//
// Cost      d multiply-adds per pair.   Memory  dense rows once more, in float32, by columns.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/buffer.h"
#include "core/parallel.h"
#include "rows/rows.h"

namespace latom {

struct DistanceBounds {
    double low, high;
};

template <class View>
class BlockDistances {
public:
    using T = typename View::value_type;
    static constexpr bool kScreens = !kIsSparse<View>;
    static constexpr int64_t kBlock = 256;  // rows at most: gathering the others costs little beside them

    /// Squares as the products are summed, and the power of two that scales the longest row to at most 1.
    struct Measured {
        std::vector<double> square;  // [n]
        double scale = 1;
        AlignedVector<float> columns;  // dense rows in the order of groups, kTile together by columns [d, kTile]
        std::vector<int64_t> first;    // of each group, in tiles
    };
    /// order: the rows by group, begin [groups + 1] where each begins in it.
    static Measured measure(const Context& ctx, const Rows<View>& rows, const std::vector<int64_t>& order,
                            const std::vector<int64_t>& begin) {
        Measured out;
        out.square.resize(static_cast<std::size_t>(rows.n()));
        double longest = 0;
        for (int64_t i = 0; i < rows.n(); ++i) longest = std::max(longest, rows.norm2(i));
        if (longest > 0) out.scale = std::ldexp(1.0, -(std::ilogb(std::sqrt(longest)) + 1));
        constexpr int64_t kRows = 256;
        parallel_for(ctx, chunk_count(rows.n(), kRows), [&](int64_t c, int) {
            for (int64_t i = c * kRows; i < std::min(rows.n(), (c + 1) * kRows); ++i) {
                double sum = 0;
                if constexpr (kScreens) rows.each(i, [&](int64_t, T v) { sum += double{v} * double{v}; });
                else sum = rows.norm2(i);
                out.square[i] = sum;
            }
        });
        if constexpr (kScreens) pack_all(ctx, rows, order, begin, out);
        return out;
    }

    BlockDistances(const Rows<View>& rows, const Measured& measured) : rows_(rows), measured_(measured) {}

    /// What is taken from the products of rows by their index, and where the squares of the rest are added up.
    struct Crossed {
        const double* shift;  // [n]
        double mean;          // added to all
        double* sum;          // [count]
    };

    /// sum [count] += the distances of rows few [count <= kBlock] to rows many [size], in the order of these;
    /// crossed, unless null, sums (<x, y> - shift x - shift y + mean)^2 likewise.
    void exact(const int64_t* few, int64_t count, const int64_t* many, int64_t size, double* sum,
               const Crossed* crossed) {
        if constexpr (kScreens) exact_dense(few, count, many, size, sum, crossed);
        else
            for (int64_t from = 0; from < count; from += kSide)
                exact_sparse(few + from, std::min(kSide, count - from), many, size, sum + from, crossed, from);
    }

    /// Between what the mean distances of rows few [count] to group j, whose rows are many [size], lie; reach [count]:
    /// about what they are.
    void screen(const int64_t* few, int64_t count, int64_t j, const int64_t* many, int64_t size, const double* reach,
                DistanceBounds* out) {
        const double scale = measured_.scale;
        double longest = 0;
        lengths_.assign(static_cast<std::size_t>(chunk_count(size, kTile) * kTile), 0.0f);
        for (int64_t r = 0; r < size; ++r) {
            const double square = measured_.square[many[r]] * scale * scale;
            longest = std::max(longest, square);
            lengths_[r] = static_cast<float>(square);
        }
        narrow_.out.resize(static_cast<std::size_t>(kTile * kTile));
        for (int64_t from = 0; from < count; from += kTile) {
            const int64_t some = gather(few + from, std::min(kTile, count - from), scale, narrow_);
            Sums sums;
            for (int64_t g = 0; g < some; ++g) {
                const double square = measured_.square[few[from + g]] * scale * scale;
                sums.start(g, square, longest, 0.25 * reach[from + g] * scale, rows_.d());
            }
            for (int64_t tile = 0; tile * kTile < size; ++tile) {
                const float* columns = measured_.columns.data() + (measured_.first[j] + tile) * kTile * rows_.d();
                rows_.kernels()->f32.small_product(narrow_.rows.data(), some, rows_.d(), columns, kTile,
                                                   narrow_.out.data());
                rows_.kernels()->bounded_distances(narrow_.out.data(), some, kTile,
                                                   std::min(kTile, size - tile * kTile), sums.own,
                                                   lengths_.data() + tile * kTile, sums.least, sums.total, sums.close);
            }
            for (int64_t g = 0; g < some; ++g) out[from + g] = sums.mean(g, size, scale);
            poll();
        }
    }

private:
    static constexpr int64_t kSide = 8;   // sparse rows side by side
    static constexpr int64_t kTile = 64;  // rows, and columns of the block, that are multiplied together

    template <class U>
    struct Matrices {
        AlignedVector<U> columns, rows, out;
    };

    // What is known of the distances of rows to a group.
    struct Sums {
        float own[kTile], least[kTile];
        double error[kTile], bar[kTile], total[kTile] = {}, close[kTile] = {};

        void start(int64_t g, double square, double longest, double about, int64_t d) {
            error[g] = ((static_cast<double>(d) + 12) * 0x1p-24 * 1.01 + 0x1p-21) * (square + longest) + 1e-30;
            bar[g] = std::max(about, std::sqrt(error[g]));
            own[g] = static_cast<float>(square);
            least[g] = static_cast<float>(bar[g] * bar[g] + error[g]);
        }
        DistanceBounds mean(int64_t g, int64_t size, double scale) const {
            const auto n = static_cast<double>(size);
            const double found = total[g] / n, off = error[g] / (2 * bar[g]);
            // The bar was a little higher: what that adds is in the term of close rows.
            const double t = std::sqrt(static_cast<double>(least[g])) * (1 + 1e-6);
            return {(found * (1 - 0x1p-17) - off - t * close[g] / n) / scale, (found * (1 + 0x1p-17) + off) / scale};
        }
    };

    static void pack_all(const Context& ctx, const Rows<View>& rows, const std::vector<int64_t>& order,
                         const std::vector<int64_t>& begin, Measured& out) {
        const int64_t d = rows.d(), groups = static_cast<int64_t>(begin.size()) - 1;
        out.first.assign(begin.size(), 0);
        for (int64_t j = 0; j < groups; ++j)
            out.first[j + 1] = out.first[j] + chunk_count(begin[j + 1] - begin[j], kTile);
        out.columns.resize(static_cast<std::size_t>(out.first.back() * kTile * d));
        parallel_for(ctx, groups, [&](int64_t j, int) {
            float* to = out.columns.data() + out.first[j] * kTile * d;
            std::fill(to, out.columns.data() + out.first[j + 1] * kTile * d, 0.0f);
            for (int64_t r = begin[j]; r < begin[j + 1]; ++r) {
                const int64_t place = r - begin[j];
                float* column = to + place / kTile * kTile * d + place % kTile;
                rows.each(order[r], [&](int64_t t, T v) {
                    column[t * kTile] = static_cast<float>(static_cast<double>(v) * out.scale);
                });
            }
        });
    }

    // The block by columns, kTile of them after the other: [d, width], the last ones in whole lines.
    template <class U>
    void pack(const int64_t* few, int64_t count, double scale, Matrices<U>& to) const {
        to.columns.assign(static_cast<std::size_t>(rows_.d() * chunk_count(count, kTile) * kTile), U{0});
        for (int64_t g = 0; g < count; ++g) {
            const int64_t first = g / kTile * kTile, width = whole_lines<U>(std::min(kTile, count - first));
            U* out = to.columns.data() + first * rows_.d() + (g - first);
            rows_.each(few[g],
                       [&](int64_t t, T v) { out[t * width] = static_cast<U>(static_cast<double>(v) * scale); });
        }
    }

    // Products of the rows gathered with columns [first, first + count) into out [some, width]; returns width.
    template <class U>
    int64_t multiply(int64_t some, int64_t first, int64_t count, Matrices<U>& m) const {
        const int64_t width = whole_lines<U>(count);
        m.out.resize(static_cast<std::size_t>(kTile * kTile));
        rows_.kernels()->template of<U>().small_product(m.rows.data(), some, rows_.d(),
                                                        m.columns.data() + first * rows_.d(), width, m.out.data());
        return width;
    }

    template <class U>
    int64_t gather(const int64_t* many, int64_t some, double scale, Matrices<U>& to) const {
        to.rows.resize(static_cast<std::size_t>(kTile * rows_.d()));
        for (int64_t r = 0; r < some; ++r) {
            const T* x = rows_.values(many[r]);
            U* out = to.rows.data() + r * rows_.d();
            if constexpr (sizeof(U) == 8) {
                std::fill_n(out, rows_.d(), 0.0);
                rows_.kernels()->template of<T>().add_scaled(x, scale, rows_.d(), out);
            } else {
                for (int64_t t = 0; t < rows_.d(); ++t) out[t] = static_cast<U>(static_cast<double>(x[t]) * scale);
            }
        }
        return some;
    }

    void exact_dense(const int64_t* few, int64_t count, const int64_t* many, int64_t size, double* sum,
                     const Crossed* crossed) {
        pack(few, count, 1.0, wide_);
        double square_r[kTile], shift_r[kTile];
        struct Columns {
            double square[kBlock] = {}, shift[kBlock] = {}, sum[kBlock] = {}, crossed[kBlock] = {};
        } c;
        for (int64_t g = 0; g < count; ++g) {
            c.square[g] = measured_.square[few[g]];
            if (crossed) c.shift[g] = crossed->shift[few[g]];
        }
        for (int64_t from = 0; from < size; from += kTile) {
            const int64_t some = gather(many + from, std::min(kTile, size - from), 1.0, wide_);
            for (int64_t r = 0; r < some; ++r) {
                square_r[r] = measured_.square[many[from + r]];
                if (crossed) shift_r[r] = crossed->shift[many[from + r]] - crossed->mean;
            }
            for (int64_t first = 0; first < count; first += kTile) {
                const int64_t width = multiply(some, first, std::min(kTile, count - first), wide_);
                rows_.kernels()->distance_sums(wide_.out.data(), some, width, square_r, c.square + first, shift_r,
                                               c.shift + first, c.sum + first, crossed ? c.crossed + first : nullptr);
            }
            poll();
        }
        for (int64_t g = 0; g < count; ++g) {
            sum[g] += c.sum[g];
            if (crossed) crossed->sum[g] += c.crossed[g];
        }
    }

    // Of rows few [count <= kSide]; the first is number `at` of the block.
    void exact_sparse(const int64_t* few, int64_t count, const int64_t* many, int64_t size, double* sum,
                      const Crossed* crossed, int64_t at) {
        if constexpr (kIsSparse<View>) {
            using I = typename View::index_type;
            const auto scores = rows_.kernels()->template of<T, I>().sparse_scores;
            side_.resize(static_cast<std::size_t>(rows_.d() * kSide), T{0});
            double dot[kSide];
            for (int64_t g = 0; g < count; ++g) rows_.each(few[g], [&](int64_t t, T v) { side_[t * kSide + g] = v; });
            for (int64_t r = 0; r < size; ++r) {
                if (r + 4 < size) rows_.prefetch(many[r + 4]);
                const int64_t other = many[r];
                scores(rows_.values(other), rows_.columns(other), rows_.size(other), side_.data(), kSide, dot);
                for (int64_t g = 0; g < count; ++g) {
                    const double u = measured_.square[few[g]] + measured_.square[other] - 2 * dot[g];
                    if (few[g] != other) sum[g] += std::sqrt(std::max(u, 0.0));
                    if (!crossed) continue;
                    const double product = dot[g] - crossed->shift[few[g]] - crossed->shift[other] + crossed->mean;
                    crossed->sum[at + g] += product * product;
                }
                poll();
            }
            for (int64_t g = 0; g < count; ++g) rows_.each(few[g], [&](int64_t t, T) { side_[t * kSide + g] = T{0}; });
        }
    }

    const Rows<View>& rows_;
    const Measured& measured_;
    Matrices<double> wide_;
    Matrices<float> narrow_;
    AlignedVector<float> lengths_;  // of the rows of a group, squared and scaled
    std::vector<T> side_;           // [d, kSide]
};

}  // namespace latom
