// test_spread.cpp: bounds on mean distances to clusters of many shapes hold, and say something.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "algorithms/cluster/block_distances.h"
#include "algorithms/cluster/cluster_means.h"
#include "algorithms/cluster/cluster_spread.h"
#include "check.h"
#include "data.h"
#include "kernels/dispatch.h"

using namespace latom;

namespace {

constexpr int kShapes = 8;

struct Problem {
    int64_t n = 0, d = 0, m = 0;
    std::vector<double> numbers;
    std::vector<int32_t> label;
};

double normal(test::Random& random) {
    return std::sqrt(-2 * std::log(1 - random.uniform())) * std::cos(2 * std::numbers::pi * random.uniform());
}

/// A row of a cluster: a blob, a shell, a line, two lumps, nearly one point, skewed columns, a heavy tail, a line and
/// one row far from it.
void add_row(test::Random& random, int shape, int64_t r, int64_t d, std::vector<double>& x) {
    double norm2 = 0;
    for (double& v : x) {
        v = normal(random);
        norm2 += v * v;
    }
    const double tail = std::exp(1.5 * normal(random)), along = normal(random);
    for (int64_t t = 0; t < d; ++t) {
        double& v = x[t];
        if (shape == 1) v *= 2 / std::sqrt(norm2);
        if (shape == 2 || shape == 7) v = 0.01 * v + 3 * along / (1 + static_cast<double>(t));
        if (shape == 3) v = 0.05 * v + (r % 2 ? 4 : -4) * (t == 0);
        if (shape == 4) v *= 1e-7;
        if (shape == 5) v = v * v * std::pow(0.5, static_cast<double>(t));
        if (shape == 6) v *= 0.3 * tail;
        if (shape == 7 && r == 0) v = 20 * (t == d - 1);
    }
}

/// Clusters of all shapes; the first rows are not many enough for a covariance, the second half of them are.
Problem problem(std::uint64_t seed, int64_t d, double apart, double offset, double scale) {
    test::Random random(seed);
    Problem out;
    out.d = d;
    out.m = 2 * kShapes;
    std::vector<double> x(static_cast<std::size_t>(d)), center(x.size());
    for (int64_t j = 0; j < out.m; ++j) {
        const int64_t size = j < kShapes ? 2 + random.below(2 * d - 2) : 2 * d + random.below(40);
        for (double& v : center) v = offset + apart * normal(random);
        for (int64_t r = 0; r < size; ++r) {
            add_row(random, static_cast<int>(j % kShapes), r, d, x);
            for (int64_t t = 0; t < d; ++t) out.numbers.push_back(scale * (x[t] + center[t]));
            out.label.push_back(static_cast<int32_t>(j));
            ++out.n;
        }
    }
    return out;
}

template <class View>
double mean_distance(const Rows<View>& rows, const ClusterMeans<View>& clusters, int64_t i, int64_t j) {
    std::vector<long double> x(static_cast<std::size_t>(rows.d()), 0.0L);
    long double sum = 0;
    for (int64_t r = clusters.begin(j); r < clusters.begin(j) + clusters.size(j); ++r) {
        std::fill(x.begin(), x.end(), 0.0L);
        rows.each(i, [&](int64_t t, auto v) { x[t] += static_cast<long double>(v); });
        rows.each(clusters.order()[r], [&](int64_t t, auto v) { x[t] -= static_cast<long double>(v); });
        long double square = 0;
        for (const long double v : x) square += v * v;
        sum += std::sqrt(square);
    }
    return static_cast<double>(sum / static_cast<long double>(clusters.size(j)));
}

/// The sum over pairs of rows of a cluster of <y, y'>^2, y their differences from its mean.
template <class View>
double crossed(const Rows<View>& rows, const ClusterMeans<View>& clusters, int64_t j) {
    const int64_t size = clusters.size(j), d = rows.d();
    std::vector<long double> y(static_cast<std::size_t>(size * d));
    for (int64_t r = 0; r < size; ++r) {
        for (int64_t t = 0; t < d; ++t) y[r * d + t] = -static_cast<long double>(clusters.mean(j)[t]);
        rows.each(clusters.order()[clusters.begin(j) + r],
                  [&](int64_t t, auto v) { y[r * d + t] += static_cast<long double>(v); });
    }
    long double sum = 0;
    for (int64_t a = 0; a < size; ++a)
        for (int64_t b = 0; b < size; ++b) {
            long double dot = 0;
            for (int64_t t = 0; t < d; ++t) dot += y[a * d + t] * y[b * d + t];
            sum += dot * dot;
        }
    return static_cast<double>(sum);
}

struct Width {
    double sum = 0;
    int64_t count = 0;
    void check(const DistanceBounds& found, double mean) {
        CHECK(found.low <= mean);
        CHECK(!(found.high < mean));  // NaN, where squares of squares fall to 0, bounds nothing
        if (mean > 0) sum += (found.high - std::max(found.low, 0.0)) / mean;
        ++count;
    }
    double mean() const { return sum / static_cast<double>(std::max<int64_t>(count, 1)); }
};

/// Relative widths, on average: of bounds, of closer ones, and of those of the screen.
struct Widths {
    Width bounds, closer, screen;
};

template <class View>
Widths check_bounds(const Context& ctx, const View& view, const Problem& about) {
    const Rows<View> rows(ctx, view);
    const ClusterMeans<View> clusters(ctx, rows, about.label.data(), about.m, false);
    ClusterSpread<View> spread(ctx, rows, clusters);
    const auto measured = BlockDistances<View>::measure(ctx, rows, clusters.order(), clusters.begins());
    BlockDistances<View> distances(rows, measured);
    for (int64_t j = 0; j < about.m; ++j)
        if (!spread.large(j)) spread.set_crossed(j, crossed(rows, clusters, j));
    Widths out;
    typename ClusterMeans<View>::Scratch scratch;
    typename ClusterSpread<View>::Scratch scratch_of_spread;
    test::Random random(5);
    constexpr int64_t kRows = ClusterSpread<View>::kRows;
    for (int64_t from = 0; from < rows.n(); from += 7) {  // some rows, as many at a time as there may be, and fewer
        const int64_t count = std::min<int64_t>(std::min(kRows, rows.n() - from), 1 + from % 5);
        std::vector<int64_t> which(static_cast<std::size_t>(count));
        for (int64_t r = 0; r < count; ++r) which[r] = from + r;
        std::vector<double> mean(static_cast<std::size_t>(count * about.m));
        clusters.products(which.data(), count, scratch, [&](int64_t r, const double* product) {
            for (int64_t j = 0; j < about.m; ++j) {
                mean[r * about.m + j] = mean_distance(rows, clusters, which[r], j);
                out.bounds.check(spread.bounds(which[r], j, product[j]), mean[r * about.m + j]);
            }
        });
        if constexpr (!kIsSparse<View>)
            for (int64_t j = 0; j < about.m; ++j) {
                const auto near = [&](int64_t r) { return mean[r * about.m + j]; };
                if (spread.large(j))
                    spread.closer(which.data(), count, j, scratch_of_spread,
                                  [&](int64_t r, const DistanceBounds& found) { out.closer.check(found, near(r)); });
                std::vector<double> reach;  // whatever is guessed
                const double guess = std::pow(10.0, from % 3 == 0 ? 0 : 2 * random.symmetric());
                for (int64_t r = 0; r < count; ++r) reach.push_back(near(r) * guess);
                std::vector<DistanceBounds> found(reach.size());
                distances.screen(which.data(), count, j, clusters.order().data() + clusters.begin(j), clusters.size(j),
                                 reach.data(), found.data());
                for (int64_t r = 0; r < count; ++r)
                    if (from % 3 == 0) out.screen.check(found[r], near(r));
                    else Width().check(found[r], near(r));
            }
    }
    return out;
}

template <class T>
Widths check_dense(const std::string& isa, const Problem& about) {
    const std::vector<T> numbers(about.numbers.begin(), about.numbers.end());
    return check_bounds(test::context(isa, 2), DenseView<T>{numbers.data(), about.n, about.d, about.d}, about);
}

template <class T>
Widths check_sparse(const std::string& isa, const Problem& about) {
    test::Sparse<T> X;
    X.d = about.d;
    for (int64_t i = 0; i < about.n; ++i) {
        for (int64_t t = 0; t < about.d; ++t)
            if ((i + t) % 3) X.push(t, static_cast<T>(about.numbers[i * about.d + t]));
        X.end_row();
    }
    return check_bounds(test::context(isa, 2), X.view32(), about);
}

}  // namespace

TEST(mean_distances_lie_within_their_bounds) {
    for (const auto& isa : available_isas())
        for (const int64_t d : {1, 5, 17, 40})
            for (const double apart : {0.1, 3.0})
                for (const double offset : {0.0, 100.0})
                    NOTE(isa << ", d " << d << ", apart " << apart << ", offset " << offset) {
                        const Problem about = problem(static_cast<std::uint64_t>(d), d, apart, offset, 1);
                        check_dense<float>(isa, about);
                        check_dense<double>(isa, about);
                        check_sparse<float>(isa, about);
                        check_sparse<double>(isa, about);
                    }
}

TEST(mean_distances_lie_within_their_bounds_at_every_scale) {
    for (const double scale : {1e-140, 1e-75, 1e-20, 1e20, 1e75, 1e140}) NOTE("scale " << scale) {
            const Problem about = problem(3, 9, 1, 0, scale);
            check_dense<double>(available_isas().back(), about);
            check_sparse<double>(available_isas().back(), about);
        }
}

TEST(bounds_on_mean_distances_say_something) {
    const Problem about = problem(1, 40, 3, 0, 1);
    const Widths dense = check_dense<float>(available_isas().back(), about);
    CHECK(dense.bounds.mean() < 0.2);
    CHECK(dense.closer.mean() < 0.05);
    CHECK(dense.closer.mean() < dense.bounds.mean());
    CHECK(dense.screen.mean() < 1e-3);
    CHECK(check_sparse<float>(available_isas().back(), about).bounds.mean() < 0.3);
}
