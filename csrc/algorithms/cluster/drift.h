// drift.h: what rows know between assignment passes, and the order of centers by how far they moved since the last.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace latom {

/// What a row knows between passes.
struct RowState {
    std::vector<int32_t> label;  // [n]
    std::vector<double> own;     // [n]: decision score with the center of its label
    std::vector<float> far;  // [n]: lower bound on the distance to every other center, of dense rows of many columns
                             // and centers as of `pass` (anchor.h); negative if nothing is known
    std::vector<int32_t> second;  // [n], dense rows: a center that was close; -1 if none is known
    std::vector<float> near;      // [n], dense rows: at least the distance to its own center, or negative
    std::vector<int32_t> pass;    // [n], dense rows: that which `far` is of, 0 if none (anchor.h)
};

/// Centers in order of falling drift: those that a row must look at are a prefix of the positions.
struct DriftOrder {
    std::vector<int32_t> order;     // position -> center
    std::vector<int32_t> position;  // center -> position
    std::vector<double> drift;      // [m + 1] by position, falling to 0

    /// moved [m]: how far each center moved; empty before the first pass.
    void build(std::size_t m, const std::vector<double>& moved) {
        order.resize(m);
        std::iota(order.begin(), order.end(), 0);
        drift.assign(m + 1, 0.0);
        if (!moved.empty()) {
            std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return moved[a] > moved[b]; });
            for (std::size_t j = 0; j < m; ++j) drift[j] = moved[order[j]];
        }
        position.resize(m);
        for (std::size_t j = 0; j < m; ++j) position[order[j]] = static_cast<int32_t>(j);
    }

    struct Span {
        int64_t width;  // positions to look at: none if its own center stays the best
        double unseen;  // lower bound on the distance to the centers beyond them
    };
    /// For a row at most `near` away from its own center, at position `mine`, and before the drift at least `far` from
    /// others.
    Span span(double far, double near, int32_t mine) const {
        constexpr double kLook = 0.7;  // a row looks at centers that moved this share of its room: the rest is kept
        const auto m = static_cast<int64_t>(order.size());
        const auto reach = [&](double least) {
            return std::partition_point(drift.begin(), drift.end() - 1, [=](double v) { return v >= least; }) -
                   drift.begin();
        };
        const double room = far - near;
        if (!(room > 0)) return {m, HUGE_VAL};
        const int64_t own_first = mine == 0;  // its own center does not count
        if (reach(room) <= own_first) return {0, far - drift[own_first]};
        const int64_t width = std::min(m, (reach(kLook * room) + 63) / 64 * 64);
        return {width, width < m ? far - drift[width] : HUGE_VAL};
    }
};

/// A float32 below v, by more than rounding, for lower bounds that are kept between iterations.
inline float round_down(double v) {
    if (std::abs(v) < 1e-30) return v < 0 ? -1.0f : 0.0f;  // below what float32 can round down
    return static_cast<float>(v > 1e30 ? 1e30 : v - 1e-6 * std::abs(v));
}

/// A float32 above v >= 0, likewise; negative, which says nothing, where v is too large.
inline float round_up(double v) { return v < 1e30 ? static_cast<float>(v * (1 + 1e-6)) + 1e-30f : -1.0f; }

}  // namespace latom
