// score_rule.h: the one rule by which float64 decides between atoms.
//
//   S(x, j) = factor_j <x, w_j> + bias_j        factor empty: 1; bias empty: 0
//
//   dot         no factor; the caller's bias, or none
//   cosine      factor_j = 1 / |w_j|, 0 for an atom of length 0: the cosine times |x|, which ranks as the cosine does
//   euclidean   bias_j = -|w_j|^2 / 2: half of |x|^2 less the squared distance, which ranks as minus the distance does
//
// The product is rounded before the bias is added. The highest score wins; ties go to the lowest atom.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "latom/views.h"

namespace latom {

struct ScoreRule {
    std::vector<double> factor, bias;  // [m], or empty

    double operator()(double dot, int64_t j) const {
        if (!factor.empty()) dot *= factor[j];
        return bias.empty() ? dot : dot + bias[j];
    }

    /// Products of one row with the atoms [0, m) become its scores, in place.
    void score(double* dot, int64_t m) const {
        if (!factor.empty())
            for (int64_t j = 0; j < m; ++j) dot[j] *= factor[j];
        if (!bias.empty())
            for (int64_t j = 0; j < m; ++j) dot[j] += bias[j];
    }

    /// Adds an atom of this squared length, under a metric.
    void add(Metric metric, double norm2) {
        if (metric == Metric::kCosine) factor.push_back(norm2 > 0 ? 1 / std::sqrt(norm2) : 0.0);
        else bias.push_back(-0.5 * norm2);
    }
    void clear() {
        factor.clear();
        bias.clear();
    }

    /// The answer for a row of norm 0: the atom with the highest score.
    int32_t zero_label() const {
        return bias.empty() ? 0 : static_cast<int32_t>(std::max_element(bias.begin(), bias.end()) - bias.begin());
    }
};

}  // namespace latom
