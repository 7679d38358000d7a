// factorize.h: what non-negative factorizations are made of.
//
//   ||X - W H||^2 / 2 + penalties,     W [n, k],  H [k, d] held as its transpose F [d, k]
//
// With F fixed, each row x of W minimizes  x G x / 2 - p x  over x >= 0, with G = F^T F and p a row of P = X F: two
// products, then coordinate sweeps. l2 is added to the diagonal of G, l1 taken from P. The same the other way round,
// with X^T and W. So one half-step serves dense, sparse and masked X: they differ in P and G alone.
//
// Everything here gives the same bits for every number of threads and every kernel variant.
#pragma once

#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// CSR rows by columns (rows/transposed.h).
template <class T>
class Transposed;

/// out [n, k] = X F for a whole CSR X [n, d] and F [d, k]. In T, entry by entry in stored order. A product that is not
/// finite is refused. Cost: 2 nnz k flops.
template <class T, class I>
void multiply(const Context& ctx, const Rows<CsrView<T, I>>& X, const DenseView<T>& F, T* out);
/// out [d, k] = X^T W for W [n, k].
template <class T>
void multiply_transposed(const Context& ctx, const Transposed<T>& X, const DenseView<T>& W, T* out);

/// G [k, k] = V^T V in float64. Cost: n k^2 multiply-adds; memory: some k^2 numbers a chunk of rows.
template <class T>
void gram(const Context& ctx, const DenseView<T>& V, double* G);

/// sums [k] of the columns of V in float64, chunks of rows in order.
template <class T>
void column_sums(const Context& ctx, const DenseView<T>& V, double* sums);

struct SweepOptions {
    double l1 = 0;         // taken from P
    int64_t sweeps = 1;    // of a row, at most
    double inner_tol = 0;  // a row is swept until its violation is at most so much of what its first sweep met
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

/// The multiplicative step for the generalized Kullback-Leibler divergence, without a dense W H.
///
///   D(X, Y) = sum_ij X_ij log(X_ij / Y_ij) - X_ij + Y_ij,     Y = A F^T        (Lee & Seung 2001)
///   A_ic <- A_ic * ( sum_j X_ij / Y_ij F_jc ) / ( sum_j F_jc + l1 + l2 A_ic )
///
/// The sum over j runs over stored entries, where alone Y is needed. Y below 2^-23 counts as that; so does a
/// denominator of 0. In T; the same bits for every number of threads and every kernel variant.
template <class T>
struct KullbackStep {
    const T* A;          // [rows, k]
    DenseView<T> F;      // [columns, k]
    const double* sums;  // [k]: of the columns of F
    double l1, l2;
    T* out;  // [rows, k]: A afterwards
};

/// Returns sum X_ij log Y_ij over the stored entries, with A as it was. Cost: 4 nnz k flops and nnz logarithms.
template <class T, class I>
double kullback_step(const Context& ctx, const Rows<CsrView<T, I>>& X, const KullbackStep<T>& step);
/// The same for X^T: A belongs to the columns of X, F to its rows.
template <class T>
double kullback_step(const Context& ctx, const Transposed<T>& X, const KullbackStep<T>& step);

enum class Axis { kRow, kColumn };

/// Sets to 0, in X [n, d], what is below the k-th largest magnitude of its row or column; what equals it stays. kept
/// [n] or [d] counts what is not 0 afterwards. k within [1, d] or [1, n]; X without NaN.
/// Cost: some 32 (float64: 64) comparisons per number.
template <class T>
void keep_largest(const Context& ctx, T* X, int64_t n, int64_t d, int64_t k, Axis axis, int64_t* kept);

/// P [n, m] = X F^T for dense rows X [n, d] and CSR atoms F [m, d] with indices within [0, d).
/// In T, entry by entry in stored order. Cost: 2 nnz n flops; X is read once.
template <class T, class I>
void multiply_sparse(const Context& ctx, const DenseView<T>& X, const CsrView<T, I>& F, T* P);

/// For each column of H [k, d] the entries that are not 0, solved for without the others: G_SS h_S = b_S with G [k, k]
/// positive definite, b a column of B [k, d] and S the entries. Returns how many columns could not be solved for; they
/// stay. Cost: |S|^3 / 3 multiply-adds per column.
int64_t refit_supports(const Context& ctx, const double* G, const double* B, int64_t k, int64_t d, double* H);

}  // namespace latom
