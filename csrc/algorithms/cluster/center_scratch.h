// center_scratch.h: a center in the making, from the sum of its rows.
#pragma once

#include <limits>
#include <utility>
#include <vector>

#include "algorithms/cluster/cluster_sum.h"
#include "rows/atom.h"

namespace latom {

/// What a thread needs to make a center: its next value, unscaled, and room for one as a dense vector.
template <class View>
struct CenterScratch {
    using T = typename View::value_type;

    AtomScratch<T> atom;
    std::vector<int32_t> column;  // rising; empty for dense rows: all
    std::vector<double> value;

    void take(const KernelTable* kernels, const ClusterSum<View>& sum) {
        column.clear();
        value.clear();
        sum.read(kernels, column, value);
    }
    /// Adds count * center.
    void add(const Atom<T>& center, double count) {
        const auto old = [&](std::size_t p) { return count * static_cast<double>(center.value[p]); };
        if constexpr (!kIsSparse<View>) {
            for (std::size_t t = 0; t < value.size(); ++t) value[t] += old(t);
            return;
        }
        const auto sum_column = std::exchange(column, {});
        const auto sum_value = std::exchange(value, {});
        std::size_t p = 0;
        const auto old_until = [&](int64_t t) {
            for (; p < center.column.size() && center.column[p] < t; ++p) push(center.column[p], old(p));
        };
        for (std::size_t s = 0; s < sum_column.size(); ++s) {
            const int32_t t = sum_column[s];
            old_until(t);
            const bool both = p < center.column.size() && center.column[p] == t;
            push(t, both ? sum_value[s] + old(p++) : sum_value[s]);
        }
        old_until(std::numeric_limits<int64_t>::max());
    }

private:
    void push(int64_t t, double v) {
        if constexpr (kIsSparse<View>) column.push_back(static_cast<int32_t>(t));
        value.push_back(v);
    }
};

}  // namespace latom
