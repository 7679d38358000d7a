// quality.h: how good a clustering is, from the rows and their labels, with no n x n matrix.
#pragma once

#include <cstdint>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// Silhouettes: samples [n], s_i = (b_i - a_i) / max(a_i, b_i), a_i the mean distance of row i to the others of its
/// cluster, b_i the least mean distance to the rows of another; 0 for a row that is alone. labels [n] in [0, m).
/// Distances are Euclidean, or 1 - cos (1 with a row of norm 0); all sums are those of float64 distances, in the order
/// of rows. Returns the pairs of rows that were looked at.
///
/// Cost      cosine: n m d multiply-adds. euclidean: these, and d per pair of rows of one cluster, and of a row and a
///           cluster whose bounds on the mean distance do not rule it out: at worst n^2 d. Dense rows in clusters of at
///           least 2 d: n d^2 more, and d^2 per row and cluster that the first bounds leave.
/// Memory    8 bytes per cluster and column, 16 of dense rows; some per row; euclidean, dense: X once more in float32,
///           and half of it where clusters have at least 2 d rows.
///
/// Source    Rousseeuw 1987.
template <class View>
int64_t silhouette(const Context& ctx, const Rows<View>& X, const int32_t* labels, int64_t m, Metric metric,
                   double* samples);

/// The mean over clusters of the largest (s_j + s_l) / |mu_j - mu_l|, s_j the mean distance of the rows of cluster j to
/// their mean mu_j. Cost: n d + m^2 d / 2 multiply-adds.       Source  Davies & Bouldin 1979.
template <class View>
double davies_bouldin(const Context& ctx, const Rows<View>& X, const int32_t* labels, int64_t m);

}  // namespace latom
