// ranking.h: scores of rows with atoms, their rank, and the order in which they are fetched.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "latom/encode.h"

namespace latom {

/// An atom that a row has to score.
struct Entry {
    double score;
    int32_t row, atom;
};

inline double key(Rank rank, double score) { return rank == Rank::kMagnitude ? std::abs(score) : score; }

/// Highest first, ties to the lowest atom.
inline auto before(Rank rank) {
    return [rank](const Entry& a, const Entry& b) {
        const double x = key(rank, a.score), y = key(rank, b.score);
        return x != y ? x > y : a.atom < b.atom;
    };
}

/// What has to be fetched for entry `entry`. Copied, as entries far apart would be waited for one by one.
struct Fetch {
    int32_t row, atom;
    std::uint32_t entry;
};

/// order: the entries atom by atom, so that each of the m atoms is read once and in order. at is scratch.
inline void order_by_atom(const std::vector<Entry>& entries, int64_t m, std::vector<Fetch>& order,
                          std::vector<std::uint32_t>& at) {
    order.resize(entries.size());
    const auto fetch = [&](std::size_t e) {
        return Fetch{entries[e].row, entries[e].atom, static_cast<std::uint32_t>(e)};
    };
    if (entries.size() > static_cast<std::size_t>(m) / 8) {
        at.assign(static_cast<std::size_t>(m) + 1, 0);
        for (const Entry& e : entries) ++at[e.atom + 1];
        std::partial_sum(at.begin(), at.end(), at.begin());
        for (std::size_t e = 0; e < entries.size(); ++e) order[at[entries[e].atom]++] = fetch(e);
    } else {
        for (std::size_t e = 0; e < entries.size(); ++e) order[e] = fetch(e);
        std::sort(order.begin(), order.end(), [](const Fetch& a, const Fetch& b) { return a.atom < b.atom; });
    }
}

}  // namespace latom
