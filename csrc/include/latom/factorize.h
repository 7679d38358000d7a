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
struct SweepOptions;  // engines/small_solve/small_solve.h

/// out [n, k] = X F for a whole CSR X [n, d] and F [d, k]. In T, entry by entry in stored order. A product that is not
/// finite is refused. Cost: 2 nnz k flops.
template <class T, class I>
void multiply(const Context& ctx, const Rows<CsrView<T, I>>& X, const DenseView<T>& F, T* out);
/// out [d, k] = X^T W for W [n, k].
template <class T>
void multiply_transposed(const Context& ctx, const Transposed<T>& X, const DenseView<T>& W, T* out);

/// old <- max(0, X + beta (X - old)), `count` numbers.
template <class T>
void extrapolate(const Context& ctx, const T* X, double beta, int64_t count, T* old);

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

/// Extrapolated coordinate descent on each problem until its violation is at most tol times the first, max_iter
/// iterations, or a hundred that together gain no more than rounding; a half-step sweeps as `sweeps` says. A problem is
/// one thread's work, so that nothing is shared but X.
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

}  // namespace latom
