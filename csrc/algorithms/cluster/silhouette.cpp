// silhouette.cpp: by sums under cosine; else by pairs of rows, where bounds on mean distances leave any.
//
// The distance 1 - cos is linear in either row, so the mean distance of a row to a cluster follows from the mean of
// the cluster's rows at length 1.
//
// Euclidean distances are not; but what is known of a cluster (cluster_spread.h) bounds mean distances to it. Clusters
// whose lower bound is above the least mean distance known so far are not looked at. The others are, of dense rows,
// screened in float32 (block_distances.h), for each row its likeliest first; what that leaves is found in float64.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "algorithms/cluster/block_distances.h"
#include "algorithms/cluster/cluster_means.h"
#include "algorithms/cluster/cluster_spread.h"
#include "latom/quality.h"
#include "rows/every_view.h"

namespace latom {
namespace {

double silhouette_of(double a, double b, int64_t size) {
    const double most = std::max(a, b);
    return size > 1 && most > 0 ? (b - a) / most : 0.0;
}

template <class View>
void cosine_silhouettes(const Context& ctx, const Rows<View>& rows, const ClusterMeans<View>& clusters,
                        const int32_t* labels, double* samples) {
    constexpr int64_t kRows = ClusterMeans<View>::kRows;
    constexpr double kNothing = 1e-14;  // what sums round: rows of one direction
    const int64_t n = rows.n(), m = clusters.m(), chunks = chunk_count(n, kRows);
    std::vector<typename ClusterMeans<View>::Scratch> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        int64_t which[kRows];
        const int64_t first = c * kRows, count = std::min(kRows, n - first);
        std::iota(which, which + count, first);
        clusters.products(which, count, scratch[worker], [&](int64_t r, const double* product) {
            const int64_t i = first + r;
            const bool zero = !(rows.norm2(i) > 0);
            const double inverse = zero ? 0.0 : 1 / std::sqrt(rows.norm2(i));
            double a = 0, b = HUGE_VAL;
            for (int64_t j = 0; j < m; ++j) {
                const auto size = static_cast<double>(clusters.size(j));
                if (clusters.size(j) == 0) continue;
                const double mean = 1 - product[j] * inverse;
                if (j != labels[i]) b = std::min(b, mean);
                else if (size > 1) a = (size * mean - (zero ? 1.0 : 0.0)) / (size - 1);  // its distance to itself is 0
            }
            samples[i] = silhouette_of(a > kNothing ? a : 0.0, b > kNothing ? b : 0.0, clusters.size(labels[i]));
        });
    });
}

template <class View>
class EuclideanSilhouettes {
public:
    EuclideanSilhouettes(const Context& ctx, const Rows<View>& rows, const ClusterMeans<View>& clusters)
        : ctx_(ctx),
          rows_(rows),
          clusters_(clusters),
          measured_(BlockDistances<View>::measure(ctx, rows, clusters.order(), clusters.begins())),
          spread_(ctx, rows, clusters),
          within_(static_cast<std::size_t>(rows.n())) {
        for (int64_t j = 0; j < clusters.m(); ++j)
            for (int64_t from = 0; from < clusters.size(j); from += kRows)
                blocks_.push_back({j, clusters.begin(j) + from, std::min(kRows, clusters.size(j) - from)});
    }

    int64_t run(double* samples) {
        const auto count = static_cast<int64_t>(blocks_.size());
        std::vector<double> crossed(blocks_.size(), 0.0);
        std::vector<Scratch> scratch;
        for (int w = workers(ctx_, count); w > 0; --w) scratch.emplace_back(rows_, measured_);
        parallel_for(ctx_, count, [&](int64_t b, int w) { crossed[b] = look_within(blocks_[b], scratch[w]); });
        std::vector<double> total(static_cast<std::size_t>(clusters_.m()), 0.0);
        for (std::size_t b = 0; b < blocks_.size(); ++b) total[blocks_[b].cluster] += crossed[b];
        for (int64_t j = 0; j < clusters_.m(); ++j) spread_.set_crossed(j, total[j]);
        std::vector<int64_t> looked(blocks_.size(), 0);
        parallel_for(ctx_, count, [&](int64_t b, int w) { looked[b] = look_beyond(blocks_[b], samples, scratch[w]); });
        return std::accumulate(looked.begin(), looked.end(), int64_t{0});
    }

private:
    static constexpr int64_t kRows = BlockDistances<View>::kBlock;
    static constexpr double kLost = 3e-162;
    struct Block {
        int64_t cluster, first, count;  // rows order()[first, first + count)
    };
    struct Scratch {
        Scratch(const Rows<View>& rows, const typename BlockDistances<View>::Measured& measured)
            : distances(rows, measured) {}
        BlockDistances<View> distances;
        typename ClusterMeans<View>::Scratch means;
        typename ClusterSpread<View>::Scratch spread;
    };
    const int64_t* members(int64_t j) const { return clusters_.order().data() + clusters_.begin(j); }

    // a of the rows of a block; returns the sum over its rows and all of their cluster of <y, y'>^2, where it is asked
    // for.
    double look_within(const Block& block, Scratch& scratch) {
        const int64_t j = block.cluster, size = clusters_.size(j);
        const int64_t* who = clusters_.order().data() + block.first;
        double sum[kRows] = {}, squares[kRows] = {};
        const typename BlockDistances<View>::Crossed crossed{spread_.shift().data(), clusters_.norm2(j), squares};
        scratch.distances.exact(who, block.count, members(j), size, sum, spread_.large(j) ? nullptr : &crossed);
        for (int64_t g = 0; g < block.count; ++g)
            within_[who[g]] = size > 1 ? sum[g] / static_cast<double>(size - 1) : 0.0;
        return std::accumulate(squares, squares + block.count, 0.0);
    }

    struct Hope {
        int64_t cluster, row;  // of the block
        double low, high;
    };

    int64_t look_beyond(const Block& block, double* samples, Scratch& scratch) {
        std::vector<double> best(static_cast<std::size_t>(block.count), HUGE_VAL);  // upper bounds
        std::vector<Hope> hopes = find_hopes(block, best, scratch);
        if constexpr (BlockDistances<View>::kScreens)
            for_clusters(block, hopes, best, [&](const Some& s) { narrow(s, best, scratch); });
        likeliest_first(hopes, best);
        int64_t pairs = block.count * clusters_.size(block.cluster);
        if constexpr (BlockDistances<View>::kScreens)
            pairs += for_clusters(block, hopes, best, [&](const Some& s) { screen(s, best, scratch); });
        std::vector<double> exact(best.size(), HUGE_VAL);
        pairs += for_clusters(block, hopes, best, [&](const Some& s) { decide(s, best, exact, scratch); });
        const int64_t* who = clusters_.order().data() + block.first;
        for (int64_t r = 0; r < block.count; ++r)
            samples[who[r]] = silhouette_of(within_[who[r]], exact[r], clusters_.size(block.cluster));
        return pairs;
    }

    // Pairs of row and cluster that bounds leave, by cluster.
    std::vector<Hope> find_hopes(const Block& block, std::vector<double>& best, Scratch& scratch) const {
        constexpr int64_t kTogether = ClusterMeans<View>::kRows;
        const int64_t m = clusters_.m(), *who = clusters_.order().data() + block.first;
        std::vector<Hope> hopes;
        for (int64_t from = 0; from < block.count; from += kTogether)
            clusters_.products(who + from, std::min(kTogether, block.count - from), scratch.means,
                               [&](int64_t at, const double* product) {
                                   const int64_t r = from + at;
                                   for (int64_t j = 0; j < m; ++j) {
                                       if (j == block.cluster || clusters_.size(j) == 0) continue;
                                       const DistanceBounds bounds = spread_.bounds(who[r], j, product[j]);
                                       best[r] = std::min(best[r], bounds.high);
                                       if (bounds.low <= best[r]) hopes.push_back({j, r, bounds.low, bounds.high});
                                   }
                               });
        drop_hopeless(hopes, best);
        std::stable_sort(hopes.begin(), hopes.end(),
                         [](const Hope& a, const Hope& b) { return a.cluster < b.cluster; });
        return hopes;
    }
    static void drop_hopeless(std::vector<Hope>& hopes, const std::vector<double>& best) {
        const auto gone = [&](const Hope& hope) { return !(hope.low <= best[hope.row]); };
        hopes.erase(std::remove_if(hopes.begin(), hopes.end(), gone), hopes.end());
    }
    // Each row's cluster of the least upper bound, then the others: both in order of the clusters.
    static void likeliest_first(std::vector<Hope>& hopes, const std::vector<double>& best) {
        drop_hopeless(hopes, best);
        std::vector<int64_t> nearest(best.size(), -1);
        for (std::size_t h = 0; h < hopes.size(); ++h) {
            int64_t& known = nearest[hopes[h].row];
            if (known < 0 || hopes[h].high < hopes[known].high) known = static_cast<int64_t>(h);
        }
        std::vector<Hope> first, later;
        for (std::size_t h = 0; h < hopes.size(); ++h)
            (nearest[hopes[h].row] == static_cast<int64_t>(h) ? first : later).push_back(hopes[h]);
        std::copy(later.begin(), later.end(), std::copy(first.begin(), first.end(), hopes.begin()));
    }

    struct Some {  // rows of a block for which a cluster may be the nearest
        int64_t cluster, count;
        const int64_t* rows;  // [count], of X
        Hope* const* hope;    // [count]
    };

    // f(rows) for each cluster that hopes are left for; returns the pairs of rows looked at.
    template <class F>
    int64_t for_clusters(const Block& block, std::vector<Hope>& hopes, const std::vector<double>& best, F f) const {
        const int64_t* who = clusters_.order().data() + block.first;
        int64_t pairs = 0;
        std::vector<int64_t> rows;
        std::vector<Hope*> left;
        for (std::size_t h = 0; h < hopes.size();) {
            const int64_t j = hopes[h].cluster;
            rows.clear();
            left.clear();
            for (; h < hopes.size() && hopes[h].cluster == j; ++h) {
                if (!(hopes[h].low <= best[hopes[h].row])) continue;
                rows.push_back(who[hopes[h].row]);
                left.push_back(&hopes[h]);
            }
            if (left.empty()) continue;
            f(Some{j, static_cast<int64_t>(left.size()), rows.data(), left.data()});
            pairs += static_cast<int64_t>(left.size()) * clusters_.size(j);
        }
        return pairs;
    }

    // Closer bounds, where the cluster is large.
    void narrow(const Some& s, std::vector<double>& best, Scratch& scratch) const {
        constexpr int64_t kTogether = ClusterSpread<View>::kRows;
        if (!spread_.large(s.cluster)) return;
        for (int64_t from = 0; from < s.count; from += kTogether)
            spread_.closer(s.rows + from, std::min(kTogether, s.count - from), s.cluster, scratch.spread,
                           [&](int64_t r, const DistanceBounds& found) { tighten(*s.hope[from + r], found, best); });
        poll();
    }

    void screen(const Some& s, std::vector<double>& best, Scratch& scratch) const {
        double reach[kRows];
        DistanceBounds found[kRows];
        for (int64_t g = 0; g < s.count; ++g) reach[g] = s.hope[g]->high;
        scratch.distances.screen(s.rows, s.count, s.cluster, members(s.cluster), clusters_.size(s.cluster), reach,
                                 found);
        for (int64_t g = 0; g < s.count; ++g) tighten(*s.hope[g], found[g], best);
    }

    static void tighten(Hope& hope, const DistanceBounds& found, std::vector<double>& best) {
        hope.low = std::max(hope.low, found.low);
        hope.high = std::min(hope.high, found.high);
        best[hope.row] = std::min(best[hope.row], hope.high);
    }

    void decide(const Some& s, std::vector<double>& best, std::vector<double>& exact, Scratch& scratch) const {
        double sum[kRows] = {};
        const int64_t size = clusters_.size(s.cluster);
        scratch.distances.exact(s.rows, s.count, members(s.cluster), size, sum, nullptr);
        for (int64_t g = 0; g < s.count; ++g) {
            const int64_t r = s.hope[g]->row;
            exact[r] = std::min(exact[r], sum[g] / static_cast<double>(size));
            best[r] = std::min(best[r], exact[r]);
        }
    }

    const Context& ctx_;
    const Rows<View>& rows_;
    const ClusterMeans<View>& clusters_;
    typename BlockDistances<View>::Measured measured_;
    ClusterSpread<View> spread_;
    std::vector<Block> blocks_;
    std::vector<double> within_;  // [n]: a
};

}  // namespace

template <class View>
int64_t silhouette(const Context& ctx, const Rows<View>& X, const int32_t* labels, int64_t m, Metric metric,
                   double* samples) {
    const ClusterMeans<View> clusters(ctx, X, labels, m, metric == Metric::kCosine);
    if (metric == Metric::kEuclidean) return EuclideanSilhouettes<View>(ctx, X, clusters).run(samples);
    cosine_silhouettes(ctx, X, clusters, labels, samples);
    return 0;
}

#define LATOM_INSTANTIATE(View) \
    template int64_t silhouette(const Context&, const Rows<View>&, const int32_t*, int64_t, Metric, double*);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
