// grouped.h: items by the group that they belong to, each group in the order of the rows that its items come from.
//
// A counting sort. Chunks of rows count their items, and then each puts its own behind those of the chunks before it.
// Chunks have at least 16 rows per group, so that the counts of all of them are a sixteenth of the rows at most.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/parallel.h"

namespace latom {

/// each(i, put) calls put(group, item), group in [0, m), for what row i in [0, n) gives: the same whenever it is
/// called. out becomes the items; returns where each group begins [m + 1].
template <class Item, class Each>
std::vector<std::int64_t> group_items(const Context& ctx, std::int64_t n, std::int64_t m, std::vector<Item>& out,
                                      const Each& each) {
    constexpr std::int64_t kRows = 8192;
    const std::int64_t rows = std::max(kRows, 16 * m), chunks = std::max<std::int64_t>(1, chunk_count(n, rows));
    std::vector<std::int64_t> place(static_cast<std::size_t>(chunks * m), 0), begin(static_cast<std::size_t>(m) + 1);
    parallel_for(ctx, chunks, [&](std::int64_t c, int) {
        std::int64_t* own = place.data() + c * m;
        for (std::int64_t i = c * rows; i < std::min(n, (c + 1) * rows); ++i)
            each(i, [&](std::int64_t j, const Item&) { ++own[j]; });
    });
    std::int64_t total = 0;
    for (std::int64_t j = 0; j < m; ++j) {
        begin[static_cast<std::size_t>(j)] = total;
        for (std::int64_t c = 0; c < chunks; ++c) {
            const std::int64_t count = place[static_cast<std::size_t>(c * m + j)];
            place[static_cast<std::size_t>(c * m + j)] = total;
            total += count;
        }
    }
    begin[static_cast<std::size_t>(m)] = total;
    out.resize(static_cast<std::size_t>(total));
    parallel_for(ctx, chunks, [&](std::int64_t c, int) {
        std::int64_t* own = place.data() + c * m;
        for (std::int64_t i = c * rows; i < std::min(n, (c + 1) * rows); ++i)
            each(i, [&](std::int64_t j, const Item& item) { out[static_cast<std::size_t>(own[j]++)] = item; });
    });
    return begin;
}

/// Rows [n] in the order of their label in [0, m), and within a label of their index.
inline std::vector<std::int64_t> group_rows(const Context& ctx, std::int64_t n, std::int64_t m,
                                            const std::int32_t* label, std::vector<std::int64_t>& order) {
    return group_items(ctx, n, m, order, [&](std::int64_t i, auto put) { put(label[i], i); });
}

/// How many rows have other labels than before.
inline std::int64_t count_changed(const Context& ctx, std::int64_t n, const std::int32_t* before,
                                  const std::int32_t* label) {
    constexpr std::int64_t kRows = 16384;
    std::vector<std::int64_t> changed(static_cast<std::size_t>(chunk_count(n, kRows)), 0);
    parallel_for(ctx, static_cast<std::int64_t>(changed.size()), [&](std::int64_t c, int) {
        std::int64_t found = 0;
        for (std::int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i) found += label[i] != before[i];
        changed[static_cast<std::size_t>(c)] = found;
    });
    std::int64_t total = 0;
    for (const std::int64_t count : changed) total += count;
    return total;
}

}  // namespace latom
