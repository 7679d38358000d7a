// small_solve.h: many small systems with one Gram matrix: coordinate sweeps over x >= 0, and exact solutions.
//
//   each row x of X minimizes  x G x / 2 - p x,     G [k, k],  p a row of P
//
// The same bits for every number of threads and every kernel variant.
#pragma once

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// G [k, k] = V^T V in float64. Cost: n k^2 multiply-adds; memory: some k^2 numbers per chunk of rows.
template <class T>
void gram(const Context& ctx, const DenseView<T>& V, double* G);

/// sums [k] of the columns of V in float64, chunks of rows in order.
template <class T>
void column_sums(const Context& ctx, const DenseView<T>& V, double* sums);

/// out [n, k] = A B for A [n, w] with a small B [w, k], rounded to T first. `out` may be A where k = w.
template <class T>
void multiply_rows(const Context& ctx, const DenseView<T>& A, const double* B, int64_t k, T* out);

/// Y [n, w] -> Q with Q R = Y and orthonormal columns, by `passes` of Cholesky factors of Gram matrices: two are as
/// good as Householder's way (Yamamoto et al. 2015), one is enough between products. A column that depends on those
/// before it becomes 0. R [w, w] may be null. Cost: n w^2 multiply-adds for the Gram matrix and as many for the
/// product, a pass.
template <class T>
void orthonormalize(const Context& ctx, int64_t n, int64_t w, T* Y, int passes, double* R);

struct SweepOptions {
    double l1 = 0;         // taken from P
    int64_t sweeps = 1;    // per row, at most
    double inner_tol = 0;  // a row is swept until its violation is at most so much of what its first sweep met
};

struct SweepStats {
    double violation = 0;  // that first sweeps met, over all rows
    double cross = 0;      // sum of (P - l1) X afterwards, in float64
    double quadratic = 0;  // sum over rows of x G x afterwards; sweep_masked alone
};

/// Coordinate sweeps over the rows of X [n, k] (non-negative) with P [n, k] and G [k, k]; out [n, k] may be X or P.
/// Rows go in tiles of `128 / sizeof(T)`, which stop together. A coordinate with G[t][t] = 0 stays. Cost: 2 k^2 flops
/// per row and sweep. Rows of X and out are `stride` numbers apart, or k.
template <class T>
SweepStats coordinate_sweep(const Context& ctx, const double* G, const DenseView<T>& P, const SweepOptions& options,
                            const T* X, T* out, int64_t stride = 0);

/// Rows X [n, d] against components H [k, d] that stay.
template <class T>
struct RowProblems {
    DenseView<T> X, H, P;  // P [n, k] = X H^T
    const double* G;       // [k, k] = H H^T
    double curvature;      // at most the least eigenvalue of G
    SweepOptions sweeps;   // before rows are looked at one by one
};

/// W [n, k], from W: the minimum of ||x - w H||^2 over w >= 0 for each row x; returns the sum of these. A row that
/// sweeps have not solved, as convexity shows, is solved by an active set in float64 (Lawson & Hanson 1974). Cost:
/// sweeps, k multiply-adds per row and positive w; for rows that crawl |S|^3 / 6 and some |S|^2, S where w > 0.
template <class T>
double solve_rows(const Context& ctx, const RowProblems<T>& all, T* W);

/// Coordinate sweeps where each row has a Gram matrix of its own: G - sum_{j missing} F_j F_j^T, l2 within G. The
/// missing are listed, or those observed. Cost: k^2 multiply-adds per missing entry, or per observed one in rows that
/// miss more than half or see at most 4 k.
template <class T, class I>
SweepStats sweep_masked(const Context& ctx, const double* G, double l2, const DenseView<T>& F, const Pattern<I>& listed,
                        bool observed, const DenseView<T>& P, const SweepOptions& options, const T* X, T* out);

/// B [k, d] -> X with G X = B for a positive definite G [k, k], by one Cholesky factor. An unknown that depends on
/// those before it becomes 0. Cost: k^3 / 6 + k^2 d multiply-adds.
void solve_columns(const Context& ctx, const double* G, int64_t k, int64_t d, double* B);

/// For each column of H [k, d] the entries that are not 0, solved for without the others: G_SS h_S = b_S with G [k, k]
/// positive definite, b a column of B [k, d] and S the entries. Returns how many columns could not be solved for; they
/// stay. Cost: |S|^3 / 3 multiply-adds per column.
int64_t refit_supports(const Context& ctx, const double* G, const double* B, int64_t k, int64_t d, double* H);

}  // namespace latom
