// test_lloyd.cpp: every variant, thread count, index width and set of bounds gives the bits of the plain statement.
#include <algorithm>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "check.h"
#include "data.h"
#include "latom/cluster.h"
#include "plain_lloyd.h"
#include "rows/rows.h"

using namespace latom;

namespace {

/// Sanitizers see every third or seventh combination (of 17 bounds, so each of them in turn).
bool skipped() {
#if defined(__SANITIZE_THREAD__)
    constexpr int stride = 7;
#elif defined(__SANITIZE_ADDRESS__)
    constexpr int stride = 3;
#else
    constexpr int stride = 1;
#endif
    static int combination = 0;
    return combination++ % stride != 0;
}

/// What a run shows after one assignment and one update.
template <class T>
struct Step {
    std::vector<int32_t> labels;
    std::vector<double> scores;
    std::vector<std::vector<T>> centers;
    int64_t changed, moved, relocated;
    double objective;
};

template <class T>
struct Case {
    test::Sparse<T> X, centers;
    const double* weights = nullptr;
    Metric metric = Metric::kCosine;
    int steps = 4;
};

template <class T>
std::vector<Step<T>> plain_run(const Case<T>& c) {
    test::PlainLloyd<T> plain(c.X, c.weights, c.metric);
    plain.set_centers(c.centers, c.metric == Metric::kCosine);
    std::vector<Step<T>> steps;
    for (int s = 0; s < c.steps; ++s) {
        const AssignStats a = plain.assign();
        Step<T> step{plain.labels, plain.scores(), {}, a.changed, 0, 0, a.objective};
        const UpdateStats u = plain.update();
        step.centers = plain.centers;
        step.moved = u.moved;
        step.relocated = u.relocated;
        steps.push_back(step);
    }
    return steps;
}

template <class T>
std::vector<std::vector<T>> dense(const Centers<T>& c, int64_t d) {
    std::vector<std::vector<T>> out;
    for (std::size_t j = 0; j + 1 < c.indptr.size(); ++j) {
        out.emplace_back(static_cast<std::size_t>(d), T{0});
        for (int64_t p = c.indptr[j]; p < c.indptr[j + 1]; ++p) {
            CHECK(p == c.indptr[j] || c.indices[p - 1] < c.indices[p]);
            out.back()[c.indices[p]] = c.values[p];
        }
    }
    return out;
}

/// Whether a run shows exactly these steps.
template <class T, class View>
void check_run(const Case<T>& c, const View& X, const Context& ctx, const LloydSwitches& bounds,
               const std::vector<Step<T>>& expected) {
    const auto run = make_lloyd(ctx, Rows(ctx, X), c.weights, c.metric, bounds);
    run->set_centers(ctx, Rows(ctx, c.centers.view32(), "centers"), c.metric == Metric::kCosine);
    for (const Step<T>& step : expected) NOTE("step " << &step - expected.data()) {
            const AssignStats a = run->assign(ctx);
            CHECK(run->labels() == step.labels);
            CHECK(run->scores(ctx) == step.scores);
            CHECK_EQUAL(a.changed, step.changed);
            CHECK_EQUAL(a.objective, step.objective);
            const UpdateStats u = run->update(ctx);
            CHECK(dense(run->centers(), c.X.d) == step.centers);
            CHECK_EQUAL(u.moved, step.moved);
            CHECK_EQUAL(u.relocated, step.relocated);
        }
}

std::vector<LloydSwitches> all_bounds() {
    std::vector<LloydSwitches> out;
    for (const bool screen : {false, true})
        for (const bool drift : {false, true})
            for (const bool residual : {false, true})
                for (const int drop : {0, 4})
                    for (const int group : {1, 8}) out.push_back({screen, drift, residual, false, group, drop});
    out.push_back({true, true, true, false, 0, 127});  // every term dropped
    out.push_back({.few = true});
    return out;
}

std::string name(const LloydSwitches& b) {
    return std::string(b.screen ? "screen " : "") + (b.drift ? "drift " : "") + (b.residual ? "residual " : "") +
           (b.few ? "few " : "") + "group " + std::to_string(b.group) + " drop " + std::to_string(b.drop);
}

/// Starting rows with an equal pair and, if there is room, an empty row.
std::vector<int64_t> starting_rows(int64_t m, int64_t n) {
    std::vector<int64_t> rows(static_cast<std::size_t>(m));
    for (int64_t j = 0; j < m; ++j) rows[j] = j * (n / m);
    if (m > 4) rows[m - 2] = rows[1];
    return rows;
}

template <class T>
void check_everything(const std::vector<int>& threads) {
    for (const bool is_signed : {false, true})
        for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) {
            Case<T> c;
            c.X = test::troubled_sparse<T>(11, 130, 70, 5, is_signed);
            c.centers = c.X.rows(starting_rows(66, 132));
            c.metric = metric;
            const auto expected = plain_run(c);
            for (const auto& isa : available_isas())
                for (const int t : threads)
                    for (const LloydSwitches& bounds : all_bounds()) {
                        if (skipped()) continue;
                        NOTE(isa << ", " << t << " threads, " << name(bounds) << (is_signed ? ", signed" : "")
                                 << (metric == Metric::kCosine ? ", cosine" : ", euclidean")) {
                            const Context ctx = test::context(isa, t);
                            check_run(c, c.X.view32(), ctx, bounds, expected);
                            check_run(c, c.X.view64(), ctx, bounds, expected);
                        }
                    }
        }
}

}  // namespace

TEST(lloyd_float32_is_the_plain_one_for_every_combination) { check_everything<float>({1, 2, 5}); }

TEST(lloyd_float64_is_the_plain_one_for_every_combination) { check_everything<double>({2}); }

TEST(lloyd_with_weights_is_the_plain_one) {
    for (const bool is_signed : {false, true})
        for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) {
            Case<float> c;
            c.X = test::troubled_sparse<float>(12, 300, 60, 5, is_signed);
            c.centers = c.X.rows(starting_rows(20, 280));
            std::vector<double> weights(static_cast<std::size_t>(c.X.n));
            for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i % 4) * 0.3;
            c.weights = weights.data();
            c.metric = metric;
            const auto expected = plain_run(c);
            for (const int threads : {1, 5}) check_run(c, c.X.view32(), test::context("", threads), {}, expected);
        }
}

TEST(lloyd_over_many_steps_is_the_plain_one) {
    for (const bool is_signed : {false, true})
        for (const Metric metric : {Metric::kCosine, Metric::kEuclidean})
            for (const int64_t m : {5, 12, 90}) NOTE(m << " centers, metric " << static_cast<int>(metric)) {
                    Case<float> c;
                    c.X = test::crowded_sparse<float>(static_cast<std::uint64_t>(m), 700, 7, is_signed);
                    std::vector<int64_t> start(static_cast<std::size_t>(m));  // side by side; two pairs of equals
                    std::iota(start.begin(), start.end(), 0);
                    start[1] = start[2] = start[0];
                    c.centers = c.X.rows(start);
                    c.metric = metric;
                    c.steps = 16;
                    const auto expected = plain_run(c);
                    for (const bool screen : {false, true})
                        check_run(c, c.X.view32(), test::context("", 1), {screen, true, true, 0}, expected);
                    check_run(c, c.X.view32(), test::context("", 2), {true, true, true, false, 8, 9}, expected);
                }
}

TEST(lloyd_of_negative_rows_and_positive_centers_is_the_plain_one) {
    // Rows of weight 0 do not move the centers, which stay positive: index and rows differ in sign.
    for (const Metric metric : {Metric::kCosine, Metric::kEuclidean})
        for (std::uint64_t seed = 0; seed < 100; ++seed)
            NOTE("seed " << seed << ", metric " << static_cast<int>(metric)) {
                test::Random random(seed);
                Case<float> c;
                c.X.d = 3;
                std::vector<double> weights;
                for (int64_t i = 0; i < 100; ++i) {
                    const double sign = i < 60 ? 1 : -1;
                    for (int64_t t = 0; t < 3; ++t)
                        c.X.push(t, static_cast<float>(sign * (1 + 0.6 * random.uniform())));
                    c.X.end_row();
                    weights.push_back(i < 60 ? 1 : 0);
                }
                c.centers = c.X.rows({0, 1, 2, 3, 4, 5, 6, 7});
                c.weights = weights.data();
                c.metric = metric;
                const auto expected = plain_run(c);
                for (const bool drift : {false, true})
                    check_run(c, c.X.view32(), test::context("", 1), {true, drift, true, 0}, expected);
            }
}

TEST(lloyd_over_many_blocks_of_rows_is_the_plain_one) {
    for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) NOTE(static_cast<int>(metric)) {
            Case<float> c;
            c.X = test::troubled_sparse<float>(13, 9000, 500, 4, metric == Metric::kCosine);
            c.centers = c.X.rows(starting_rows(70, 9000));
            c.metric = metric;
            c.steps = 3;
            const auto expected = plain_run(c);
            for (const int threads : {1, 2, 5}) check_run(c, c.X.view32(), test::context("", threads), {}, expected);
            check_run(c, c.X.view64(), test::context("baseline", 5), {true, true, true, false, 0, 2}, expected);
            check_run(c, c.X.view32(), test::context("", 2), {false, true, true, false, 0},
                      expected);  // pairs in several rounds
        }
}

TEST(lloyd_over_many_tiles_of_atoms_is_the_plain_one) {
    for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) NOTE(static_cast<int>(metric)) {
            Case<float> c;
            c.X = test::troubled_sparse<float>(14, 540, 2600, 110, true);
            c.centers = c.X.rows(starting_rows(520, 540));
            c.metric = metric;
            c.steps = 2;
            const auto expected = plain_run(c);
            for (const auto& isa : available_isas())
                if (!skipped()) check_run(c, c.X.view32(), test::context(isa, 2), {}, expected);
            check_run(c, c.X.view32(), test::context("", 1), {true, true, false, false, 8, 4}, expected);
        }
}

TEST(lloyd_counts_zero_rows_and_takes_new_centers) {
    const auto X = test::troubled_sparse<float>(15, 100, 30, 4, true);
    const Context ctx = test::context("", 2);
    const auto run = make_lloyd(ctx, Rows(ctx, X.view32()), nullptr, Metric::kCosine, {});
    CHECK_EQUAL(run->zero_rows(), 2);
    for (const int64_t m : {17, 3, 40, 1}) NOTE(m << " centers") {
            Case<float> c{X, X.rows(starting_rows(m, 90)), nullptr, Metric::kCosine, 3};
            const auto expected = plain_run(c);
            run->set_centers(ctx, Rows(ctx, c.centers.view32(), "centers"), true);
            CHECK_EQUAL(run->m(), m);
            for (const auto& step : expected) {
                run->assign(ctx);
                CHECK(run->labels() == step.labels);
                run->update(ctx);
            }
        }
}

TEST(lloyd_steps_made_twice_change_nothing) {
    const auto X = test::troubled_sparse<float>(16, 200, 50, 5, false);
    const Context ctx = test::context("", 1);
    const auto start = X.rows(starting_rows(12, 200));
    const Rows rows(ctx, X.view64());
    const auto once = make_lloyd(ctx, rows, nullptr, Metric::kEuclidean, {});
    const auto twice = make_lloyd(ctx, rows, nullptr, Metric::kEuclidean, {});
    for (const auto& run : {&once, &twice}) (*run)->set_centers(ctx, Rows(ctx, start.view32()), false);
    for (int s = 0; s < 5; ++s) NOTE("step " << s) {
            const AssignStats stats = once->assign(ctx), first = twice->assign(ctx), second = twice->assign(ctx);
            CHECK_EQUAL(first.changed, stats.changed);
            CHECK_EQUAL(second.changed, 0);
            CHECK_EQUAL(second.objective, first.objective);
            const UpdateStats moved = once->update(ctx), before = twice->update(ctx), after = twice->update(ctx);
            CHECK_EQUAL(before.moved, moved.moved);
            CHECK_EQUAL(after.moved, 0);
            CHECK(twice->labels() == once->labels());
            CHECK(twice->centers().values == once->centers().values);
        }
}

TEST(lloyd_stops_at_an_interrupt) {
    const auto X = test::random_sparse<float>(17, 12000, 500, 10, false);
    Context ctx = test::context("", 2);
    const auto run = make_lloyd(ctx, Rows(ctx, X.view32()), nullptr, Metric::kCosine, {false, false, false, 0});
    const auto start = X.rows(starting_rows(200, 12000));
    run->set_centers(ctx, Rows(ctx, start.view32()), true);
    ctx.check_interrupt = [] { throw std::runtime_error("Ctrl-C"); };
    CHECK_THROWS(run->assign(ctx), std::runtime_error, "Ctrl-C");
}

TEST(lloyd_refuses_what_is_not_csr_or_not_finite) {
    const Context ctx = test::context("", 2);
    const auto refused = [&](const test::Sparse<float>& X, const char* words) {
        CHECK_THROWS(make_lloyd(ctx, Rows(ctx, X.view32()), nullptr, Metric::kCosine, {}), std::invalid_argument,
                     words);
    };
    const auto X = test::random_sparse<float>(18, 9000, 30, 4, false);
    auto bad = X;
    bad.value[bad.indptr[8000]] = NAN;
    bad.value[bad.indptr[8500]] = NAN;
    refused(bad, "NaN in row 8000");
    bad = X;
    bad.column32[bad.indptr[5001] - 1] = 30;
    refused(bad, "out of range in row 5000");
    bad = X;
    bad.column32[bad.indptr[7000]] = -1;
    refused(bad, "out of range in row 7000");
    bad = test::Sparse<float>{};
    bad.d = 5;
    for (const int64_t t : {1, 3, 2}) bad.push(t, 1.0f);
    bad.end_row();
    refused(bad, "row 0");
}
