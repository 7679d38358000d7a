// test_seeding.cpp: k-means++ draws distinct rows, by its law's distances, the same ones on any number of threads.
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <vector>

#include "check.h"
#include "data.h"
#include "latom/seed.h"
#include "rows/rows.h"

using namespace latom;

namespace {

/// Rows as dense float64, at length 1 under cosine (zero rows stay).
template <class T>
std::vector<std::vector<double>> dense_rows(const test::Sparse<T>& X, Metric metric) {
    std::vector<std::vector<double>> rows(static_cast<std::size_t>(X.n),
                                          std::vector<double>(static_cast<std::size_t>(X.d)));
    for (int64_t i = 0; i < X.n; ++i) {
        double norm2 = 0;
        for (int64_t p = X.indptr[i]; p < X.indptr[i + 1]; ++p) norm2 += static_cast<double>(X.value[p]) * X.value[p];
        const double scale = metric == Metric::kCosine && norm2 > 0 ? 1 / std::sqrt(norm2) : 1;
        for (int64_t p = X.indptr[i]; p < X.indptr[i + 1]; ++p) rows[i][X.column64[p]] = scale * X.value[p];
    }
    return rows;
}

double distance2(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t t = 0; t < a.size(); ++t) sum += (a[t] - b[t]) * (a[t] - b[t]);
    return sum;
}

template <class View>
Seeding seed_rows(const View& X, int64_t m, std::uint64_t seed, Metric metric, int threads, const std::string& isa = "",
                  const double* weights = nullptr, const SeedPlan& plan = {.potential = true},
                  const View* existing = nullptr) {
    const Context ctx = test::context(isa, threads, seed);
    const Rows rows(ctx, X);
    std::optional<Rows<View>> there;
    if (existing) there.emplace(ctx, *existing, "existing_centers");
    return kmeans_plusplus(ctx, rows, there ? &*there : nullptr, weights, metric, m, plan);
}

/// Every way to draw; with the potential, so that folds are compared as well.
std::vector<SeedPlan> plans() {
    std::vector<SeedPlan> all{{.method = SeedMethod::kExact, .potential = true},
                              {.method = SeedMethod::kExact, .local_trials = 4, .potential = true},
                              {.method = SeedMethod::kRejection, .max_trials = 3, .potential = true}};
    for (const SeedMethod method : {SeedMethod::kFold, SeedMethod::kRejection})
        for (const SeedBound bound : {SeedBound::kFirstCenter, SeedBound::kPaper, SeedBound::kCap})
            all.push_back({.method = method, .bound = bound, .potential = true});
    return all;
}

bool same(const Seeding& a, const Seeding& b) {
    return a.indices == b.indices && a.distinct == b.distinct && a.potential == b.potential && a.trials == b.trials &&
           a.folds == b.folds && a.uniform == b.uniform;
}

bool all_different(const std::vector<int64_t>& indices, int64_t n) {
    return std::set<int64_t>(indices.begin(), indices.end()).size() == indices.size() &&
           std::all_of(indices.begin(), indices.end(), [n](int64_t i) { return i >= 0 && i < n; });
}

}  // namespace

TEST(seeding_does_not_depend_on_threads_variant_or_index_width) {
    const auto X = test::random_sparse<float>(21, 3000, 80, 5, true);
    for (const Metric metric : {Metric::kCosine, Metric::kEuclidean})
        for (const SeedPlan& plan : plans())
            NOTE("method " << static_cast<int>(plan.method) << ", bound " << static_cast<int>(plan.bound)) {
                const Seeding first = seed_rows(X.view32(), 20, 1, metric, 1, "", nullptr, plan);
                CHECK_EQUAL(first.indices.size(), 20u);
                CHECK(all_different(first.indices, X.n));
                for (const auto& isa : available_isas())
                    CHECK(same(first, seed_rows(X.view64(), 20, 1, metric, 1, isa, nullptr, plan)));
                for (const int threads : {2, 5})
                    CHECK(same(first, seed_rows(X.view32(), 20, 1, metric, threads, "", nullptr, plan)));
                CHECK(first.indices != seed_rows(X.view32(), 20, 1000, metric, 1, "", nullptr, plan).indices);
            }
}

TEST(dense_seeding_does_not_depend_on_threads_or_variant) {
    // Sixty centers of 40 columns: enough of both for every screen.
    test::Random random(24);
    std::vector<float> value(9000 * 40);
    for (float& v : value) v = static_cast<float>(random.symmetric());
    for (int64_t i = 0; i < 40 * 40; ++i) value[i + 40 * 100] = 2 * value[i];  // rows of one direction
    const DenseView<float> X{value.data(), 9000, 40, 40};
    for (const Metric metric : {Metric::kCosine, Metric::kEuclidean})
        for (const SeedPlan& plan : plans())
            NOTE("method " << static_cast<int>(plan.method) << ", bound " << static_cast<int>(plan.bound)) {
                const Seeding first = seed_rows(X, 60, 1, metric, 1, "", nullptr, plan);
                CHECK(all_different(first.indices, X.n));
                for (const auto& isa : available_isas())
                    CHECK(same(first, seed_rows(X, 60, 1, metric, 1, isa, nullptr, plan)));
                for (const int threads : {2, 5})
                    CHECK(same(first, seed_rows(X, 60, 1, metric, threads, "", nullptr, plan)));
            }
}

TEST(troubled_rows_are_seeded_alike) {
    const auto X = test::troubled_sparse<float>(25, 1000, 80, 5, true);
    for (const Metric metric : {Metric::kCosine, Metric::kEuclidean})
        for (const SeedPlan& plan : plans()) {
            // One row is 1e12 times as long as others: a bound that never follows would be rejected for ever.
            if (metric == Metric::kEuclidean && plan.method == SeedMethod::kRejection && plan.max_trials == 0) continue;
            const Seeding first = seed_rows(X.view32(), 12, 3, metric, 1, "", nullptr, plan);
            CHECK(all_different(first.indices, X.n));
            CHECK_EQUAL(first.distinct, 12);
            CHECK(same(first, seed_rows(X.view64(), 12, 3, metric, 3, "baseline", nullptr, plan)));
        }
}

TEST(seeding_draws_rows_at_a_distance_and_returns_the_potential) {
    const auto X = test::troubled_sparse<double>(22, 1500, 40, 4, true);
    std::vector<double> weights(static_cast<std::size_t>(X.n));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i % 3);
    for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) {
        const auto rows = dense_rows(X, metric);
        const Seeding seeding = seed_rows(X.view32(), 12, 5, metric, 2, "", weights.data());
        std::vector<double> nearest(rows.size(), HUGE_VAL);
        for (const int64_t c : seeding.indices) {
            CHECK(weights[c] > 0 && nearest[c] > 0);
            for (std::size_t i = 0; i < rows.size(); ++i)
                nearest[i] = std::min(nearest[i], distance2(rows[i], rows[c]));
        }
        double potential = 0;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const bool zero = distance2(rows[i], std::vector<double>(rows[i].size())) == 0;
            if (!(zero && metric == Metric::kCosine)) potential += weights[i] * nearest[i];
        }
        CHECK(std::abs(seeding.potential - potential) <= 1e-9 * potential);
    }
}

TEST(seeding_fills_up_with_other_rows_when_too_few_differ) {
    test::Sparse<float> X;
    X.d = 6;
    for (int64_t i = 0; i < 2500; ++i) {  // three directions, and zero rows
        if (i % 4 < 3) X.push(i % 4, static_cast<float>(1 + i % 2));
        X.end_row();
    }
    for (const int threads : {1, 2, 5}) {
        const Seeding cosine = seed_rows(X.view32(), 2000, 9, Metric::kCosine, threads);
        CHECK_EQUAL(cosine.distinct, 3);
        CHECK_EQUAL(cosine.indices.size(), 2000u);
        CHECK(all_different(cosine.indices, X.n));
        CHECK_EQUAL(cosine.potential, 0.0);
        // Rows that are not zero come first: 1875 of them.
        CHECK(std::all_of(cosine.indices.begin(), cosine.indices.begin() + 1875, [](int64_t i) { return i % 4 < 3; }));
        const Seeding euclidean = seed_rows(X.view32(), 2500, 9, Metric::kEuclidean, threads);
        CHECK(all_different(euclidean.indices, X.n));
        CHECK_EQUAL(euclidean.indices.size(), 2500u);
        CHECK_EQUAL(euclidean.distinct, 4);
        CHECK(same(cosine, seed_rows(X.view64(), 2000, 9, Metric::kCosine, 1, "baseline")));
    }
}

TEST(seeding_without_any_weight_still_draws_distinct_rows) {
    const auto X = test::random_sparse<float>(23, 50, 10, 3, false);
    const std::vector<double> weights(50, 0.0);
    const Seeding seeding = seed_rows(X.view32(), 50, 1, Metric::kEuclidean, 2, "", weights.data());
    CHECK_EQUAL(seeding.distinct, 0);
    CHECK(all_different(seeding.indices, 50));
    CHECK_EQUAL(seeding.indices.size(), 50u);
}

TEST(every_method_draws_in_proportion_to_weight_and_distance) {
    test::Sparse<double> X;  // points 0, 1 and 3 on a line; weights 1, 2, 1
    X.d = 1;
    for (const double v : {0.0, 1.0, 3.0}) {
        X.push(0, v);
        X.end_row();
    }
    const std::vector<double> weights{1, 2, 1};
    const double law[3][3] = {{0, 2.0 / 11, 9.0 / 11}, {1.0 / 5, 0, 4.0 / 5}, {9.0 / 17, 8.0 / 17, 0}};
    for (SeedPlan plan : plans()) {
        if (plan.local_trials > 1 || plan.max_trials > 0) continue;
        plan.potential = false;
        double first[3] = {}, second[3][3] = {};
        const int draws = 8000;
        for (int s = 0; s < draws; ++s) {
            const auto drawn =
                seed_rows(X.view32(), 2, static_cast<std::uint64_t>(s), Metric::kEuclidean, 1, "", weights.data(), plan)
                    .indices;
            ++first[drawn[0]];
            ++second[drawn[0]][drawn[1]];
        }
        for (int a = 0; a < 3; ++a) {
            CHECK(std::abs(first[a] / draws - weights[a] / 4) < 0.025);
            for (int b = 0; b < 3; ++b) CHECK(std::abs(second[a][b] / first[a] - law[a][b]) < 0.05);
        }
    }
}

TEST(centers_that_are_there_are_kept_away_from) {
    const auto X = test::random_sparse<double>(26, 400, 30, 6, false);
    const auto there = X.rows({3, 50, 120});
    const auto view = there.view32();
    for (const SeedPlan& plan : plans()) {
        const Seeding drawn = seed_rows(X.view32(), 397, 1, Metric::kEuclidean, 2, "", nullptr, plan, &view);
        CHECK_EQUAL(drawn.indices.size(), 397u);
        CHECK(all_different(drawn.indices, X.n));
        if (plan.max_trials > 0) continue;
        CHECK(std::all_of(drawn.indices.begin(), drawn.indices.end(),
                          [](int64_t i) { return i != 3 && i != 50 && i != 120; }));
        CHECK_EQUAL(drawn.potential, 0.0);
    }
}

TEST(the_last_row_is_found_however_light_it_is) {
    // Draws by weight alone would meet the other three for ever.
    test::Sparse<double> X;
    X.d = 4;
    for (int64_t t = 0; t < 4; ++t) {
        X.push(t, 1.0);
        X.end_row();
    }
    const std::vector<double> weights{1, 1, 1, 1e-90};
    for (const SeedPlan& plan : plans()) {
        if (plan.method == SeedMethod::kRejection && plan.max_trials == 0) continue;
        const Seeding drawn = seed_rows(X.view32(), 4, 1, Metric::kEuclidean, 1, "", weights.data(), plan);
        CHECK_EQUAL(drawn.indices.back(), 3);
        CHECK_EQUAL(drawn.distinct, 4);
    }
}

TEST(long_rows_that_are_copies_are_at_no_distance) {
    test::Random random(27);
    test::Sparse<double> X;
    X.d = 40'000;
    for (int64_t i = 0; i < 2; ++i) {
        for (int64_t t = 0; t < X.d; ++t) X.push(t, random.uniform());
        X.end_row();
    }
    for (int64_t i = 0; i < 8; ++i) X.copy_row(i % 2, static_cast<double>(3 + i));
    for (const SeedMethod method : {SeedMethod::kExact, SeedMethod::kFold}) {
        const Seeding drawn = seed_rows(X.view32(), 8, 1, Metric::kCosine, 2, "", nullptr, {.method = method});
        CHECK(all_different(drawn.indices, X.n));
        CHECK_EQUAL(drawn.distinct, 2);
    }
}
