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

struct MeanInterval {
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

    /// f(g, r, dot, distance) for rows few [count <= kBlock] and many [size]: for each g in the order of r.
    template <class F>
    void exact(const int64_t* few, int64_t count, const int64_t* many, int64_t size, F f) {
        if constexpr (kScreens) {
            pack(few, count, 1.0, wide_);
            for (int64_t from = 0; from < size; from += kTile) {
                const int64_t some = gather(many + from, std::min(kTile, size - from), 1.0, wide_);
                for (int64_t first = 0; first < count; first += kTile) {
                    const int64_t part = std::min(kTile, count - first), width = multiply(some, first, part, wide_);
                    each(few + first, part, many, from, some, wide_.out.data(), width,
                         [&](int64_t g, int64_t r, double dot, double distance) { f(first + g, r, dot, distance); });
                }
            }
        } else {
            for (int64_t from = 0; from < count; from += kSide)
                exact_sparse(few + from, std::min(kSide, count - from), many, size,
                             [&](int64_t g, int64_t r, double dot, double distance) { f(from + g, r, dot, distance); });
        }
    }

    /// Between what the mean distances of rows few [count] to group j, whose rows are many [size], lie; reach [count]:
    /// about what they are.
    void screen(const int64_t* few, int64_t count, int64_t j, const int64_t* many, int64_t size, const double* reach,
                MeanInterval* out) {
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
            Sums sums[kTile];
            for (int64_t g = 0; g < some; ++g) {
                const double square = measured_.square[few[from + g]] * scale * scale;
                sums[g].start(square, longest, 0.25 * reach[from + g] * scale, rows_.d());
            }
            for (int64_t tile = 0; tile * kTile < size; ++tile) {
                const float* columns = measured_.columns.data() + (measured_.first[j] + tile) * kTile * rows_.d();
                rows_.kernels()->f32.small_product(narrow_.rows.data(), some, rows_.d(), columns, kTile,
                                                   narrow_.out.data());
                const int64_t there = std::min(kTile, size - tile * kTile);
                for (int64_t g = 0; g < some; ++g)
                    sums[g].add(narrow_.out.data() + g * kTile, lengths_.data() + tile * kTile, there);
            }
            for (int64_t g = 0; g < some; ++g) out[from + g] = sums[g].mean(size, scale);
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

    // What is known of one row's distances to a group.
    struct Sums {
        float own = 0, least = 0;
        double bar = 0, error = 0, total = 0, close = 0;

        void start(double square, double longest, double about, int64_t d) {
            error = ((static_cast<double>(d) + 12) * 0x1p-24 * 1.01 + 0x1p-21) * (square + longest) + 1e-30;
            bar = std::max(about, std::sqrt(error));
            own = static_cast<float>(square);
            least = static_cast<float>(bar * bar + error);
        }
        // Distances to `count` of a tile's rows, no less than the bar: sums of float32 in lanes, then of these.
        void add(const float* __restrict__ dot, const float* __restrict__ square, int64_t count) {
            constexpr int64_t kLanes = 16;
            float sum[kLanes] = {}, near[kLanes] = {};
            const float mine = own, low = least;
            int64_t c = 0;
            for (; c + kLanes <= count; c += kLanes)
                for (int64_t l = 0; l < kLanes; ++l) {
                    const float u = mine + square[c + l] - 2 * dot[c + l];
                    sum[l] += std::sqrt(u < low ? low : u);
                    near[l] += u < low ? 1.0f : 0.0f;
                }
            for (int64_t l = 0; c < count; ++c, ++l) {
                const float u = mine + square[c] - 2 * dot[c];
                sum[l] += std::sqrt(u < low ? low : u);
                near[l] += u < low ? 1.0f : 0.0f;
            }
            for (int64_t l = 0; l < kLanes; ++l) {
                total += static_cast<double>(sum[l]);
                close += static_cast<double>(near[l]);
            }
        }
        MeanInterval mean(int64_t size, double scale) const {
            const auto n = static_cast<double>(size);
            const double found = total / n, off = error / (2 * bar);
            // The bar was a little higher: what that adds is in the term of close rows.
            const double t = std::sqrt(static_cast<double>(least)) * (1 + 1e-6);
            return {(found * (1 - 0x1p-17) - off - t * close / n) / scale, (found * (1 + 0x1p-17) + off) / scale};
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
            for (int64_t t = 0; t < rows_.d(); ++t) out[t] = static_cast<U>(static_cast<double>(x[t]) * scale);
        }
        return some;
    }

    template <class F>
    void each(const int64_t* few, int64_t count, const int64_t* many, int64_t from, int64_t some, const double* dots,
              int64_t width, F f) const {
        for (int64_t r = 0; r < some; ++r) {
            const int64_t other = many[from + r];
            const double* dot = dots + r * width;
            for (int64_t g = 0; g < count; ++g) {
                const double square = measured_.square[few[g]] + measured_.square[other] - 2 * dot[g];
                f(g, from + r, dot[g], few[g] == other ? 0.0 : std::sqrt(std::max(square, 0.0)));
            }
        }
        poll();
    }

    template <class F>
    void exact_sparse(const int64_t* few, int64_t count, const int64_t* many, int64_t size, F f) {
        if constexpr (kIsSparse<View>) {
            using I = typename View::index_type;
            const auto scores = rows_.kernels()->template of<T, I>().sparse_scores;
            side_.resize(static_cast<std::size_t>(rows_.d() * kSide), T{0});
            double dot[kSide];
            for (int64_t g = 0; g < count; ++g) rows_.each(few[g], [&](int64_t t, T v) { side_[t * kSide + g] = v; });
            for (int64_t r = 0; r < size; ++r) {
                if (r + 4 < size) rows_.prefetch(many[r + 4]);
                scores(rows_.values(many[r]), rows_.columns(many[r]), rows_.size(many[r]), side_.data(), kSide, dot);
                each(few, count, many, r, 1, dot, kSide, f);
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
