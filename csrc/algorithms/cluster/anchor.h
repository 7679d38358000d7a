// anchor.h: how far centers have gone from where they stood when rows last looked at them.
//
// A row knows `far`: at most its distance to every center but its own, where that stood when all rows looked at it.
// When the steps of center j since then come to g_j, the row is at least far - g_j away from it, and at most `near`
// from its own: it looks at the centers with g_j >= far - near, which are the first in order of falling g_j, and at
// none if there are none. So `far` stays as it is while rows look at what moves. Two kinds of passes set it anew:
//
//   all     Rows look at all centers. It is the turn of one when the pass would cost two thirds of that anyway, and
//           when the passes since the last have cost as much and do not cost less and less: where costs rise evenly,
//           that is when their average is least.
//   first   Rows look at the first `width` centers, those that have gone farthest, and no longer count what these went:
//           far becomes the least of itself and of the distances to them. That pays when the next pass will have saved
//           what it costs.
//
// In either, rows whose room far - near has sunk by less than half take what is left along without a look. What a pass
// would cost is told by what some rows have left.
//
// Cost      m log m per pass.        Memory  16 bytes per row: `near`, `far`, `pass` and a runner-up (RowState).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "algorithms/cluster/drift.h"

namespace latom {

class Anchor {
public:
    /// d: numbers of a row.
    explicit Anchor(std::int64_t d) : look_(24 + 32768.0 / static_cast<double>(d)), look_at_all_(2 * look_) {}

    /// The next pass, of m centers: how far each has gone since the pass before, empty where rows know nothing.
    void step(std::size_t m, const std::vector<double>& drift) {
        const bool first = drift.empty() || gone_.size() != m;
        if (first) width_ = 0;  // its positions may be of other centers
        if (first) gone_.assign(m, 0.0);
        for (std::int64_t p = 0; p < width_; ++p) gone_[static_cast<std::size_t>(order_.order[p])] = 0;
        spent_ = all_ ? 0.0 : spent_ + now_;
        passes_ = all_ ? 0 : passes_ + 1;
        now_ = width_ = 0;
        step_ = drift;
        step_.resize(m, 0.0);
        for (std::size_t j = 0; j < m; ++j) gone_[j] += step_[j];
        order_.build(m, gone_);
        all_ = planned_ = false;
        rows_ = seen_;
        seen_ = 0;
        if (!first) return;
        ++pass_;  // no row knows the one before
        look_at(static_cast<std::int64_t>(m));
    }
    /// Another way answers this pass: rows know nothing afterwards.
    void forget() { gone_.clear(); }
    /// What some of the rows have left, far - near: how many of the first centers all of them look at in this pass
    /// follows from that. Once per pass.
    void plan(std::vector<double> room) {
        if (planned_) return;
        std::sort(room.begin(), room.end());
        const auto m = static_cast<std::int64_t>(step_.size());
        const auto count = static_cast<double>(room.size());
        const double all = count * (static_cast<double>(m) + look_at_all_), now = cost(room, 0);
        const double spent = rows_ > 0 ? spent_ * count / rows_ : 0.0;  // of these rows
        if (1.5 * now >= all || (spent >= all && now * static_cast<double>(passes_) >= spent / 2)) return look_at(m);
        double least = 2 * now;
        std::int64_t width = 0;
        for (std::size_t share = 16; share > 1 && !room.empty(); share /= 2) {
            const std::int64_t w = reach(room[room.size() / share]);
            if (w < 1 || 2 * w > m) continue;
            const double both = count * (look_ + static_cast<double>(w)) + cost(room, w);
            if (both >= least) continue;
            least = both;
            width = w;
        }
        look_at(width);
    }
    /// Adds to what the pass has cost: of n rows some looked, at so many centers in all.
    void spend(double rows, double looked, double n) {
        now_ += looked + (all_ ? look_at_all_ : look_) * rows;
        seen_ += n;
    }

    /// Whether rows look at all centers in this pass; at how many all rows do, 0 if each as it must; and its number.
    bool all() const { return all_; }
    std::int64_t width() const { return width_; }
    std::int32_t pass() const { return pass_; }
    /// Whether a row of this number knows enough to look at less than all, and of what `far` is.
    bool knows(std::int32_t pass) const { return pass == pass_ - (width_ > 0); }

    /// Positions by falling distance gone.
    const DriftOrder& order() const { return order_; }
    double step(std::int32_t j) const { return step_[static_cast<std::size_t>(j)]; }
    /// The most that a center other than j has gone.
    double others(std::int32_t j) const { return order_.drift[order_.position[static_cast<std::size_t>(j)] == 0]; }
    /// How many of the first positions a row must look at that has so much room and center j.
    std::int64_t must(double room, std::int32_t j) const { return room > others(j) ? 0 : reach(room); }

private:
    void look_at(std::int64_t width) {
        planned_ = true;
        width_ = width;
        all_ = width == static_cast<std::int64_t>(step_.size());
        pass_ += width > 0;
    }
    // Without a branch to guess.
    std::int64_t reach(double room) const {
        const double *const first = order_.drift.data(), *from = first;
        auto left = static_cast<std::int64_t>(step_.size());
        if (!(room > 0)) return left;
        for (; left > 1; left -= left / 2) from += from[left / 2 - 1] >= room ? left / 2 : 0;
        return from - first + (*from >= room);
    }
    // Of a pass in which these rows, by rising room, no longer count what the first w centers went.
    double cost(const std::vector<double>& room, std::int64_t w) const {
        double sum = 0;
        for (const double r : room) {
            const std::int64_t more = reach(r) - w;
            if (more <= 0) break;
            sum += look_ + static_cast<double>(more);
        }
        return sum;
    }

    double look_, look_at_all_;  // centers looked at in the time that a row costs besides, and one that looks at all
    DriftOrder order_;
    std::vector<double> step_, gone_;  // [m]
    std::int32_t pass_ = 1;            // of which no row knows anything
    std::int64_t width_ = 0;
    bool all_ = false, planned_ = false;
    double seen_ = 0, rows_ = 0;  // rows of this pass, and of the last
    double now_ = 0, spent_ = 0;  // cost of this pass, and of those since rows last looked at all
    std::int64_t passes_ = 0;     // how many these are
};

}  // namespace latom
