// coreset.h: few weighted rows that stand for all, so that clustering them costs less; and draws in proportion to
// weights.
//
//   lightweight   q_i = w_i / 2 W + w_i D^2(i, mu) / 2 V,     mu the weighted mean, V = sum_i w_i D^2(i, mu)
//                 (Bachem, Lucic & Krause 2018)
//   sensitivity   q_i ~ w_i (a D^2(i) / c + 2 a C_b / (W_b c) + 4 W / W_b),     a = 16 (ln m + 2),  c = sum w D^2 / W
//                 from m rough centres drawn by k-means++, b the cluster of row i, W_b its weight, C_b = sum_b w D^2
//                 (Bachem, Lucic & Krause 2017, after Langberg & Schulman 2010)
//
// `size` rows are drawn by q with replacement; each draw of row i adds w_i / (size q_i) to its weight, so that weighted
// sums over the coreset are unbiased. Distances as in seeding.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "latom/context.h"
#include "latom/kmeans.h"
#include "latom/views.h"

namespace latom {

struct Coreset {
    std::vector<int64_t> indices;  // rising, distinct: at most `size`
    std::vector<double> weights;
};

/// rough_centers 0: lightweight. Cost: two passes; for sensitivity a k-means++ and a pass over all rows and its
/// centres.
template <class View>
Coreset coreset(const Context& ctx, const View& X, const double* weights, Metric metric, int64_t size,
                int64_t rough_centers, std::uint64_t seed, const std::string& function);

/// `size` numbers below n in proportion to weights [n], in the order of drawing. Without replacement there may be
/// fewer.
std::vector<int64_t> weighted_sample(const Context& ctx, const double* weights, int64_t n, int64_t size,
                                     bool replacement, std::uint64_t seed);

}  // namespace latom
