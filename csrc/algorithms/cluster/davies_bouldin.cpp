// davies_bouldin.cpp: how far clusters reach, beside how far they are apart.
#include <algorithm>
#include <cmath>

#include "algorithms/cluster/cluster_means.h"
#include "latom/quality.h"
#include "rows/every_view.h"

namespace latom {

template <class View>
double davies_bouldin(const Context& ctx, const Rows<View>& X, const int32_t* labels, int64_t m) {
    const ClusterMeans<View> clusters(ctx, X, labels, m, false);
    const int64_t d = X.d();
    std::vector<double> spread(static_cast<std::size_t>(m), 0.0), worst(static_cast<std::size_t>(m), 0.0);
    parallel_for(ctx, m, [&](int64_t j, int) {
        const double* mu = clusters.mean(j);
        for (int64_t r = 0; r < clusters.size(j); ++r) {
            const int64_t i = clusters.order()[clusters.begin(j) + r];
            double square = kIsSparse<View> ? clusters.norm2(j) : 0.0;
            X.each(i, [&](int64_t t, auto v) {
                const double x = static_cast<double>(v), off = x - mu[t];
                square += kIsSparse<View> ? off * off - mu[t] * mu[t] : off * off;
            });
            spread[j] += std::sqrt(std::max(square, 0.0));
        }
        if (clusters.size(j) > 0) spread[j] /= static_cast<double>(clusters.size(j));
    });
    parallel_for(ctx, m, [&](int64_t j, int) {
        for (int64_t l = 0; l < m && clusters.size(j) > 0; ++l) {
            if (l == j || clusters.size(l) == 0) continue;
            double square = 0;
            for (int64_t t = 0; t < d; ++t) {
                const double off = clusters.mean(j)[t] - clusters.mean(l)[t];
                square += off * off;
            }
            if (square > 0) worst[j] = std::max(worst[j], (spread[j] + spread[l]) / std::sqrt(square));
            poll();
        }
    });
    double total = 0;
    int64_t found = 0;
    for (int64_t j = 0; j < m; ++j) {
        found += clusters.size(j) > 0;
        total += worst[j];
    }
    return found ? total / static_cast<double>(found) : 0.0;
}

#define LATOM_INSTANTIATE(View) \
    template double davies_bouldin(const Context&, const Rows<View>&, const int32_t*, int64_t);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
