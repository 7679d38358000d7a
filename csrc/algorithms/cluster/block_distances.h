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
// Cost      d multiply-adds per pair; the block stands by columns, others are read 64 at a time.
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
    };
    static Measured measure(const Context& ctx, const Rows<View>& rows) {
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

    /// Between what the mean distances of rows few [count] to many [size] lie; reach [count]: about what they are.
    void screen(const int64_t* few, int64_t count, const int64_t* many, int64_t size, const double* reach,
                MeanInterval* out) {
        const double scale = measured_.scale, longest = longest_of(many, size) * scale;
        pack(few, count, scale, narrow_);
        const int64_t width = chunk_count(count, kTile) * kTile;
        AlignedVector<float> sum(static_cast<std::size_t>(width)), near(sum), square(sum), least(sum);
        std::vector<double> total(static_cast<std::size_t>(count), 0.0), close(total), error(total), bar(total);
        for (int64_t g = 0; g < width; ++g) square[g] = least[g] = 0;
        for (int64_t g = 0; g < count; ++g) {
            const double length = std::sqrt(measured_.square[few[g]]) * scale;
            square[g] = static_cast<float>(length * length);
            error[g] = ((static_cast<double>(rows_.d()) + 12) * 0x1p-24 * 1.01 + 0x1p-21) *
                           (length * length + longest * longest) +
                       1e-30;
            const double t = 0.25 * reach[g] * scale;
            bar[g] = std::max(t, std::sqrt(error[g]));
            least[g] = static_cast<float>(bar[g] * bar[g] + error[g]);
        }
        for (int64_t from = 0; from < size; from += kTile) {
            const int64_t some = gather(many + from, std::min(kTile, size - from), scale, narrow_);
            std::fill(sum.begin(), sum.end(), 0.0f);
            std::fill(near.begin(), near.end(), 0.0f);
            for (int64_t first = 0; first < count; first += kTile) {
                const int64_t part = multiply(some, first, std::min(kTile, count - first), narrow_);
                for (int64_t r = 0; r < some; ++r) {
                    const double length = std::sqrt(measured_.square[many[from + r]]) * scale;
                    add(narrow_.out.data() + r * part, static_cast<float>(length * length), part, square.data() + first,
                        least.data() + first, sum.data() + first, near.data() + first);
                }
            }
            for (int64_t g = 0; g < count; ++g) {
                total[g] += static_cast<double>(sum[g]);
                close[g] += static_cast<double>(near[g]);
            }
            poll();
        }
        for (int64_t g = 0; g < count; ++g) {
            const double n = static_cast<double>(size), mean = total[g] / n;
            // g(u~) was taken with a bar that is a little higher: what that adds is in the term of close rows.
            const double t = std::sqrt(static_cast<double>(least[g])) * (1 + 1e-6), off = error[g] / (2 * bar[g]);
            out[g].low = (mean * (1 - 0x1p-17) - off - t * close[g] / n) / scale;
            out[g].high = (mean * (1 + 0x1p-17) + off) / scale;
        }
    }

private:
    static constexpr int64_t kSide = 8;   // sparse rows side by side
    static constexpr int64_t kTile = 64;  // rows, and columns of the block, that are multiplied together

    template <class U>
    struct Matrices {
        AlignedVector<U> columns, rows, out;
    };

    // A row's distances, no less than the bar, into sums of float32.
    static void add(const float* dot, float square, int64_t width, const float* own, const float* least, float* sum,
                    float* near) {
        for (int64_t g = 0; g < width; ++g) {
            const float u = own[g] + square - 2 * dot[g];
            const float v = u < least[g] ? least[g] : u;
            near[g] += u < least[g] ? 1.0f : 0.0f;
            sum[g] += std::sqrt(v);
        }
    }

    double longest_of(const int64_t* many, int64_t size) const {
        double most = 0;
        for (int64_t r = 0; r < size; ++r) most = std::max(most, measured_.square[many[r]]);
        return std::sqrt(most);
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
    std::vector<T> side_;  // [d, kSide]
};

}  // namespace latom
