// batch.h: many small clusterings at once: the rows of all problems stand one below the other, problem b has
// [offsets[b], offsets[b + 1]).
//
// Problems are independent, and one worker does all of one, so results are the same bits for every number of threads.
// A problem may have no rows.
#pragma once

#include <cstdint>
#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// Where the rows and the clusters of each problem begin, both [count + 1] and rising from 0.
struct Problems {
    const int64_t* offsets;
    const int64_t* center_offsets;
    int64_t count;
};

/// What Lloyd's steps of each problem start from.
enum class BatchStart {
    kCenters,   // given for all problems
    kLabels,    // the means of the clusters of given labels
    kWard,      // the means of the clusters of ward_batch
    kPlusPlus,  // greedy k-means++, with a seed per problem and run
};

struct BatchPlan {
    Metric metric = Metric::kCosine;
    BatchStart start = BatchStart::kPlusPlus;
    int64_t max_iter = 10;  // 0: the start's labels and centers are the answer; kLabels alone
    double tol = 0;         // as the estimators have it
    int64_t n_init = 1;     // runs, of which the best is taken; kPlusPlus alone
};

template <class T>
struct BatchInputs {
    const double* weights = nullptr;       // [n], or null: all 1
    const int32_t* fixed = nullptr;        // [n]: labels that stay, -1 where rows are free; or null
    const T* centers = nullptr;            // [sum m, d], kCenters
    const int32_t* labels = nullptr;       // [n], kLabels
    const std::uint64_t* seeds = nullptr;  // [count, n_init], kPlusPlus
};

template <class T>
struct BatchOutputs {
    int32_t* labels;    // [n]
    T* centers;         // [sum m, d]
    double* inertia;    // [count]
    int64_t* n_iter;    // [count]
    int64_t* distinct;  // [count]: clusters with rows
};

/// k-means of each problem: the same bits as Lloyd (cluster.h) on it alone, started alike.
///
/// Cost      per problem n m d multiply-adds in the first step, and then those of the centers that moved; where m is
///           some n / 4 or more, n^2 d / 2 once, and hardly any later.
/// Memory    8 n m numbers, or 8 n (n + m), of the largest problem of each thread.
template <class T>
void kmeans_batch(const Context& ctx, const StoredRows& X, const Problems& problems, const BatchPlan& plan,
                  const BatchInputs<T>& in, const BatchOutputs<T>& out);

/// Where a dendrogram is cut: into so many clusters, or below a height.
struct WardCut {
    const int64_t* clusters = nullptr;  // [count], or null
    double height = 0;                  // used without clusters: merges of at most this height are made
    bool one_minus_cosine = false;      // cosine: 1 - cos as if it were a Euclidean distance, as hosts have it
};

/// Ward's clustering of each problem, by chains of nearest neighbors, with scipy's heights: of clusters A and B
///
///   h = sqrt(2 |A| |B| / (|A| + |B|)) |mean A - mean B|
///
/// of the rows, under cosine scaled to length 1. Decided in float64; ties go to the lowest row. labels [n] count from 0
/// in the order of first rows, found [count] the clusters; merges (null, or [n - problems with rows, 4]) are scipy's
/// linkage matrices, one below the other.
///
/// Cost      n^2 d / 2 multiply-adds and some 4 n^2 steps per problem.   Memory  8 n^2 bytes of the largest problem of
///           each thread.
///
/// Sources   Ward 1963; nearest-neighbor chains: Benzecri 1982, Murtagh 1983, Mullner 2011.
template <class T>
void ward_batch(const Context& ctx, const StoredRows& X, const int64_t* offsets, int64_t count, Metric metric,
                const WardCut& cut, int32_t* labels, int64_t* found, double* merges);

/// The k best documents of each query by late interaction, sum over the query's rows of the largest product with a row
/// of the document. Decided in float64 and summed in the order of rows; ties go to the lowest document. A query or
/// document without rows scores 0. scores and indices [queries, k], falling.
///
/// Cost      2 d flops per pair of rows in float32, and in float64 those of the documents that a bound leaves.
///
/// Source    Khattab & Zaharia 2020.
template <class T>
void maxsim(const Context& ctx, const StoredRows& Q, const int64_t* query_offsets, int64_t queries, const StoredRows& D,
            const int64_t* document_offsets, int64_t documents, int64_t k, double* scores, int64_t* indices);

}  // namespace latom
