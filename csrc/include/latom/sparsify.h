// sparsify.h: the largest entries of rows or columns, products with what is left of them, and least squares for it.
//
// The same bits for every number of threads and every kernel variant.
#pragma once

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

enum class Series { kRow, kColumn };

/// Sets to 0, in X [n, d], what is below the k-th largest magnitude of its row or column; what equals it stays. kept
/// [n] or [d] counts what is not 0 afterwards. k within [1, d] or [1, n]; X without NaN.
/// Cost: some 32 (float64: 64) comparisons a number.
template <class T>
void keep_largest(const Context& ctx, T* X, int64_t n, int64_t d, int64_t k, Series series, int64_t* kept);

/// P [n, m] = X F^T for dense rows X [n, d] and CSR atoms F [m, d] with indices within [0, d).
/// In T, entry by entry in stored order. Cost: 2 nnz n flops; X is read once.
template <class T, class I>
void multiply_sparse(const Context& ctx, const DenseView<T>& X, const CsrView<T, I>& F, T* P);

/// For each column of H [k, d] the entries that are not 0, solved for without the others: G_SS h_S = b_S with G [k, k]
/// positive definite, b a column of B [k, d] and S the entries. Returns how many columns could not be solved for; they
/// stay. Cost: |S|^3 / 3 multiply-adds a column.
int64_t refit_supports(const Context& ctx, const double* G, const double* B, int64_t k, int64_t d, double* H);

}  // namespace latom
