// test_sums.cpp: sums on a grid: as exact as they claim, the same however rows are ordered, split, merged and taken
// back.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "algorithms/cluster/center_sums.h"
#include "check.h"
#include "data.h"

namespace {

using namespace latom;

template <class View>
std::vector<double> values(const Rows<View>& rows, const ClusterSum<View>& sum) {
    std::vector<int32_t> column;
    std::vector<double> value, out(static_cast<std::size_t>(rows.d()), 0.0);
    sum.read(rows.kernels(), column, value);
    for (std::size_t p = 0; p < value.size(); ++p)
        out[column.empty() ? p : static_cast<std::size_t>(column[p])] = value[p];
    return out;
}

/// A permutation of [0, n), by chance.
std::vector<int64_t> shuffled(int64_t n, std::uint64_t seed) {
    std::vector<int64_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), int64_t{0});
    test::Random random(seed);
    for (int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    return order;
}

template <class View>
ClusterSum<View> sum_of(const Rows<View>& rows, const BinGrid& grid, const std::vector<int64_t>& which,
                        const std::vector<double>& factor) {
    ClusterSum<View> out;
    out.reset(grid, rows.d());
    out.add(rows, which.data(), factor.data(), static_cast<int64_t>(which.size()));
    return out;
}

/// All the claims, for rows of any kind.
template <class View>
void check_sums(const Context& ctx, const View& view, double spread) {
    const Rows<View> rows(ctx, view);
    const int64_t n = rows.n(), d = rows.d();
    test::Random random(3);
    std::vector<double> factor(static_cast<std::size_t>(n));
    double bound = 0;
    for (int64_t i = 0; i < n; ++i) {
        factor[i] = std::exp(spread * random.symmetric()) * (random.uniform() < 0.5 ? -1 : 1);
        bound = std::max(bound, std::abs(factor[i]) * std::sqrt(rows.norm2(i)));
    }
    const BinGrid grid(bound);
    const std::vector<int64_t> order = shuffled(n, 1);
    std::vector<double> ordered;
    for (const int64_t i : order) ordered.push_back(factor[i]);
    std::vector<int64_t> straight(order.size());
    std::iota(straight.begin(), straight.end(), int64_t{0});
    const auto whole = sum_of(rows, grid, straight, factor);
    const std::vector<double> want = values(rows, whole);

    // As exact as a long double sum, up to what the grid leaves out per row.
    std::vector<long double> plain(static_cast<std::size_t>(d), 0.0L);
    for (int64_t i = 0; i < n; ++i)
        rows.each(i,
                  [&](int64_t t, auto v) { plain[t] += static_cast<long double>(factor[i] * static_cast<double>(v)); });
    for (int64_t t = 0; t < d; ++t)
        CHECK(std::abs(static_cast<double>(plain[t]) - want[t]) <=
              static_cast<double>(n) * 0x1p-57 * bound + 1e-15 * std::abs(want[t]));

    CHECK(values(rows, sum_of(rows, grid, order, ordered)) == want);  // in another order

    // Split, each part on the grid of its own bound, and merged.
    for (const int64_t parts : {2, 7}) {
        std::vector<ClusterSum<View>> sums;
        BinGrid coarsest(1e-250);
        for (int64_t part = 0; part < parts; ++part) {
            std::vector<int64_t> some;
            std::vector<double> own;
            double most = 1e-240;
            for (int64_t i = part; i < n; i += parts) {
                some.push_back(i);
                own.push_back(factor[i]);
                most = std::max(most, std::abs(factor[i]) * std::sqrt(rows.norm2(i)));
            }
            sums.push_back(sum_of(rows, BinGrid(most), some, own));
            coarsest = BinGrid::coarser(coarsest, BinGrid(most));
        }
        CHECK(coarsest == grid);
        ClusterSum<View> merged;
        merged.reset(grid, d);
        for (const auto& sum : sums) merged.merge(sum);
        CHECK(values(rows, merged) == want);
    }

    // Half the rows are taken back.
    auto half = sum_of(rows, grid, straight, factor);
    std::vector<int64_t> gone, left;
    std::vector<double> minus, stay;
    for (int64_t i = 0; i < n; ++i) {
        (i % 2 ? gone : left).push_back(i);
        if (i % 2) minus.push_back(-factor[i]);
        else stay.push_back(factor[i]);
    }
    half.add(rows, gone.data(), minus.data(), static_cast<int64_t>(gone.size()));
    CHECK(values(rows, half) == values(rows, sum_of(rows, grid, left, stay)));
}

}  // namespace

TEST(cluster_sums_do_not_depend_on_order_or_split) {
    for (const std::string& isa : available_isas()) {
        const Context ctx = test::context(isa, 1);
        for (const double spread : {0.0, 20.0, 200.0}) NOTE(isa << ", factors over e^" << spread) {
                const auto X = test::random_sparse<float>(4, 700, 90, 8, true);
                check_sums(ctx, X.view32(), spread);
                check_sums(ctx, X.view64(), spread);
                const auto Y = test::random_sparse<double>(5, 400, 33, 5, true);
                check_sums(ctx, Y.view32(), spread);
                for (const int64_t d : {1, 2, 7, 8, 9, 15, 16, 17, 40}) {
                    test::Random random(static_cast<std::uint64_t>(d));
                    std::vector<float> narrow(static_cast<std::size_t>(130 * d));
                    std::vector<double> wide(narrow.size());
                    for (float& v : narrow) v = static_cast<float>(random.symmetric());
                    for (double& v : wide) v = random.symmetric() * std::exp(10 * random.symmetric());
                    check_sums(ctx, DenseView<float>{narrow.data(), 130, d, d}, spread);
                    check_sums(ctx, DenseView<double>{wide.data(), 130, d, d}, spread);
                }
            }
    }
}

TEST(grids_share_their_units) {
    for (double bound = 1e-240; bound < 1e240; bound *= 3.7) {
        const BinGrid grid(bound);
        CHECK((grid.exponent() + 30) % 32 == 0);
        CHECK(bound <= std::ldexp(1.0, grid.exponent() + 31));
        CHECK(bound > std::ldexp(1.0, grid.exponent() - 1));  // no coarser than it must be
        CHECK(std::ldexp(1.0, grid.exponent() - 32 * (grid.levels() - 1)) <= bound * 0x1p-56);
        std::int64_t sum[BinGrid::kMostLevels] = {};
        for (const double v : {bound, -bound, bound / 3, bound * 1e-9, 0.0}) {
            std::fill_n(sum, BinGrid::kMostLevels, 0);
            grid.add(v, sum);
            CHECK(std::abs(grid.value(sum) - v) <= bound * 0x1p-57);
            for (const std::int64_t part : sum) CHECK(std::abs(part) <= std::int64_t{1} << 31);
        }
    }
}

TEST(sums_of_many_rows_do_not_overflow) {
    const BinGrid grid(1.0);
    std::int64_t sum[BinGrid::kMostLevels] = {};
    for (int i = 0; i < 1'000'000; ++i) grid.add(1.0, sum);
    CHECK_EQUAL(grid.value(sum), 1e6);
    for (std::int64_t& part : sum) part *= 2000;  // 2 10^9 rows
    CHECK_EQUAL(grid.value(sum), 2e9);
}
