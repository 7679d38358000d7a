// group_distances.h: Euclidean distances of a few rows to many, in float64 by the kernels that decide.
//
//   |x - y| = sqrt(|x|^2 + |y|^2 - 2 <x, y>)
//
// The few rows stay in the first cache (dense) or stand side by side as columns (sparse), so each of the many is read
// once for all of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class GroupDistances {
public:
    using T = typename View::value_type;
    static constexpr int64_t kGroup = kIsSparse<View> ? 8 : 4;

    explicit GroupDistances(const Rows<View>& rows) : rows_(rows) {}

    /// For `count` (at most kGroup) rows `few`, f(g, j, dot, distance) with all rows `many` [size] in their order.
    template <class F>
    void run(const int64_t* few, int64_t count, const int64_t* many, int64_t size, F f) {
        load(few, count);
        for (int64_t from = 0; from < size; from += kAtOnce) {
            const int64_t some = std::min(kAtOnce, size - from);
            multiply(count, many + from, some);
            for (int64_t g = 0; g < count; ++g) {
                const double norm2 = rows_.norm2(few[g]);
                for (int64_t r = 0; r < some; ++r) {
                    const double dot = dot_[r * kGroup + g];
                    const double square = norm2 + rows_.norm2(many[from + r]) - 2 * dot;
                    f(g, from + r, dot, few[g] == many[from + r] ? 0.0 : std::sqrt(std::max(square, 0.0)));
                }
            }
            poll();
        }
        unload(few, count);
    }

private:
    static constexpr int64_t kAtOnce = 64;

    void load(const int64_t* few, int64_t count) {
        dot_.resize(kAtOnce * kGroup);
        if constexpr (kIsSparse<View>) {
            columns_.resize(static_cast<std::size_t>(rows_.d() * kGroup), T{0});
            for (int64_t g = 0; g < count; ++g)
                rows_.each(few[g], [&](int64_t t, T v) { columns_[t * kGroup + g] = v; });
        } else {
            x_.resize(kAtOnce * kGroup);
            y_.resize(kAtOnce * kGroup);
            for (int64_t p = 0; p < kAtOnce * kGroup; ++p) x_[p] = rows_.values(few[std::min(p % kGroup, count - 1)]);
        }
    }
    void unload([[maybe_unused]] const int64_t* few, [[maybe_unused]] int64_t count) {
        if constexpr (kIsSparse<View>)
            for (int64_t g = 0; g < count; ++g)
                rows_.each(few[g], [&](int64_t t, T) { columns_[t * kGroup + g] = T{0}; });
    }

    // dot_ [rows, kGroup]
    void multiply([[maybe_unused]] int64_t count, const int64_t* many, int64_t some) {
        if constexpr (kIsSparse<View>) {
            using I = typename View::index_type;
            const auto scores = rows_.kernels()->template of<T, I>().sparse_scores;
            for (int64_t r = 0; r < some; ++r) {
                if (r + 4 < some) rows_.prefetch(many[r + 4]);
                scores(rows_.values(many[r]), rows_.columns(many[r]), rows_.size(many[r]), columns_.data(), kGroup,
                       dot_.data() + r * kGroup);
            }
        } else {
            for (int64_t r = 0; r < some; ++r) std::fill_n(y_.begin() + r * kGroup, kGroup, rows_.values(many[r]));
            rows_.kernels()->template of<T>().dense_dots(x_.data(), y_.data(), some * kGroup, rows_.d(), dot_.data());
        }
    }

    const Rows<View>& rows_;
    std::vector<double> dot_;
    std::vector<T> columns_;
    std::vector<const T*> x_, y_;
};

}  // namespace latom
