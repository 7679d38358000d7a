// objective.h: the objective of a clustering from the sums of its clusters, without a look at its rows.
//
//   euclidean   sum_i w_i |x_i|^2 - sum_j (2 <c_j, s_j> - W_j |c_j|^2)
//   cosine      sum_j W_j - <c_j, s_j> / |c_j|
//
// Both are differences. Where the result is so small beside the first term that more than five digits are lost, the
// costs of rows must be added up one by one; the rule depends on the same numbers, so all who merge sums agree on it.
#pragma once

#include <algorithm>
#include <vector>

#include "algorithms/cluster/cluster_sum.h"
#include "rows/atom.h"

namespace latom {

/// Of dense rows of d columns in m clusters; elsewhere, where sums take more than some 50 MB, rows are added up one by
/// one.
inline bool objective_by_sums(int64_t d, int64_t m) { return m * d <= (1 << 21); }

class SumsObjective {
public:
    static constexpr double kLeast = 0x1p-16;  // of the first term

    /// squares: the sum of w |x|^2.
    SumsObjective(Metric metric, const BinGrid& grid, const BinGrid& weight_grid, double squares)
        : metric_(metric), grid_(grid), weight_grid_(weight_grid), first_(metric == Metric::kCosine ? 0.0 : squares) {}

    struct Term {
        double first, less;
    };
    /// That of a cluster: its center, its sum [levels, d] and weight [levels] in the units of their grids.
    template <class T>
    Term term(const KernelTable* kernels, const Atom<T>& center, const std::int64_t* sum,
              const std::int64_t* weight) const {
        constexpr int64_t kRun = 128;
        const auto d = static_cast<int64_t>(center.value.size());
        double dot = 0, value[kRun];
        for (int64_t from = 0; from < d; from += kRun) {
            const int64_t count = std::min(kRun, d - from);
            kernels->binned_values(sum + from, count, d, grid_.unit(), grid_.levels(), value);
            for (int64_t t = 0; t < count; ++t) dot += static_cast<double>(center.value[from + t]) * value[t];
        }
        const double total = weight_grid_.value(weight);
        if (metric_ == Metric::kCosine) return {total, center.norm2 > 0 ? dot / std::sqrt(center.norm2) : 0.0};
        return {0.0, 2 * dot - total * center.norm2};
    }
    /// Terms are added by rising cluster.
    void add(const Term& term) {
        first_ += term.first;
        less_ += term.less;
    }
    /// Negative where rows must be added up.
    double value() const {
        const double left = first_ - less_;
        return left >= kLeast * first_ ? left : -1.0;
    }

private:
    Metric metric_;
    BinGrid grid_, weight_grid_;
    double first_, less_ = 0;
};

}  // namespace latom
