// row_move.h: rows that go from one cluster to another, and those that empty clusters take.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace latom {

/// A row that has left cluster `from` for `to`.
struct RowMove {
    std::int64_t row;
    std::int32_t from, to;
};

/// Each empty cluster, in order, takes the row with the highest cost among clusters with more than one row. label [n],
/// size [m]; misfits(i) says whether row i may go, cost(i) its weighted cost.
template <class Misfits, class Cost>
std::vector<RowMove> fill_empty_clusters(const std::vector<std::int32_t>& label, std::vector<std::int64_t> size,
                                         Misfits misfits, Cost cost) {
    std::vector<std::int32_t> empty;
    for (std::size_t j = 0; j < size.size(); ++j)
        if (size[j] == 0) empty.push_back(static_cast<std::int32_t>(j));
    std::vector<std::int64_t> donors;
    for (std::size_t i = 0; i < label.size(); ++i)
        if (misfits(static_cast<std::int64_t>(i))) donors.push_back(static_cast<std::int64_t>(i));
    const auto fits_better = [&](std::int64_t a, std::int64_t b) {
        const double ca = cost(a), cb = cost(b);
        return ca != cb ? ca < cb : a > b;
    };
    std::make_heap(donors.begin(), donors.end(), fits_better);
    std::vector<RowMove> moves;
    for (auto end = donors.end(); moves.size() < empty.size() && end != donors.begin();) {
        std::pop_heap(donors.begin(), end, fits_better);
        const std::int64_t i = *--end;
        const std::int32_t from = label[static_cast<std::size_t>(i)];
        if (size[static_cast<std::size_t>(from)] < 2) continue;
        --size[static_cast<std::size_t>(from)];
        moves.push_back({i, from, empty[moves.size()]});
    }
    return moves;
}

}  // namespace latom
