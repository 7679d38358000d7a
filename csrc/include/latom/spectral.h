// spectral.h: leading singular vectors, powers of sparse matrices times random ones, and factorizations by the dozen.
//
// What comes from CSR has the same bits for every number of threads and every kernel variant.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

struct SweepOptions;  // engines/small_solve/small_solve.h

/// X [n, d] as one who only multiplies sees it.
template <class T>
class LinearMap {
public:
    LinearMap(int64_t rows, int64_t columns) : n(rows), d(columns) {}
    virtual ~LinearMap() = default;
    /// out [n, F.d] = X F; rows of F and out lie side by side.
    virtual void times(const DenseView<T>& F, T* out) const = 0;
    /// out [d, W.d] = X^T W.
    virtual void transposed_times(const DenseView<T>& W, T* out) const = 0;

    const int64_t n, d;
};

struct SvdOptions {
    int64_t k;                            // at most min(n, d)
    int64_t oversamples;                  // columns beside these, at least
    int64_t iterations;                   // of the power method
    std::function<void(int64_t)> before;  // called with each of its number, from 0 on; may be empty
};

/// U [n, k], S [k] falling, V [d, k]: X is about U S V^T, by a randomized range finder (Halko, Martinsson & Tropp
/// 2011); from no `start`, U S is X V to rounding. Of each column of V the largest magnitude is positive; vectors of
/// singular values that are 0 are 0. Cost: 2 + 2 iterations products (3 without `start`) with k + oversamples columns,
/// rounded up to whole lines of 64 bytes; a third less where blocks pay (krylov_range.h). Memory: that many columns of
/// n + d rows, twice. start [d, k + oversamples, or as many as X has rows or columns]: the random matrix; null: normal
/// numbers of ctx.seed.
template <class T>
void randomized_svd(const Context& ctx, const LinearMap<T>& X, const SvdOptions& options, const T* start, T* U,
                    double* S, T* V);

/// A random matrix R [n, width] that is made again wherever it is needed.
struct RandomProjection {
    int64_t width;
    double density;        // of entries +-1 / sqrt(density width); 0: normal ones of variance 1 / width
    const double* factor;  // [n] of its rows; null: 1
};

/// U_0 = R, U_q = M U_(q-1), M = A or, with `transition`, rows of A divided by their sums.
struct PowerOptions {
    std::vector<double> weights;  // of U_1, U_2, ...
    bool transition, normalize;   // each U_q is added with rows of length 1
    bool concatenate;             // beside each other, not added; U_q times its weight
    bool from_start;              // weights begin with U_0
    double *mean, *scale;         // of each column of what comes out, by which it is standardized; null: it is not
};

/// out [n, width], or [n, weights width], for square A. Of a sparse R only the entries are made, else it stands in the
/// buffer that U_2 takes. Cost: 2 nnz width flops per power. Memory: two n x width.
template <class T, class I>
void projected_powers(const Context& ctx, const Rows<CsrView<T, I>>& A, const RandomProjection& R,
                      const PowerOptions& options, T* out);

/// Many factorizations of one X >= 0 [n, d], each of X with its entries multiplied by uniform numbers of
/// [1 - noise, 1 + noise] and from a random start of its own, or from H as given.
struct Replicates {
    std::vector<int64_t> k;       // of each: components
    std::vector<int64_t> stream;  // which random numbers it takes: equal ones multiply X by the same numbers
    std::vector<int64_t> start;   // which of its stream's starts
    bool given;                   // results hold H to start from, with W = 0
    double noise, tol, mean;      // mean: of X, which starts are scaled to
    int64_t max_iter;
};

/// Where a replicate is written.
template <class T>
struct ReplicateResult {
    T* H;         // [k, d]
    double loss;  // ||X' - W H||^2 / 2 with X' as multiplied
    int64_t n_iter;
};

/// Coordinate descent as factorize_small does it. Replicates with the same numbers advance together, some 64 components
/// of them as one thread's work; all share the pattern of a sparse X. Cost of an iteration: 4 nnz k flops. Memory:
/// twice the numbers of X a thread.
template <class View>
void factorize_replicates(const Context& ctx, const Rows<View>& X, const Replicates& replicates,
                          const SweepOptions& sweeps, std::vector<ReplicateResult<typename View::value_type>>& out);

/// W [n, k]: each row minimizes sum_j c_ij (x_ij - w F_j)^2 + l2 |w|^2 over its stored entries j, c_ij = weights [nnz].
/// A row without entries becomes 0. Cost: k^2 multiply-adds an entry and k^3 / 6 per row, in float64.
template <class T, class I>
void weighted_rows(const Context& ctx, const CsrView<T, I>& X, const T* weights, const DenseView<T>& F, double l2,
                   T* W);

}  // namespace latom
