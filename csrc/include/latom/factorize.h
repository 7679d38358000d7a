// factorize.h: what non-negative factorizations are made of.
//
//   ||X - W H||^2 / 2 + penalties,     W [n, k],  H [k, d] held as its transpose F [d, k]
//
// With F fixed, each row x of W minimises  x G x / 2 - p x  over x >= 0, with G = F^T F and p a row of P = X F: two
// products, then coordinate sweeps. l2 is added to the diagonal of G, l1 taken from P. The same the other way round,
// with X^T and W. So one half-step serves dense, sparse and masked X: they differ in P and G alone.
//
// Everything here gives the same bits for every number of threads and every kernel variant.
#pragma once

#include <string>
#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// G [k, k] = V^T V in float64. Cost: n k^2 multiply-adds; memory: some k^2 numbers a chunk of rows.
template <class T>
void gram(const Context& ctx, const DenseView<T>& V, double* G);

/// sums [k] of the columns of V in float64, chunks of rows in order.
template <class T>
void column_sums(const Context& ctx, const DenseView<T>& V, double* sums);

struct SweepOptions {
    double l1 = 0;       // taken from P
    int64_t sweeps = 1;  // of a row, at most
    double enough = 0;   // a row is swept until its violation is at most so much of what its first sweep met
};

struct SweepStats {
    double violation = 0;  // that first sweeps met, over all rows
    double cross = 0;      // sum of (P - l1) X afterwards, in float64
    double quadratic = 0;  // sum over rows of x G x afterwards; sweep_masked alone
};

/// Coordinate sweeps over the rows of X [n, k] (non-negative) with P [n, k] and G [k, k]; out [n, k] may be X or P.
/// Rows go in tiles of `128 / sizeof(T)`, which stop together. A coordinate with G[t][t] = 0 stays. Cost: 2 k^2 flops a
/// row and sweep.
template <class T>
SweepStats coordinate_sweep(const Context& ctx, const double* G, const DenseView<T>& P, const SweepOptions& options,
                            const T* X, T* out);

/// old <- max(0, X + beta (X - old)), `count` numbers.
template <class T>
void extrapolate(const Context& ctx, const T* X, double beta, int64_t count, T* old);

/// Which entries of each row a factor's rows belong to: CSR without values.
template <class I>
struct Pattern {
    const int64_t* indptr;  // [n + 1]
    const I* indices;
    int64_t n;
};

/// The same where each row has a Gram matrix of its own: G - sum_{j in missing} F_j F_j^T, l2 within G. Cost: k^2
/// multiply-adds a missing entry, or an observed one in rows that miss more than half or see at most 4 k.
template <class T, class I>
SweepStats sweep_masked(const Context& ctx, const double* G, double l2, const DenseView<T>& F,
                        const Pattern<I>& missing, const DenseView<T>& P, const SweepOptions& options, const T* X,
                        T* out);

/// Independent small problems, all [n, d] with k components.
template <class T>
struct SmallProblems {
    const T* X;   // [problems, n, d]
    bool shared;  // X is [n, d], the same for all
    int64_t problems, n, d, k;
    T *W, *F;         // [problems, n, k], [problems, d, k]: starts, then results
    double* loss;     // [problems]: ||X - W F^T||^2 / 2
    int64_t* n_iter;  // [problems]
};

/// Coordinate descent on each problem until its violation is at most tol times the first, or max_iter iterations; a
/// half-step sweeps as `sweeps` says. A problem is one thread's work, so that nothing is shared but X.
template <class T>
void factorize_small(const Context& ctx, const SmallProblems<T>& problems, const SweepOptions& sweeps, double tol,
                     int64_t max_iter);

}  // namespace latom
