// exact.cpp: k-means++ as its definition says: every row's distance to every centre.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "algorithms/rows.h"
#include "core/philox.h"
#include "latom/seeding.h"

namespace latom {
namespace {

constexpr int64_t kBlock = 1024;  // rows whose weighted distances share a partial sum

/// Index drawn with probability proportional to value(i), by two levels of sums; -1 if all are zero.
template <class Value>
int64_t draw(const std::vector<double>& sums, int64_t n, double uniform, Value value) {
    const double total = std::accumulate(sums.begin(), sums.end(), 0.0);
    if (!(total > 0)) return -1;
    double left = uniform * total;
    int64_t last = -1;  // rounding may leave a little after the end: the last possible row takes it
    for (std::size_t b = 0; b < sums.size(); ++b) {
        if (!(sums[b] > 0)) continue;
        const bool inside = left < sums[b];
        for (int64_t i = static_cast<int64_t>(b) * kBlock; i < std::min(n, static_cast<int64_t>(b + 1) * kBlock); ++i) {
            const double v = value(i);
            if (!(v > 0)) continue;
            last = i;
            if (!inside) continue;
            if (left < v) return i;
            left -= v;
        }
        if (inside) return last;
        left -= sums[b];
    }
    return last;
}

}  // namespace

template <class View>
Seeding kmeans_plusplus(const Context& ctx, const View& X, const double* weights, Metric metric, int64_t m,
                        std::uint64_t seed, const std::string& function) {
    using T = typename View::value_type;
    const Rows<View> rows(ctx, X, function);
    const int64_t n = rows.n(), d = rows.d();
    const bool cosine = metric == Metric::kCosine;
    const auto weight = [&](int64_t i) {
        return cosine && !(rows.norm2(i) > 0) ? 0.0 : weights ? weights[i] : 1.0;
    };
    std::vector<double> distance(static_cast<std::size_t>(n), 1.0);  // 1 before the first centre: the law is then w_i
    std::vector<double> sums(static_cast<std::size_t>(chunk_count(n, kBlock)));
    std::vector<T> center(static_cast<std::size_t>(d), T{0});
    std::vector<char> chosen(static_cast<std::size_t>(n), 0);

    const auto refresh = [&](auto update) {
        parallel_for(ctx, static_cast<int64_t>(sums.size()), [&](int64_t b, int) {
            double sum = 0;
            for (int64_t i = b * kBlock; i < std::min(n, (b + 1) * kBlock); ++i) {
                if (weight(i) > 0) update(i);
                sum += weight(i) * distance[i];
            }
            sums[b] = sum;
        });
    };
    refresh([](int64_t) {});

    Seeding out;
    const Philox first(seed, Purpose::kFirstCenter), next(seed, Purpose::kNextCenter);
    for (int64_t k = 0; k < m; ++k) {
        const double uniform = k == 0 ? first.uniform(0) : next.uniform(static_cast<std::uint64_t>(k));
        const int64_t c = draw(sums, n, uniform, [&](int64_t i) { return weight(i) * distance[i]; });
        if (c < 0) break;
        out.indices.push_back(c);
        chosen[c] = 1;
        rows.each(c, [&](int64_t t, T v) { center[t] = v; });
        const double c2 = rows.norm2(c);
        refresh([&](int64_t i) {
            if (k == 0) distance[i] = HUGE_VAL;
            if (distance[i] == 0) return;
            const double dot = rows.dot(i, center.data()), x2 = rows.norm2(i);
            double d2 = cosine ? 2 - 2 * dot / (std::sqrt(x2) * std::sqrt(c2)) : x2 + c2 - 2 * dot;
            if (i == c || d2 < 1e-14 * (cosine ? 1.0 : x2 + c2)) d2 = 0;  // rounding, where rows coincide
            distance[i] = std::min(distance[i], d2);
        });
        rows.each(c, [&](int64_t t, T) { center[t] = T{0}; });
    }
    out.distinct = static_cast<int64_t>(out.indices.size());
    if (out.distinct > 0) out.potential = std::accumulate(sums.begin(), sums.end(), 0.0);

    // No distance is left: fill with rows not yet chosen, those of positive weight first, in a random order.
    if (out.distinct < m) {
        std::vector<int64_t> rest;
        for (int64_t i = 0; i < n; ++i)
            if (!chosen[i]) rest.push_back(i);
        for (std::size_t r = rest.size(); r > 1; --r) {
            const auto pick = static_cast<std::size_t>(first.uniform(r) * static_cast<double>(r));
            std::swap(rest[r - 1], rest[pick]);
        }
        std::stable_partition(rest.begin(), rest.end(), [&](int64_t i) { return weight(i) > 0; });
        rest.resize(std::min(rest.size(), static_cast<std::size_t>(m - out.distinct)));
        out.indices.insert(out.indices.end(), rest.begin(), rest.end());
    }
    return out;
}

#define LATOM_INSTANTIATE(View)                                                                                   \
    template Seeding kmeans_plusplus(const Context&, const View&, const double*, Metric, int64_t, std::uint64_t, \
                                     const std::string&);
using SparseF32I32 = CsrView<float, int32_t>;
using SparseF32I64 = CsrView<float, int64_t>;
using SparseF64I32 = CsrView<double, int32_t>;
using SparseF64I64 = CsrView<double, int64_t>;
LATOM_INSTANTIATE(SparseF32I32)
LATOM_INSTANTIATE(SparseF32I64)
LATOM_INSTANTIATE(SparseF64I32)
LATOM_INSTANTIATE(SparseF64I64)
LATOM_INSTANTIATE(DenseView<float>)
LATOM_INSTANTIATE(DenseView<double>)
#undef LATOM_INSTANTIATE

}  // namespace latom
