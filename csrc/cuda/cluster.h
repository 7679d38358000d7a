// cluster.h: what Lloyd's steps need on a GPU beside the search of the nearest center (topk.h), with the bits of
// include/latom/cluster.h: costs of rows, sums of clusters that follow their labels, and centers made of the sums.
//
// Sums are integers on the grid of core/bin_grid.h, so that blocks add rows in any order; a row that changes its label
// is taken from one cluster and added to another.
#pragma once

#include "cuda/atoms.h"

namespace latom::cuda {

/// core/bin_grid.h as kernels take it.
struct Grid {
    double magic[3], unit[3];
    int levels;
};
/// Grids of scaled rows no longer than `longest`, and of weights of at most `heaviest`.
struct Grids {
    Grid row, weight;
};
Grids grids_of(double longest, double heaviest);

/// Sums of m clusters of rows of d columns; all 0 before the first row.
struct ClusterSums {
    long long *sum, *weight;  // [m, levels, d], [m, 3]
    int *size, *touched;      // [m] rows; whether rows have come or gone since the last move
};

/// Some rows, their labels and what is known of them.
template <class T>
struct LabeledRows {
    const T* X;                    // [n, d]
    const double *norm2, *weight;  // [n]; weight null: all 1
    const int* label;              // [n]
    int* before;                   // [n] labels that the sums are of, -1: none; become those of `label`
    std::int64_t n, d;
};

std::int64_t sums_bytes(std::int64_t n, std::int64_t m);

/// Queues what these rows change; *changed on the device grows by how many have another label than before.
template <class T>
void follow_labels(const LabeledRows<T>& rows, std::int64_t m, bool cosine, const Grids& grids, const ClusterSums& to,
                   int* changed, void* workspace, cudaStream_t stream);

template <class T>
std::int64_t move_bytes(std::int64_t m, std::int64_t d);

/// Queues new centers [m, d] in place, of clusters that rows have come to or gone from; shift [m]: squared distances.
template <class T>
void move_centers(T* centers, std::int64_t m, std::int64_t d, bool cosine, const Grids& grids, const ClusterSums& sums,
                  double* shift, void* workspace, cudaStream_t stream);

/// Queues float64 scores of rows with their nearest atoms, as Lloyd::scores has them: the cosine, or minus the squared
/// distance. dot, label, norm2, score [n].
template <class T>
void score_nearest(const Atoms<T>& atoms, const double* dot, const int* label, const double* norm2, std::int64_t n,
                   double* score, cudaStream_t stream);

/// Queues the sums of weighted costs of each 4096 rows: out [ceil(n / 4096)]. weight null: all 1.
void sum_costs(const double* score, const double* weight, std::int64_t n, bool cosine, double* out,
               cudaStream_t stream);

}  // namespace latom::cuda
