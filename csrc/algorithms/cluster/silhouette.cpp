// silhouette.cpp: by sums under cosine; else by pairs of rows, where bounds on mean distances leave any.
//
// The distance 1 - cos is linear in either row, so the mean distance of a row to a cluster follows from the mean of
// the cluster's rows at length 1.
//
// Euclidean distances are not; but let C have mean mu, and u_j = |x - x_j|^2 over the rows of C, with mean M and
// variance V. With y_j = x_j - mu, r_j = |y_j|, e = |x - mu| and S the covariance of the rows,
//
//   M = e^2 + mean r^2,     sqrt V <= sd(r^2) + 2 sqrt((x - mu) S (x - mu)) <= sd(r^2) + 2 e sqrt|S|,
//   |S|^2 (Frobenius) = the mean over pairs of <y_j, y_l>^2,
//
// all known once the pairs within clusters have been looked at, which a_i needs anyway. The mean distance lies within
//
//   max(e, sqrt M (1 - c V / M^2)) <= mean sqrt(u_j) <= sqrt M,       c = 1 / (4 (1 + t / 2 + sqrt(1 + t))),
//
// since sqrt is concave, distances are convex, and sqrt(1 + s) >= 1 + s / 2 - c s^2 for s >= t, here with
// 1 + t = (e - max r)^2 / M where e > max r, and 0 else. Clusters whose lower bound is above the least mean distance
// known so far are not looked at. The others are, of dense rows, screened in float32 (block_distances.h); what that
// leaves is found in float64. Bounds are loosened by what float64 may round, and by kLost: of short rows the squares of
// r^2 and of products fall below float64's least number, by which their mean is off, and its root by the root of that.
#include <algorithm>
#include <cmath>

#include "algorithms/cluster/block_distances.h"
#include "algorithms/cluster/cluster_means.h"
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
    constexpr int64_t kRows = 64;
    constexpr double kNothing = 1e-14;  // what sums round: rows of one direction
    const int64_t n = rows.n(), m = clusters.m();
    parallel_for(ctx, chunk_count(n, kRows), [&](int64_t c, int) {
        typename ClusterMeans<View>::Scratch scratch;
        std::vector<double> product(static_cast<std::size_t>(m));
        for (int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i) {
            const bool zero = !(rows.norm2(i) > 0);
            const double inverse = zero ? 0.0 : 1 / std::sqrt(rows.norm2(i));
            clusters.products(i, scratch, product.data());
            double a = 0, b = HUGE_VAL;
            for (int64_t j = 0; j < m; ++j) {
                const auto size = static_cast<double>(clusters.size(j));
                if (clusters.size(j) == 0) continue;
                const double mean = 1 - product[j] * inverse;
                if (j != labels[i]) b = std::min(b, mean);
                else if (size > 1) a = (size * mean - (zero ? 1.0 : 0.0)) / (size - 1);  // its distance to itself is 0
            }
            samples[i] = silhouette_of(a > kNothing ? a : 0.0, b > kNothing ? b : 0.0, clusters.size(labels[i]));
        }
    });
}

/// What bounds need of a cluster.
struct Spread {
    double square = 0;     // mean r^2
    double deviation = 0;  // of r^2
    double longest = 0;    // r
    double norm = 0;       // sqrt|S|
};

struct Bounds {
    double low, high;
};

Bounds mean_distance_bounds(double e2, const Spread& s, double rounding) {
    const double e = std::sqrt(std::max(0.0, e2 - rounding)), far = std::sqrt(std::max(0.0, e2) + rounding);
    const double M = std::max(0.0, e2) + s.square, most = M + rounding, least = std::max(M - rounding, 0.0);
    double low = e;
    if (least > 0) {
        const double deviation = s.deviation + 2 * far * s.norm;
        const double gap = std::max(0.0, e - s.longest), t = std::min(gap * gap / most, 1.0) - 1;
        const double c = 1 / (4 * (1 + t / 2 + std::sqrt(1 + t)));
        low = std::max(low, std::sqrt(least) * (1 - c * (deviation / least) * (deviation / least)));
    }
    return {low * (1 - 1e-9), std::sqrt(most) * (1 + 1e-9)};
}

template <class View>
class EuclideanSilhouettes {
public:
    EuclideanSilhouettes(const Context& ctx, const Rows<View>& rows, const ClusterMeans<View>& clusters)
        : ctx_(ctx),
          rows_(rows),
          clusters_(clusters),
          measured_(BlockDistances<View>::measure(ctx, rows, clusters.order(), clusters.begins())),
          spread_(static_cast<std::size_t>(clusters.m())) {
        for (int64_t j = 0; j < clusters.m(); ++j)
            for (int64_t from = 0; from < clusters.size(j); from += kRows)
                blocks_.push_back({j, clusters.begin(j) + from, std::min(kRows, clusters.size(j) - from)});
        own_.resize(static_cast<std::size_t>(rows.n()));
        square_.resize(own_.size());
    }

    int64_t run(double* samples) {
        const auto count = static_cast<int64_t>(blocks_.size());
        measure();
        std::vector<double> crossed(blocks_.size(), 0.0);
        parallel_for(ctx_, count, [&](int64_t b, int) { crossed[b] = look_within(blocks_[b]); });
        std::vector<double> total(spread_.size(), 0.0);
        for (std::size_t b = 0; b < blocks_.size(); ++b) total[blocks_[b].cluster] += crossed[b];
        for (int64_t j = 0; j < clusters_.m(); ++j) {
            const auto size = static_cast<double>(clusters_.size(j));
            if (size > 0) spread_[j].norm = std::sqrt(std::sqrt(total[j]) / size + kLost) * (1 + 1e-9);
        }
        std::vector<int64_t> looked(blocks_.size(), 0);
        parallel_for(ctx_, count, [&](int64_t b, int) { looked[b] = look_beyond(blocks_[b], samples); });
        return std::accumulate(looked.begin(), looked.end(), int64_t{0});
    }

private:
    static constexpr int64_t kRows = BlockDistances<View>::kBlock;
    static constexpr double kLost = 3e-162;
    struct Block {
        int64_t cluster, first, count;  // rows order()[first, first + count)
    };
    const int64_t* members(int64_t j) const { return clusters_.order().data() + clusters_.begin(j); }
    double rounding(int64_t i, int64_t j) const {
        return 1e-14 * static_cast<double>(rows_.d() / 64 + 1) *
               (rows_.norm2(i) + clusters_.norm2(j) + spread_[j].square);
    }

    // Squared distances of rows to their means, and what follows from these.
    void measure() {
        parallel_for(ctx_, clusters_.m(), [&](int64_t j, int) {
            double sum = 0, squares = 0, longest = 0;
            const int64_t* who = members(j);
            const auto size = static_cast<double>(clusters_.size(j));
            for (int64_t r = 0; r < clusters_.size(j); ++r) {
                double dot = 0;
                rows_.each(who[r], [&](int64_t t, auto v) { dot += static_cast<double>(v) * clusters_.mean(j)[t]; });
                own_[who[r]] = dot;
                square_[who[r]] = std::max(0.0, rows_.norm2(who[r]) + clusters_.norm2(j) - 2 * dot);
                sum += square_[who[r]];
                longest = std::max(longest, square_[who[r]]);
            }
            if (size == 0) return;
            for (int64_t r = 0; r < clusters_.size(j); ++r) {
                const double off = square_[who[r]] - sum / size;
                squares += off * off;
            }
            spread_[j].square = sum / size;
            spread_[j].deviation = std::sqrt(squares / size) * (1 + 1e-9) + kLost;
            spread_[j].longest = std::sqrt(longest) * (1 + 1e-6);
        });
    }

    // a of the rows of a block; returns the sum over its rows and all of their cluster of <y, y'>^2.
    double look_within(const Block& block) {
        BlockDistances<View> distances(rows_, measured_);
        const int64_t j = block.cluster, size = clusters_.size(j);
        const int64_t *who = clusters_.order().data() + block.first, *all = members(j);
        const double mu2 = clusters_.norm2(j);
        double crossed = 0, sum[kRows] = {};
        distances.exact(who, block.count, all, size, [&](int64_t g, int64_t r, double dot, double distance) {
            const double product = dot - own_[who[g]] - own_[all[r]] + mu2;
            crossed += product * product;
            sum[g] += distance;
        });
        for (int64_t g = 0; g < block.count; ++g)
            a_of(who[g]) = size > 1 ? sum[g] / static_cast<double>(size - 1) : 0.0;
        return crossed;
    }
    double& a_of(int64_t i) { return square_[i]; }  // squares are not needed any more

    struct Hope {
        int64_t cluster, row;  // of the block
        double low, high;
    };

    int64_t look_beyond(const Block& block, double* samples) {
        std::vector<double> best(static_cast<std::size_t>(block.count), HUGE_VAL);  // upper bounds
        std::vector<Hope> hopes = find_hopes(block, best);
        int64_t pairs = block.count * clusters_.size(block.cluster);
        BlockDistances<View> distances(rows_, measured_);
        if constexpr (BlockDistances<View>::kScreens)
            pairs += for_clusters(block, hopes, best, [&](const Some& s) { screen(distances, s, best); });
        std::vector<double> exact(best.size(), HUGE_VAL);
        pairs += for_clusters(block, hopes, best, [&](const Some& s) { decide(distances, s, best, exact); });
        const int64_t* who = clusters_.order().data() + block.first;
        for (int64_t r = 0; r < block.count; ++r)
            samples[who[r]] = silhouette_of(a_of(who[r]), exact[r], clusters_.size(block.cluster));
        return pairs;
    }

    // Pairs of row and cluster that bounds leave: clusters by falling number of rows that they are best for.
    std::vector<Hope> find_hopes(const Block& block, std::vector<double>& best) const {
        const int64_t m = clusters_.m(), *who = clusters_.order().data() + block.first;
        std::vector<double> product(static_cast<std::size_t>(m));
        std::vector<int64_t> votes(static_cast<std::size_t>(m), 0);
        std::vector<Hope> hopes;
        typename ClusterMeans<View>::Scratch scratch;
        for (int64_t r = 0; r < block.count; ++r) {
            const std::size_t first = hopes.size();
            clusters_.products(who[r], scratch, product.data());
            int64_t nearest = -1;
            for (int64_t j = 0; j < m; ++j) {
                if (j == block.cluster || clusters_.size(j) == 0) continue;
                const double e2 = rows_.norm2(who[r]) + clusters_.norm2(j) - 2 * product[j];
                const Bounds bounds = mean_distance_bounds(e2, spread_[j], rounding(who[r], j));
                if (bounds.high < best[r] || nearest < 0) nearest = j;
                best[r] = std::min(best[r], bounds.high);
                if (bounds.low <= best[r]) hopes.push_back({j, r, bounds.low, bounds.high});
            }
            const auto gone = [&](const Hope& hope) { return !(hope.low <= best[r]); };
            hopes.erase(std::remove_if(hopes.begin() + static_cast<std::ptrdiff_t>(first), hopes.end(), gone),
                        hopes.end());
            if (nearest >= 0) ++votes[nearest];
        }
        std::stable_sort(hopes.begin(), hopes.end(), [&](const Hope& a, const Hope& b) {
            return votes[a.cluster] != votes[b.cluster] ? votes[a.cluster] > votes[b.cluster] : a.cluster < b.cluster;
        });
        return hopes;
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

    void screen(BlockDistances<View>& distances, const Some& s, std::vector<double>& best) const {
        double reach[kRows];
        MeanInterval found[kRows];
        for (int64_t g = 0; g < s.count; ++g) reach[g] = s.hope[g]->high;
        distances.screen(s.rows, s.count, s.cluster, members(s.cluster), clusters_.size(s.cluster), reach, found);
        for (int64_t g = 0; g < s.count; ++g) {
            Hope& hope = *s.hope[g];
            hope.low = std::max(hope.low, found[g].low);
            hope.high = std::min(hope.high, found[g].high);
            best[hope.row] = std::min(best[hope.row], hope.high);
        }
    }

    void decide(BlockDistances<View>& distances, const Some& s, std::vector<double>& best,
                std::vector<double>& exact) const {
        double sum[kRows] = {};
        const int64_t size = clusters_.size(s.cluster);
        distances.exact(s.rows, s.count, members(s.cluster), size,
                        [&](int64_t g, int64_t, double, double distance) { sum[g] += distance; });
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
    std::vector<Spread> spread_;
    std::vector<Block> blocks_;
    std::vector<double> own_, square_;  // [n]: <x, mu>; |x - mu|^2, and later a
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
