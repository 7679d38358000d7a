// least_squares.h: factors from observed entries: one weighted least-squares problem per row.
//
//   minimize  sum_p a_p <v_p, x>^2 - 2 b_p <v_p, x>  +  x G x  +  ridge_u |x|^2        over the stored entries p of row
//   u (G + sum_p a_p v_p v_p^T + ridge_u I) x_u = sum_p b_p v_p
//
// v_p is the row of V that the entry's column names; a and b follow from the stored number by a rule, so nothing is
// kept per entry. With V fixed rows are independent. The rows of X and those of its transpose take turns: that is
// alternating least squares (Hu, Koren & Volinsky 2008).
//
// The same bits for every number of threads and every kernel variant.
#pragma once

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// What a stored number c says, c times alpha under the first two; o is the offset of its column.
enum class EntryRule {
    kImplicit,  // a = |c| - 1, b = max(c, 0): unobserved entries have weight 1, by G = V^T V
    kWeighted,  // a = |c|, b = max(c, 0): weight on top of that of G
    kObserved,  // a = 1, b = c - o
};

enum class RowSolver {
    kAuto,         // as Cholesky, by G alone where all weights of a row are 0
    kCholesky,     // in float64
    kConjugate,    // conjugate gradients from where the row stands, G + the least ridge as preconditioner
    kSketch,       // without G: these with a sampled Gram matrix as preconditioner, in rows of more than 8 k entries
    kNonNegative,  // coordinate sweeps over x >= 0
};

template <class T>
struct LeastSquares {
    DenseView<T> V;       // [d, k]
    const double* G;      // [k, k], or null for none
    const double* ridge;  // [n]
    EntryRule rule;
    double alpha;
    const T* offsets;  // [d], or null
    RowSolver solver;
    int64_t steps;     // of conjugate gradients, or sweeps
    int64_t any_sign;  // under kNonNegative, the last so many coordinates may have any sign
};

struct LeastSquaresResult {
    double value =
        0;  // sum over rows of the minimum, ridge included, and of |b|: what a target of 1, or b, makes of x = 0
    int64_t failed = 0;  // rows whose matrix was not positive definite: solved with more on the diagonal
};

/// out [n, k]: where rows stand -> solutions. A diagonal gets at least 1e-9 (float64: 1e-14) of its mean, so that rows
/// of V that depend on each other do no harm. Cost per row of n_u entries: Cholesky n_u k^2 + k^3 / 3 flops; steps s of
/// conjugate gradients 3 k^2 + (4 s + 2) n_u k, and (s + 1) 2 k^2 where ridges differ. Memory: V and
/// G once more, and k^2 per thread.
template <class T, class I>
LeastSquaresResult solve_least_squares(const Context& ctx, const Rows<CsrView<T, I>>& X, const LeastSquares<T>& problem,
                                       T* out);

/// One block of coordinates [first, first + width) of all rows, from predictions e [nnz] = <v_p, x_u>, which follow
/// (iALS++: Rendle, Krichene, Zhang & Koren 2021). Cost: n_u width^2 + 4 n_u width per row. problem.solver is not read.
template <class T, class I>
LeastSquaresResult solve_block(const Context& ctx, const Rows<CsrView<T, I>>& X, const LeastSquares<T>& problem,
                               int64_t first, int64_t width, T* e, T* out);

/// e [nnz] = <v_p, x_u> for the stored entries. In T. Cost: 2 nnz k flops.
template <class T, class I>
void predict_stored(const Context& ctx, const Rows<CsrView<T, I>>& X, const DenseView<T>& V, const T* U, T* e);

/// out [count] = <U_i, V_j> at pairs (i, j) within range, in float64, rounded once.
template <class T>
void predict_pairs(const Context& ctx, const DenseView<T>& U, const DenseView<T>& V, const int64_t* rows,
                   const int64_t* columns, int64_t count, T* out);

}  // namespace latom
