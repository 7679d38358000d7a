// mean_variance.cpp: the mean over columns of their variances.
//
//   sum_i |x_i|^2 - n |mean|^2       from the lengths, which are known, and a pass for the mean;
//   sum_i |x_i - mean|^2             by a second pass, where that is a difference of nearly equal numbers
#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "latom/cluster.h"
#include "rows/every_view.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kLeastRows = 1024, kMostChunks = 64;  // of a chunk, and chunks: partial sums stay few
constexpr double kLeastShare = 0x1p-10;                 // of the squares: three digits are lost

/// The number of rows per chunk: a function of the shape alone, so that sums have one order.
int64_t rows_per_chunk(int64_t n, int64_t d) {
    constexpr int64_t kMostSums = int64_t{1} << 23;  // numbers of all partial sums together
    return chunk_count(
        n, std::clamp<int64_t>(std::min(n / kLeastRows, kMostSums / std::max<int64_t>(d, 1)), 1, kMostChunks));
}

template <class View>
std::vector<double> column_means(const Context& ctx, const Rows<View>& rows) {
    const int64_t n = rows.n(), d = rows.d(), size = rows_per_chunk(n, d), chunks = chunk_count(n, size);
    std::vector<std::vector<double>> sum(static_cast<std::size_t>(chunks));
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        sum[c].assign(static_cast<std::size_t>(d), 0.0);
        double few[kShortDot] = {};
        const bool is_short = !kIsSparse<View> && d <= kShortDot;
        for (int64_t i = c * size; is_short && i < std::min(n, (c + 1) * size); ++i) {
            const auto* x = rows.values(i);
            for (int64_t t = 0; t < d; ++t) few[t] += static_cast<double>(x[t]);
        }
        if (is_short) std::copy_n(few, d, sum[c].data());
        for (int64_t i = c * size; !is_short && i < std::min(n, (c + 1) * size); ++i) {
            if constexpr (kIsSparse<View>)
                rows.each(i, [&](int64_t t, auto v) { sum[c][t] += static_cast<double>(v); });
            else
                ctx.kernels->template of<typename View::value_type>().add_scaled(rows.values(i), 1.0, d, sum[c].data());
        }
    });
    for (int64_t c = 1; c < chunks; ++c) ctx.kernels->f64.add_scaled(sum[c].data(), 1.0, d, sum[0].data());
    for (double& v : sum[0]) v /= static_cast<double>(n);
    return std::move(sum[0]);
}

}  // namespace

template <class View>
double mean_variance(const Context& ctx, const Rows<View>& rows) {
    const int64_t n = rows.n(), d = rows.d();
    const std::vector<double> mean = column_means(ctx, rows);
    const double mean2 = ctx.kernels->f64.dense_dot(mean.data(), mean.data(), d);
    const int64_t chunks = chunk_count(n, kLeastRows);
    std::vector<double> sum(static_cast<std::size_t>(chunks), 0.0);
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        double own = 0;
        for (int64_t i = c * kLeastRows; i < std::min(n, (c + 1) * kLeastRows); ++i) own += rows.norm2(i);
        sum[c] = own;
    });
    const double squares = std::accumulate(sum.begin(), sum.end(), 0.0);
    const double about = squares - static_cast<double>(n) * mean2;
    if (about >= kLeastShare * squares && squares > 0) return about / static_cast<double>(n) / static_cast<double>(d);
    const int64_t columns = d - std::count(mean.begin(), mean.end(), 0.0);  // in which the mean is not 0
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        double total = 0;
        for (int64_t i = c * kLeastRows; i < std::min(n, (c + 1) * kLeastRows); ++i) {
            double own = 0, stored = 0;  // over the stored entries: squared distance to the mean, and its square
            int64_t left = columns;
            rows.each(i, [&](int64_t t, auto v) {
                const double gap = static_cast<double>(v) - mean[t];
                own += gap * gap;
                if constexpr (kIsSparse<View>) stored += mean[t] * mean[t];
                left -= mean[t] != 0;
            });
            total += kIsSparse<View> && left > 0 ? own + std::max(0.0, mean2 - stored) : own;
        }
        sum[c] = total;
    });
    // Of rows that are all equal this is what the mean was rounded by, and it would be another in other blocks.
    const double count = static_cast<double>(n), spread = std::accumulate(sum.begin(), sum.end(), 0.0);
    const double rounding = std::numeric_limits<double>::epsilon() * count;
    return spread <= rounding * rounding * count * mean2 ? 0.0 : spread / count / static_cast<double>(d);
}

#define LATOM_INSTANTIATE(View) template double mean_variance(const Context&, const Rows<View>&);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
