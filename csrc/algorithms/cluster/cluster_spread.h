// cluster_spread.h: how the rows of a cluster lie around their mean, and what follows for mean distances to them.
//
// Let C have mean mu, and u_j = |x - x_j|^2 over the rows of C, with mean M and variance V. With y_j = x_j - mu,
// r_j = |y_j|, z = x - mu, e = |z| and S the covariance of the rows,
//
//   M = e^2 + mean r^2,     V = var(r^2) + 4 z S z - 4 <z, g>,     g = mean (r_j^2 - mean r^2) y_j,
//   sqrt V <= sd(r^2) + 2 sqrt(z S z) <= sd(r^2) + 2 e sqrt|S|,     |S|^2 <= |S|_F^2 = the mean of <y_j, y_l>^2.
//
// For c(t) = 1 / (4 (1 + t / 2 + sqrt(1 + t))), which falls with t, sqrt(1 + s) = 1 + s / 2 - c(s) s^2. So the mean
// distance lies within
//
//   max(e, sqrt M (1 - c(t) V / M^2)) <= mean sqrt(u_j) <= sqrt M (1 - c(t') V / M^2)
//
// for 1 + t = (e - max r)^2 / M where e > max r, and 0 else, and 1 + t' = (e + max r)^2 / M; e is there because
// distances are convex. Bounds are loosened by what float64 may round, and by kLost: squares of r^2 and of products of
// short rows fall below float64's least number, by which their mean is off, and its root by the root of that.
//
// Large clusters of dense rows, those of at least kLarge d rows of moderate length, have S. It gives V: z S z in float32 is off by at most
// 2^-24 e^2 ((2 d + 16) |S|_F + 4 mean r^2) (1 + 1%), as |z| |S| |z|, entry by entry, is at most |S|_F e^2. It also
// gives |S| <= |S^2|_F^(1/2). Of others |S|_F is known once their pairs have been looked at.
//
// Cost      n d multiply-adds; of the rows of large clusters n d^2, and d^3 per such cluster. closer(): d^2 per row.
// Memory    8 bytes per column and cluster, 4 per pair of columns and large cluster: at most 4 n d / kLarge.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "algorithms/cluster/block_distances.h"
#include "algorithms/cluster/cluster_means.h"
#include "engines/small_solve/small_solve.h"

namespace latom {

template <class View>
class ClusterSpread {
public:
    using T = typename View::value_type;
    static constexpr int64_t kLarge = 2, kRows = 64;  // rows that closer() takes together

    ClusterSpread(const Context& ctx, const Rows<View>& rows, const ClusterMeans<View>& clusters)
        : rows_(rows), clusters_(clusters), spread_(static_cast<std::size_t>(clusters.m())) {
        shift_.resize(static_cast<std::size_t>(rows.n()));
        parallel_for(ctx, clusters.m(), [&](int64_t j, int) { measure(j); });
        if constexpr (!kIsSparse<View>) {
            double most = 0;
            for (int64_t i = 0; i < rows.n(); ++i) most = std::max(most, rows.norm2(i));
            for (int64_t j = 0; j < clusters.m(); ++j)
                if (clusters.size(j) >= kLarge * rows.d() && spread_[j].square > 1e-20 && most < 1e20)
                    large_.push_back(j);  // float32 holds what covariances are multiplied with
            width_ = whole_lines<float>(rows.d());
            covariance_.resize(large_.size() * static_cast<std::size_t>(rows.d() * width_));
            slope_.resize(large_.size() * static_cast<std::size_t>(rows.d()));
            for (std::size_t l = 0; l < large_.size(); ++l) cover(ctx, l);
        }
    }

    bool large(int64_t j) const { return spread_[j].large >= 0; }
    /// <x, mu> of each row with the mean of its own cluster.
    const std::vector<double>& shift() const { return shift_; }
    /// The sum over all pairs of rows of a cluster that is not large of <y, y'>^2.
    void set_crossed(int64_t j, double total) {
        const auto size = static_cast<double>(clusters_.size(j));
        if (size > 0 && !large(j)) spread_[j].norm = std::sqrt(std::sqrt(total) / size + kLost) * (1 + 1e-9);
    }

    /// Of the mean distance of row i to cluster j, with <x, mu>.
    DistanceBounds bounds(int64_t i, int64_t j, double product) const {
        const Spread& s = spread_[j];
        const double e2 = rows_.norm2(i) + clusters_.norm2(j) - 2 * product, off = rounding(i, j);
        const double deviation = s.deviation + 2 * std::sqrt(std::max(0.0, e2) + off) * s.norm;
        return within(s, e2, off, 0, deviation * deviation);
    }

    struct Scratch {
        AlignedVector<float> z, product;
    };
    /// out(r, bounds) of the mean distances of rows which [count <= kRows] to a large cluster.
    template <class Out>
    void closer(const int64_t* which, int64_t count, int64_t j, Scratch& scratch, Out out) const {
        const int64_t d = rows_.d();
        const Spread& s = spread_[j];
        const double *mu = clusters_.mean(j), *g = slope_.data() + s.large * d;
        scratch.z.resize(static_cast<std::size_t>(kRows * d));
        scratch.product.resize(static_cast<std::size_t>(kRows * width_));
        double square[kRows], along[kRows];
        for (int64_t r = 0; r < count; ++r) {
            float* z = scratch.z.data() + r * d;
            square[r] = along[r] = 0;
            rows_.each(which[r], [&](int64_t t, T v) {
                const double off = static_cast<double>(v) - mu[t];
                square[r] += off * off;
                along[r] += off * g[t];
                z[t] = static_cast<float>(off);
            });
        }
        rows_.kernels()->f32.small_product(scratch.z.data(), count, d, covariance_.data() + s.large * d * width_,
                                           width_, scratch.product.data());
        for (int64_t r = 0; r < count; ++r) {
            const float *z = scratch.z.data() + r * d, *product = scratch.product.data() + r * width_;
            double quadratic = 0;
            for (int64_t t = 0; t < d; ++t) quadratic += static_cast<double>(z[t]) * static_cast<double>(product[t]);
            const double e2 = square[r], most = s.deviation + 2 * std::sqrt(e2) * s.norm;
            const double off =
                4 * 1.01 * 0x1p-24 * e2 * ((2 * static_cast<double>(d) + 16) * s.frobenius + 4 * s.square) +
                1e-11 * most * most + 1e-30;
            const double variance = s.variance + 4 * quadratic - 4 * along[r];
            out(r, within(s, e2, rounding(which[r], j), std::max(0.0, variance - off), std::max(0.0, variance + off)));
        }
    }

private:
    static constexpr double kLost = 3e-162;

    struct Spread {
        double square = 0;                   // mean r^2
        double deviation = 0, variance = 0;  // of r^2
        double longest = 0;                  // r
        double norm = 0;                     // sqrt|S|, at most
        double frobenius = 0;                // |S|_F
        int64_t large = -1;
    };

    double rounding(int64_t i, int64_t j) const {
        return 1e-14 * static_cast<double>(rows_.d() / 64 + 1) *
               (rows_.norm2(i) + clusters_.norm2(j) + spread_[j].square);
    }

    static double curvature(double t) { return 1 / (4 * (1 + t / 2 + std::sqrt(1 + t))); }

    static DistanceBounds within(const Spread& s, double e2, double off, double variance_low, double variance_high) {
        const double e = std::sqrt(std::max(0.0, e2 - off)), far = std::sqrt(std::max(0.0, e2) + off) + s.longest;
        const double M = std::max(0.0, e2) + s.square, most = M + off, least = std::max(M - off, 0.0);
        double low = e, high = std::sqrt(most);
        if (least > 0) {
            const double gap = std::max(0.0, e - s.longest);
            const double c = curvature(std::min(gap * gap / most, 1.0) - 1);
            low = std::max(low, std::sqrt(least) * (1 - c * variance_high / (least * least)));
            const double less = curvature(std::max(far * far / least - 1, 0.0)) * variance_low / (most * most);
            high *= 1 - std::min(less, 0.5);
        }
        return {low * (1 - 1e-9), high * (1 + 1e-9)};
    }

    // Squared distances of the rows of a cluster to their mean, and what follows from these.
    void measure(int64_t j) {
        Spread& s = spread_[j];
        const int64_t *who = clusters_.order().data() + clusters_.begin(j), size = clusters_.size(j);
        const double* mu = clusters_.mean(j);
        std::vector<double> square(static_cast<std::size_t>(size));
        double off = 0, sum = 0, squares = 0, longest = 0;
        for (int64_t r = 0; r < size; ++r) {
            double dot = 0, direct = 0;
            rows_.each(who[r], [&](int64_t t, T v) {
                const double x = static_cast<double>(v), gap = x - mu[t];
                dot += x * mu[t];
                direct += gap * gap;
            });
            shift_[who[r]] = dot;
            if constexpr (kIsSparse<View>) {
                direct = std::max(0.0, rows_.norm2(who[r]) + clusters_.norm2(j) - 2 * dot);
                off = std::max(off, 2 * rounding(who[r], j));
            }
            square[r] = direct;
            sum += direct;
            longest = std::max(longest, direct);
        }
        if (size == 0) return;
        const auto n = static_cast<double>(size);
        s.square = sum / n;
        for (const double r2 : square) squares += (r2 - s.square) * (r2 - s.square);
        s.variance = squares / n;
        s.deviation = std::sqrt(s.variance) * (1 + 1e-9) + off + kLost;
        s.longest = std::sqrt(longest + off) * (1 + 1e-6);
    }

    // The covariance of large cluster number l, and g.
    void cover(const Context& ctx, std::size_t l) {
        const int64_t j = large_[l], d = rows_.d(), size = clusters_.size(j);
        const int64_t* who = clusters_.order().data() + clusters_.begin(j);
        const double *mu = clusters_.mean(j), n = static_cast<double>(size);
        Spread& s = spread_[j];
        s.large = static_cast<int64_t>(l);
        AlignedVector<float> centered(static_cast<std::size_t>(size * d));
        std::vector<double> square(static_cast<std::size_t>(size));
        parallel_for(ctx, chunk_count(size, kRows), [&](int64_t c, int) {
            for (int64_t r = c * kRows; r < std::min(size, (c + 1) * kRows); ++r) {
                square[r] = 0;
                rows_.each(who[r], [&](int64_t t, T v) {
                    const double off = static_cast<double>(v) - mu[t];
                    square[r] += off * off;
                    centered[r * d + t] = static_cast<float>(off);
                });
            }
        });
        double* g = slope_.data() + l * static_cast<std::size_t>(d);
        std::fill_n(g, d, 0.0);
        for (int64_t r = 0; r < size; ++r)
            rows_.kernels()->f32.add_scaled(centered.data() + r * d, (square[r] - s.square) / n, d, g);
        const int64_t wide = whole_lines<double>(d);
        std::vector<double> S(static_cast<std::size_t>(d * d));
        AlignedVector<double> padded(static_cast<std::size_t>(d * wide), 0.0), twice(padded.size());
        gram(ctx, DenseView<float>{centered.data(), size, d, d}, S.data());
        float* narrow = covariance_.data() + l * static_cast<std::size_t>(d * width_);
        std::fill_n(narrow, d * width_, 0.0f);
        double total = 0, total_twice = 0;
        for (int64_t a = 0; a < d; ++a)
            for (int64_t b = 0; b < d; ++b) {
                const double v = S[a * d + b] / n;
                padded[a * wide + b] = S[a * d + b] = v;
                narrow[a * width_ + b] = static_cast<float>(v);
                total += v * v;
            }
        parallel_for(ctx, chunk_count(d, kRows), [&](int64_t c, int) {
            rows_.kernels()->f64.small_product(S.data() + c * kRows * d, std::min(kRows, d - c * kRows), d,
                                               padded.data(), wide, twice.data() + c * kRows * wide);
        });
        for (int64_t a = 0; a < d; ++a)
            for (int64_t b = 0; b < d; ++b) total_twice += twice[a * wide + b] * twice[a * wide + b];
        // By how much rounding y to float32 may change S: entry by entry at most 2^-23 of the mean of |y| |y|.
        const double off = 0x1p-22 * s.square;
        s.frobenius = std::sqrt(total) + off;
        s.norm = std::sqrt(std::sqrt(std::sqrt(total_twice)) + off) * (1 + 1e-9);
    }

    const Rows<View>& rows_;
    const ClusterMeans<View>& clusters_;
    std::vector<Spread> spread_;
    std::vector<double> shift_;  // [n]
    std::vector<int64_t> large_;
    int64_t width_ = 0;                // d in whole lines of float32
    AlignedVector<float> covariance_;  // [large, d, width_]
    std::vector<double> slope_;        // [large, d]
};

}  // namespace latom
