// fill_up.h: rows that stand in for centers when no distance is left to draw by.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/philox.h"

namespace latom {

/// Adds rows not yet chosen, in a random order, those of positive weight first, until there are m.
template <class Weight>
void fill_up(std::vector<int64_t>& indices, int64_t m, int64_t n, const Philox& random, Weight weight) {
    if (static_cast<int64_t>(indices.size()) >= m) return;
    std::vector<char> chosen(static_cast<std::size_t>(n), 0);
    for (const int64_t i : indices) chosen[i] = 1;
    std::vector<int64_t> rest;
    for (int64_t i = 0; i < n; ++i)
        if (!chosen[i]) rest.push_back(i);
    for (std::size_t r = rest.size(); r > 1; --r)
        std::swap(rest[r - 1], rest[static_cast<std::size_t>(random.uniform(r) * static_cast<double>(r))]);
    std::stable_partition(rest.begin(), rest.end(), [&](int64_t i) { return weight(i) > 0; });
    rest.resize(std::min(rest.size(), static_cast<std::size_t>(m) - indices.size()));
    indices.insert(indices.end(), rest.begin(), rest.end());
}

}  // namespace latom
