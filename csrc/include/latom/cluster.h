// cluster.h: Lloyd's algorithm for spherical and Euclidean k-means, one step at a time.
//
//   cosine      label[i] = argmax_j <x_i, c_j> / ||c_j||            objective  sum_i w_i (1 - cos(x_i, c_label))
//               c_j ~ sum of w_i x_i / ||x_i|| over its rows, scaled to length 1
//   euclidean   label[i] = argmax_j <x_i, c_j> - ||c_j||^2 / 2      objective  sum_i w_i ||x_i - c_label||^2
//               c_j = weighted mean of its rows
//
// Exact: labels are those of float64 arithmetic on the rows and centers as stored (kernels/dot.inl.h has the order of
// summation); the highest score wins, ties go to the lowest label. Sums of rows are exact integers on a grid
// (core/bin_grid.h). Results are the same bits for every number of threads and every kernel variant. A row of norm 0
// scores 0 with every atom under cosine (label 0) and adds nothing to a center. An empty cluster takes the
// worst-fitting row of a cluster with more than one; a cluster whose weighted sum cancels to zero keeps its center.
//
// Sources   Dhillon & Modha 2001 (spherical k-means); Knittel, Koch & Ertl 2021 (an index over the centroids);
//           Kaukoranta, Franti & Nevalainen 2000 (activity); Hamerly 2010, Schubert et al. 2021 (bounds on the others).
#pragma once

#include <memory>
#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// Which bounds the sparse assignment may use. Every combination gives the same answer.
struct LloydSwitches {
    bool screen = true;  // 8-bit upper bounds decide which atoms are scored in float64; else all are
    bool drift = true;   // angle (distance) bounds kept between iterations: a row looks only at atoms that moved enough
    bool residual = true;  // bound what is dropped from a row by its norm, where that is smaller
    bool few = true;  // few atoms; dense rows of few columns: all scores at once, and other bounds than these or none
    int group = 0;    // atoms bounded together: 1, 8, or 0 for what is faster
    int drop = 0;     // terms whose quantized weight is at most this are bounded, not multiplied
    int shorten = 1;  // dense rows in few numbers first: 0 never, 1 where it pays, 2 wherever few directions hold them
    int blocks =
        1;  // dense rows of few columns in blocks of neighbors: 0 never, 1 where it pays, 2 from the second pass
    bool keep = true;  // dense rows as the screen takes them, from pass to pass
};

struct AssignStats {
    int64_t changed = 0;  // rows whose label differs from before
    double objective = 0;
    double products = 0;  // multiply-adds spent, of nnz * m
};

/// What an assignment has to look at: of row i the first width[i] centers of `order`. A row that has a label looks at
/// the center of it, with which it scores own[i], besides.
struct SearchPlan {
    std::vector<int32_t> order;         // [m]
    std::vector<int32_t> width, label;  // [n]; label -1: none
    std::vector<double> own;            // [n] <x, c> / ||c||, or <x, c> - ||c||^2 / 2
};

/// What was found: the best of what the plan names, its score to the bits of assign(), and a number that no other of
/// them scores above. Rows with a width of 0 are not read. All [n].
struct Found {
    const int32_t* label;
    const double *own, *others;
};

struct UpdateStats {
    int64_t moved = 0;      // atoms that changed
    int64_t relocated = 0;  // empty clusters that took a row
    double shift = 0;       // sum_j ||c_j new - c_j old||^2
};

/// Centers in compressed rows (sparse data) or as a dense matrix (values only).
template <class T>
struct Centers {
    std::vector<int64_t> indptr;
    std::vector<int32_t> indices;
    std::vector<T> values;
};

/// Extra memory: O(n) for labels, scores and bounds, O(m d) bytes at worst for the index, scratch of d and of the
/// terms of 1024 rows per thread; where dense rows are shortened, 4 bytes for each of up to d / 3 and 128 numbers of a
/// row; of rows of at most 64 columns, 4 bytes for each number of a row.
template <class T>
class Lloyd {
public:
    virtual ~Lloyd() = default;

    virtual int64_t n() const = 0;
    virtual int64_t d() const = 0;
    virtual int64_t m() const = 0;
    virtual int64_t zero_rows() const = 0;

    /// Start from these centers [m, d]; `normalize` scales each to length 1 first (cosine).
    virtual void set_centers(const Context& ctx, const Rows<DenseView<T>>& centers, bool normalize) = 0;
    virtual void set_centers(const Context& ctx, const Rows<CsrView<T, int32_t>>& centers, bool normalize) = 0;
    virtual void set_centers(const Context& ctx, const Rows<CsrView<T, int64_t>>& centers, bool normalize) = 0;
    /// New labels for the present centers. Without the objective, which then stays 0, where nobody asks for it.
    virtual AssignStats assign(const Context& ctx, bool objective = true) = 0;
    /// Of CSR rows, where another device is to search: plan() says where, and adopt() follows it in the place of
    /// assign().
    virtual SearchPlan plan(const Context& ctx) = 0;
    virtual AssignStats adopt(const Context& ctx, const Found& found, bool objective) = 0;
    /// The objective of the last assign() from the costs of its rows: its own may come from sums, and so differ in last
    /// digits.
    virtual double inertia(const Context& ctx) const = 0;
    /// New centers for the present labels.
    virtual UpdateStats update(const Context& ctx) = 0;
    /// Centers that stand for `counts` [m] rows seen before, moved by the rows of their label (MiniBatch); adds the
    /// weights of these rows to counts. Nothing is relocated, and no step but scores() and centers() may follow.
    virtual UpdateStats blend(const Context& ctx, std::vector<double>& counts) = 0;

    virtual const std::vector<int32_t>& labels() const = 0;
    /// Per row: the cosine with its center, or minus the squared distance to it, as of the last assign().
    virtual std::vector<double> scores(const Context& ctx) const = 0;
    virtual Centers<T> centers() const = 0;
};

/// weights [n] may be null (all 1). The rows must outlive the object.
template <class View>
std::unique_ptr<Lloyd<typename View::value_type>> make_lloyd(const Context& ctx, const Rows<View>& X,
                                                             const double* weights, Metric metric,
                                                             const LloydSwitches& switches);

struct StepStats {
    double inertia = 0;  // sum of w_i cost_i, with the centers before the step
    double shift = 0;    // sum_j ||c_j new - c_j old||^2
};

/// k-means by mini-batches. A step labels the rows of a batch by the centers as they stand, then moves the centers:
///
///   c_j <- (n_j c_j + sum of w_i x_i over its rows) / (n_j + W_j),   n_j <- n_j + W_j,   W_j = sum of w_i
///
/// Under cosine x_i is x_i / ||x_i||, and c_j is scaled to length 1 instead of divided. A center whose sum cancels to
/// zero stays. Centers and batches have the same container (dense, or CSR) throughout.
///
/// Source  Sculley 2010.   Memory  the centers.   Cost  that of one Lloyd iteration on the batch, plus O(m d).
template <class T>
class MiniBatch {
public:
    using value_type = T;

    /// counts [m]: the weight that each center has seen. `normalize` scales centers, here and in replace(), to length
    /// 1.
    template <class View>
    MiniBatch(const Context& ctx, const Rows<View>& centers, std::vector<double> counts, Metric metric, bool normalize);

    /// weights [n] may be null (all 1).
    template <class View>
    StepStats step(const Context& ctx, const Rows<View>& batch, const double* weights);
    /// Rows of the batch in the place of centers `clusters`, which are distinct.
    template <class View>
    void replace(const Context& ctx, const Rows<View>& batch, const std::vector<int64_t>& rows,
                 const std::vector<int64_t>& clusters);

    int64_t m() const { return static_cast<int64_t>(counts_.size()); }
    int64_t d() const { return d_; }
    const Centers<T>& centers() const { return centers_; }
    std::vector<double>& counts() { return counts_; }
    /// Of the last batch, with the centers before its step.
    const std::vector<int32_t>& labels() const { return labels_; }
    const std::vector<double>& scores() const { return scores_; }

private:
    int64_t d_;
    Metric metric_;
    bool normalize_;
    Centers<T> centers_;
    std::vector<double> counts_, scores_;
    std::vector<int32_t> labels_;
};

/// The mean over columns of their variances (divided by n); 0 where rows are equal. Cost: two passes over X.
template <class View>
double mean_variance(const Context& ctx, const Rows<View>& X);

}  // namespace latom
