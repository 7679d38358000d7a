// anchor.h: how far centers have gone from where they stood when rows last looked at all of them.
//
// In an anchoring pass a row learns `far`, a lower bound on its distance to every center but its own. When center j has
// gone by g_j since then, the row is at least far - g_j away from it, and at most `near` from its own: it looks at the
// centers with g_j >= far - near, which are the first in order of falling g_j, and at none if these do not move. So
// `far` stays as it is while the row looks at the few centers that move, and sinks by no more than the largest g_j.
//
// Passes cost more and more, until those since the last anchoring pass have cost as much as another one would, which
// comes next: where costs rise evenly, that is when their average is least. In it rows whose room has sunk by less than
// half take what is left along without a look.
//
// Cost      m log m per pass.        Memory  16 bytes per row, `near`, `far`, `pass` and a runner-up (RowState).
#pragma once

#include <cstdint>
#include <vector>

#include "algorithms/cluster/drift.h"

namespace latom {

class Anchor {
public:
    /// The next pass, of m centers: how far each has gone since the pass before, empty where rows know nothing.
    void step(std::size_t m, const std::vector<double>& drift) {
        const bool first = drift.empty() || gone_.size() != m;
        if (first || anew_) gone_.assign(m, 0.0);
        step_ = drift;
        step_.resize(m, 0.0);
        for (std::size_t j = 0; j < m; ++j) gone_[j] += step_[j];
        order_.build(m, gone_);
        spent_ = anew_ ? 0.0 : spent_ + now_;
        anew_ = first || (!anew_ && spent_ >= all_);
        pass_ += anew_;
        now_ = all_ = 0;
    }
    /// Adds to what the pass has cost, and would have if rows had looked at all centers.
    void spend(double cost, double all) { now_ += cost, all_ += all; }

    /// Whether this pass is an anchoring one, and its number; rows that know the one before may take `far` along.
    bool anew() const { return anew_; }
    std::int32_t pass() const { return pass_; }
    bool knows(std::int32_t pass) const { return pass == pass_ - anew_; }

    /// Positions by falling distance gone.
    const DriftOrder& order() const { return order_; }
    double step(std::int32_t j) const { return step_[static_cast<std::size_t>(j)]; }
    double gone(std::int32_t j) const { return gone_[static_cast<std::size_t>(j)]; }
    /// The most that a center other than j has gone.
    double others(std::int32_t j) const { return order_.drift[order_.position[static_cast<std::size_t>(j)] == 0]; }
    /// How many of the first positions a row must look at that has so much room, far less near, and center j.
    std::int64_t width(double room, std::int32_t j) const {
        if (!(room > others(j))) {
            const auto end = order_.drift.end() - 1;
            return room > 0 ? std::partition_point(order_.drift.begin(), end, [=](double v) { return v >= room; }) -
                                  order_.drift.begin()
                            : static_cast<std::int64_t>(order_.order.size());
        }
        return 0;
    }

private:
    DriftOrder order_;
    std::vector<double> step_, gone_;  // [m]
    std::int32_t pass_ = 0;
    bool anew_ = false;
    double now_ = 0, all_ = 0;  // cost of this pass, and if it were an anchoring one
    double spent_ = 0;          // cost of the passes since the last anchoring one
};

}  // namespace latom
