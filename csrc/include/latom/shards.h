// shards.h: one iteration of k-means on rows that lie apart: in blocks of a stream, or on several machines.
//
//   cluster_parts    what the rows of one part add to each cluster, as integers: parts are merged by adding integers
//   next_centers     the centers that Lloyd::update makes of the merged sums
//   sums_objective   the objective that Lloyd::assign has from them, of rows of few columns
//
// Sums of integers depend on no order, so centers have the bits of a fit on all rows at once, however rows were divided
// among parts; core/bin_grid.h has the units. All parts must be told the same bounds, those of all rows together.
//
// Memory    16 or 24 bytes per cluster and column (dense), per column that a cluster's rows have (CSR).
// Cost      cluster_parts: kernels/add_binned.inl.h per row; next_centers: O(m d), or of the columns held.
#pragma once

#include <vector>

#include "latom/cluster.h"

namespace latom {

/// No scaled row is longer than `longest` (w under cosine, w ||x|| otherwise), no weight larger than `heaviest`.
struct SumBounds {
    double longest = 1, heaviest = 1;
};

struct ClusterParts {
    int levels = 0;
    std::vector<int64_t> indptr;   // [m + 1], CSR: where the columns of each cluster begin
    std::vector<int32_t> indices;  // rising within a cluster
    std::vector<int64_t> sum;      // dense [m, levels, d]; CSR [entries, levels]
    std::vector<int64_t> weight;   // [m, 3]
};

/// What merged parts hold, where they are; fields as in ClusterParts.
struct PartsView {
    const int64_t* indptr = nullptr;
    const int32_t* indices = nullptr;
    const int64_t* sum = nullptr;
    const int64_t* weight = nullptr;
};

/// How many integers a number is cut into.
int sum_levels(const SumBounds& bounds);

/// labels [n] in [-1, m): a row of -1 adds nothing. weights [n] may be null (all 1).
template <class View>
ClusterParts cluster_parts(const Context& ctx, const Rows<View>& X, const double* weights, const int32_t* labels,
                           int64_t m, Metric metric, const SumBounds& bounds);

/// The centers after an update of `centers`, in their container; a cluster without rows keeps its own.
template <class View>
Centers<typename View::value_type> next_centers(const Context& ctx, const Rows<View>& centers, const PartsView& parts,
                                                Metric metric, const SumBounds& bounds, UpdateStats& stats);

/// The objective with these centers, to the bits of Lloyd::assign, where it follows from sums; negative where the costs
/// of rows must be added up. squares: the sum of w |x|^2 (Euclidean).
template <class View>
double sums_objective(const Rows<View>& centers, const PartsView& parts, Metric metric, const SumBounds& bounds,
                      double squares);

}  // namespace latom
