// cluster.h: Lloyd's algorithm for spherical and Euclidean k-means, one step at a time.
//
//   cosine      label[i] = argmax_j <x_i, c_j> / ||c_j||            objective  sum_i w_i (1 - cos(x_i, c_label))
//               c_j ~ sum of w_i x_i / ||x_i|| over its rows, scaled to length 1
//   euclidean   label[i] = argmax_j <x_i, c_j> - ||c_j||^2 / 2      objective  sum_i w_i ||x_i - c_label||^2
//               c_j = weighted mean of its rows
//
// Exact: labels are those of float64 arithmetic on the rows and centres as stored (kernels/dot.inl.h has the order of
// summation); the highest score wins, ties go to the lowest label. Sums run in row order. Results are the same bits
// for every number of threads and every kernel variant.
// A row of norm 0 scores 0 with every atom under cosine (label 0) and adds nothing to a centre.
// An empty cluster takes the worst-fitting row of a cluster with more than one; a cluster whose weighted sum cancels
// to zero keeps its centre.
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
    bool few = true;       // sparse rows, few atoms: all scores in float64 at once, none of the bounds
    int group = 0;         // atoms bounded together: 1, 8, or 0 for what is faster
    int drop = 0;          // terms whose quantised weight is at most this are bounded, not multiplied
    int shorten = 1;  // dense rows in few numbers first: 0 never, 1 where it pays, 2 wherever few directions hold them
};

struct AssignStats {
    int64_t changed = 0;  // rows whose label differs from before
    double objective = 0;
    double products = 0;  // multiply-adds spent, of nnz * m
};

struct UpdateStats {
    int64_t moved = 0;      // atoms that changed
    int64_t relocated = 0;  // empty clusters that took a row
    double shift = 0;       // sum_j ||c_j new - c_j old||^2
};

/// Centres in compressed rows (sparse data) or as a dense matrix (values only).
template <class T>
struct Centers {
    std::vector<int64_t> indptr;
    std::vector<int32_t> indices;
    std::vector<T> values;
};

/// Extra memory: O(n) for labels, scores and bounds, O(m d) bytes at worst for the index, scratch of d and of the
/// terms of 1024 rows a thread; where dense rows are shortened, 4 bytes for each of up to d / 3 and 128 numbers of a
/// row.
template <class T>
class Lloyd {
public:
    virtual ~Lloyd() = default;

    virtual int64_t n() const = 0;
    virtual int64_t d() const = 0;
    virtual int64_t m() const = 0;
    virtual int64_t zero_rows() const = 0;

    /// Start from these centres [m, d]; `normalize` scales each to length 1 first (cosine).
    virtual void set_centers(const Context& ctx, const Rows<DenseView<T>>& centers, bool normalize) = 0;
    virtual void set_centers(const Context& ctx, const Rows<CsrView<T, int32_t>>& centers, bool normalize) = 0;
    virtual void set_centers(const Context& ctx, const Rows<CsrView<T, int64_t>>& centers, bool normalize) = 0;
    /// New labels for the present centres.
    virtual AssignStats assign(const Context& ctx) = 0;
    /// New centres for the present labels.
    virtual UpdateStats update(const Context& ctx) = 0;

    virtual const std::vector<int32_t>& labels() const = 0;
    /// Per row: the cosine with its centre, or minus the squared distance to it, as of the last assign().
    virtual std::vector<double> scores(const Context& ctx) const = 0;
    virtual Centers<T> centers() const = 0;
};

/// weights [n] may be null (all 1). The rows must outlive the object.
template <class View>
std::unique_ptr<Lloyd<typename View::value_type>> make_lloyd(const Context& ctx, const Rows<View>& X,
                                                             const double* weights, Metric metric,
                                                             const LloydSwitches& switches);

/// The mean over columns of their variances (divided by n). Cost: two passes over X.
template <class View>
double mean_variance(const Context& ctx, const Rows<View>& X);

}  // namespace latom
