// test_anchor.cpp: what rows do not look at is no nearer than their own centers, however centers move.
#include <algorithm>
#include <cmath>
#include <vector>

#include "algorithms/cluster/anchor.h"
#include "check.h"
#include "data.h"

using namespace latom;

namespace {

constexpr int kColumns = 3;
using Point = std::vector<double>;

double distance(const Point& a, const Point& b) {
    double sum = 0;
    for (int t = 0; t < kColumns; ++t) sum += (a[t] - b[t]) * (a[t] - b[t]);
    return std::sqrt(sum);
}

std::vector<Point> points(test::Random& random, int64_t count) {
    std::vector<Point> out(static_cast<std::size_t>(count), Point(kColumns));
    for (Point& p : out)
        for (double& v : p) v = 10 * random.symmetric();
    return out;
}

struct Row {
    int32_t own = -1, pass = 0;
    double near = 0, far = -1;
};

/// A row that takes part in each pass as Anchor tells it to. Returns how many centers it looked at.
int64_t take_part(const Anchor& anchor, const std::vector<Point>& center, const Point& x, Row& row) {
    const auto m = static_cast<int64_t>(center.size());
    if (row.own >= 0) row.near += anchor.step(row.own);
    const bool known = row.far >= 0 && anchor.knows(row.pass);
    if (known && row.far - anchor.others(row.own) > row.near) {  // it stays
        if (anchor.width() == 0) return 0;
        if (2 * (row.far - anchor.others(row.own) - row.near) >= row.far - row.near) {
            row.far -= anchor.others(row.own);
            row.pass = anchor.pass();
            return 0;
        }
    }
    const bool all = !known || anchor.all();
    const int64_t width = all ? m : std::max(anchor.width(), anchor.must(row.far - row.near, row.own));
    const int32_t before = row.own;
    const double own = before < 0 ? HUGE_VAL : distance(x, center[before]);
    double best = own, others = HUGE_VAL;
    for (int64_t p = 0; p < width; ++p) {
        const int32_t j = anchor.order().order[p];
        if (j == before) continue;
        const double d = distance(x, center[j]);
        others = std::min(others, std::max(d, best));
        if (d < best) {
            best = d;
            row.own = j;
        }
    }
    if (all) {
        row.far = std::min(others, row.own == before ? HUGE_VAL : own);
    } else {
        if (anchor.width() > 0) row.far = std::min(row.far, others);
        if (row.own != before) row.far = std::min(row.far, own);
    }
    row.near = best;
    row.pass = anchor.pass();
    return width;
}

}  // namespace

TEST(rows_keep_the_nearest_center_whatever_they_do_not_look_at) {
    int64_t plain = 0, first = 0, all = 0, looked = 0, passes = 0;
    constexpr int64_t kRows = 600, kSteps = 60;
    for (const int64_t m : {1, 2, 3, 40, 130}) {
        for (const double pace : {0.0, 0.003, 0.05, 1.0}) {
            test::Random random(static_cast<std::uint64_t>(m * 100 + std::lround(1000 * pace)));
            const auto X = points(random, kRows);
            auto center = points(random, m);
            std::vector<Row> rows(static_cast<std::size_t>(kRows));
            std::vector<double> drift;
            Anchor anchor(kColumns);
            for (int64_t step = 0; step < kSteps; ++step) {
                anchor.step(static_cast<std::size_t>(m), drift);
                if (step > 0) {
                    std::vector<double> room;
                    for (std::size_t i = 0; i < rows.size(); i += 3)
                        if (rows[i].far >= 0) room.push_back(rows[i].far - rows[i].near - anchor.step(rows[i].own));
                    anchor.plan(room);
                }
                (anchor.all() ? all : anchor.width() > 0 ? first : plain) += 1;
                double queued = 0, sum = 0;
                for (std::size_t i = 0; i < rows.size(); ++i) {
                    if (random.below(400) == 0) rows[i].far = -1;       // another has given it its center
                    if (step == 20 && i % 5 == 0) continue;             // an interrupt
                    if (step == 21 && i % 5 == 0) rows[i].near += 100;  // which lost how far its center moved
                    const auto width = static_cast<double>(take_part(anchor, center, X[i], rows[i]));
                    queued += width > 0;
                    sum += width;
                    double least = HUGE_VAL;
                    for (const Point& c : center) least = std::min(least, distance(X[i], c));
                    CHECK(distance(X[i], center[rows[i].own]) <= least);
                    CHECK(rows[i].near >= distance(X[i], center[rows[i].own]) - 1e-12);
                }
                anchor.spend(queued, sum, static_cast<double>(kRows));
                if (m == 130 && pace == 0.003) looked += static_cast<int64_t>(sum), ++passes;
                // A few centers go far, the others hardly move.
                drift.assign(static_cast<std::size_t>(m), 0.0);
                for (int64_t j = 0; j < m; ++j) {
                    const double size = pace * (random.below(20) == 0 ? 20 : 1) / static_cast<double>(1 + step / 8);
                    const Point old = center[j];
                    for (double& v : center[j]) v += size * random.symmetric();
                    drift[j] = distance(old, center[j]);
                }
            }
            anchor.step(static_cast<std::size_t>(m / 2 + 1), {});  // from the start, with fewer centers
            CHECK(anchor.all() && anchor.width() == m / 2 + 1 && anchor.others(0) == 0);
        }
    }
    NOTE(plain << ", " << first << " and " << all << " passes, " << looked << " looks in " << passes) {
        CHECK(plain > 100 && first > 20 && all > 40);
        CHECK(looked < passes * kRows * 130 / 5);  // it pays
    }
}
