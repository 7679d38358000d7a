// shards.h: one iteration of k-means on rows that lie apart: in blocks of a stream, or on several machines.
//
//   cluster_parts    what the rows of one part add to each cluster, as integers: parts are merged by adding integers
//   add_parts        the same of dense rows, added in place to what others have added
//   merge_parts      what two parts of CSR rows add together
//   next_centers     the centers that Lloyd::update makes of the merged sums
//   sums_objective   the objective that Lloyd::assign has from them, of dense rows
//   BlockLloyd       Lloyd::assign on rows that come block by block, pass after pass
//
// Sums of integers depend on no order, so centers have the bits of a fit on all rows at once, however rows were divided
// among parts; core/bin_grid.h has the units. All parts must be told the same bounds, those of all rows together.
//
// Memory    16 or 24 bytes per cluster and column (dense), per column that a cluster's rows have (CSR); BlockLloyd: 28
//           bytes per row, and what Lloyd has for its centers, once for all blocks.
// Cost      cluster_parts: kernels/add_binned.inl.h per row that has come and per row that has gone; merge_parts: two
//           passes over the entries of both; next_centers:
//           O(m d), or of the columns held; BlockLloyd: that of Lloyd::assign, and centers are prepared once per pass.
#pragma once

#include <memory>
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

/// Which rows come to a cluster, and which go from one.
struct LabelChange {
    const int32_t* before = nullptr;  // [n] in [-1, m); null: -1, of no cluster
    const int32_t* labels = nullptr;  // [n] in [-1, m)
};

/// weights [n] may be null (all 1).
template <class View>
ClusterParts cluster_parts(const Context& ctx, const Rows<View>& X, const double* weights, const LabelChange& change,
                           int64_t m, Metric metric, const SumBounds& bounds);

/// To sum [m, levels, d] and weight [m, 3].
template <class T>
void add_parts(const Context& ctx, const Rows<DenseView<T>>& X, const double* weights, const LabelChange& change,
               int64_t m, Metric metric, const SumBounds& bounds, int64_t* sum, int64_t* weight);

/// Of CSR: a + b, or a - b, cluster by cluster; what becomes 0 is left out. `weight` is not looked at, and left empty.
ClusterParts merge_parts(const Context& ctx, const PartsView& a, const PartsView& b, int64_t m, int levels, bool minus);

/// The centers after an update of `centers`, in their container; a cluster without rows keeps its own.
template <class View>
Centers<typename View::value_type> next_centers(const Context& ctx, const Rows<View>& centers, const PartsView& parts,
                                                Metric metric, const SumBounds& bounds, UpdateStats& stats);

/// The objective with these centers, to the bits of Lloyd::assign, where it follows from sums; negative where the costs
/// of rows must be added up. squares: the sum of w |x|^2 (Euclidean).
template <class View>
double sums_objective(const Rows<View>& centers, const PartsView& parts, Metric metric, const SumBounds& bounds,
                      double squares);

/// Labels of rows that come block by block, the bits of Lloyd (cluster.h) on all of them. What bounds tell of a row
/// stays from pass to pass; nothing is kept of the rows themselves. CSR columns are int32.
template <class View>
class BlockLloyd {
public:
    using T = typename View::value_type;
    virtual ~BlockLloyd() = default;

    virtual int64_t n() const = 0;
    virtual int64_t m() const = 0;
    /// The centers of the pass that begins, as many as in the one before.
    virtual void set_centers(const Context& ctx, const Centers<T>& centers, int64_t d) = 0;
    /// Labels and scores (Lloyd::scores) of rows [first, first + X.n()) of all; returns the multiply-adds spent. Each
    /// pass has all rows.
    virtual double assign(const Context& ctx, const Rows<View>& X, int64_t first, int32_t* labels, double* scores) = 0;
    /// The same of dense rows that an earlier pass had; refuses others, as far as their norms tell.
    virtual double assign_again(const Context& ctx, const View& X, int64_t first, int32_t* labels, double* scores) = 0;
    /// Whether a pass has had all rows.
    virtual bool passed() const = 0;
    /// Dense rows: what those of the block that came last, whose arrays are still there, add to sum [m, levels, d] and
    /// weight [m, 3].
    virtual void add(const Context& ctx, const double* weights, const LabelChange& change, const SumBounds& bounds,
                     int64_t* sum, int64_t* weight) const = 0;
};

/// For n rows in all.
template <class View>
std::unique_ptr<BlockLloyd<View>> make_block_lloyd(int64_t n, Metric metric);

}  // namespace latom
