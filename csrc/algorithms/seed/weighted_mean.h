// weighted_mean.h: mu = sum_i w_i x_i / sum_i w_i, of the rows at length 1 under cosine.
//
// Sums run row by row within a chunk and chunk by chunk; the grid is a function of the shape alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "latom/cluster.h"
#include "rows/rows.h"

namespace latom {

template <class T>
struct WeightedMean {
    std::vector<T> value;  // [d]
    double norm2 = 0;
};

/// weight(i) is 0 for rows that do not count.
template <class View, class Weight>
auto weighted_mean(const Context& ctx, const Rows<View>& rows, Metric metric, Weight weight) {
    using T = typename View::value_type;
    const int64_t n = rows.n(), d = rows.d();
    constexpr int64_t kMostChunks = 64, kMostSums = int64_t{1} << 23, kLeastRows = 1024;
    const int64_t chunks =
        std::clamp<int64_t>(std::min(n / kLeastRows, kMostSums / std::max<int64_t>(d, 1)), 1, kMostChunks);
    const int64_t size = chunk_count(n, chunks);
    std::vector<std::vector<double>> sum(static_cast<std::size_t>(chunks));
    std::vector<double> total(static_cast<std::size_t>(chunks), 0.0);
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        sum[c].assign(static_cast<std::size_t>(d), 0.0);
        double few[kShortDot] = {}, own = 0;
        for (int64_t i = c * size; i < std::min(n, (c + 1) * size); ++i) {
            const double w = weight(i);
            if (!(w > 0)) continue;
            own += w;
            const double factor = metric == Metric::kCosine ? w / std::sqrt(rows.norm2(i)) : w;
            if constexpr (kIsSparse<View>) {
                rows.each(i, [&](int64_t t, T v) { sum[c][t] += factor * static_cast<double>(v); });
            } else if (d <= kShortDot) {
                const T* x = rows.values(i);
                for (int64_t t = 0; t < d; ++t) few[t] += factor * static_cast<double>(x[t]);
            } else {
                rows.kernels()->template of<T>().add_scaled(rows.values(i), factor, d, sum[c].data());
            }
        }
        total[c] = own;
        if (!kIsSparse<View> && d <= kShortDot) std::copy_n(few, d, sum[c].data());
    });
    double weights = 0;
    for (int64_t c = 0; c < chunks; ++c) weights += total[c];
    WeightedMean<T> mean;
    mean.value.resize(static_cast<std::size_t>(d));
    for (int64_t t = 0; t < d; ++t) {
        double v = 0;
        for (int64_t c = 0; c < chunks; ++c) v += sum[c][t];
        mean.value[t] = static_cast<T>(weights > 0 ? v / weights : 0);
    }
    mean.norm2 = rows.kernels()->template of<T>().dense_dot(mean.value.data(), mean.value.data(), d);
    return mean;
}

/// Squared distance of row i to the mean.
template <class View, class Mean>
double distance_to_mean(const Rows<View>& rows, Metric metric, int64_t i, const Mean& mean) {
    const double x2 = rows.norm2(i), dot = rows.dot(i, mean.value.data());
    const double v = metric == Metric::kCosine ? 1 + mean.norm2 - 2 * dot / std::sqrt(x2) : x2 + mean.norm2 - 2 * dot;
    return std::max(v, 0.0);
}

}  // namespace latom
