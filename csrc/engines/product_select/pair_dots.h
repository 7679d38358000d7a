// pair_dots.h: float64 dot products of many pairs of rows that lie scattered in memory: the next are on their way while
// four are summed (kernels/dot.inl.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

#include "core/prefetch.h"
#include "rows/rows.h"

namespace latom::detail {

/// out(p, <x, y>) for the rows (x, y) = pair(p) of d numbers, p in [0, count).
template <class T, class Pair, class Out>
void pair_dots(const KernelTable* kernels, std::size_t count, int64_t d, Pair pair, Out out) {
    const auto dots = kernels->of<T>().dense_dots;
    constexpr std::size_t kBatch = 4;
    const T *x[kBatch], *y[kBatch];
    double dot[kBatch];
    for (std::size_t from = 0; from < count; from += kBatch) {
        const std::size_t batch = std::min(kBatch, count - from);
        for (std::size_t b = 0; b < batch; ++b) std::tie(x[b], y[b]) = pair(from + b);
        const T* last = y[batch - 1];
        for (std::size_t next = from + kBatch; next < std::min(count, from + 2 * kBatch); ++next) {
            const auto [later_x, later_y] = pair(next);
            prefetch(later_x, d);
            if (later_y != last) prefetch(later_y, d);
            last = later_y;
        }
        dots(x, y, static_cast<int64_t>(batch), d, dot);
        for (std::size_t b = 0; b < batch; ++b) out(from + b, dot[b]);
    }
}

}  // namespace latom::detail
