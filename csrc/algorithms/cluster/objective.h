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
#include "engines/product_select/column_screen.h"
#include "rows/atom.h"

namespace latom {

/// Of dense rows of d columns in m clusters; elsewhere rows are added up one by one. Where columns or clusters are few.
inline bool objective_by_sums(int64_t d, int64_t m) {
    return d <= 64 ? few_numbers(m, d) : m <= 64 && m * d <= (1 << 16);
}

class SumsObjective {
public:
    static constexpr double kLeast = 0x1p-16;  // of the first term

    /// squares: the sum of w |x|^2.
    SumsObjective(Metric metric, const BinGrid& grid, const BinGrid& weight_grid, double squares)
        : metric_(metric), grid_(grid), weight_grid_(weight_grid), first_(metric == Metric::kCosine ? 0.0 : squares) {}

    /// A cluster's center, its sum [levels, d] and weight [levels] in the units of their grids.
    template <class T>
    void add(const KernelTable* kernels, const Atom<T>& center, const std::int64_t* sum, const std::int64_t* weight) {
        const auto d = static_cast<int64_t>(center.value.size());
        sum_.resize(static_cast<std::size_t>(d));
        kernels->binned_values(sum, d, d, grid_.unit(), grid_.levels(), sum_.data());
        double dot = 0;
        for (int64_t t = 0; t < d; ++t) dot += static_cast<double>(center.value[t]) * sum_[t];
        const double total = weight_grid_.value(weight);
        if (metric_ == Metric::kCosine) {
            first_ += total;
            if (center.norm2 > 0) less_ += dot / std::sqrt(center.norm2);
        } else {
            less_ += 2 * dot - total * center.norm2;
        }
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
    std::vector<double> sum_;
};

}  // namespace latom
