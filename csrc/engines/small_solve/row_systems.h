// row_systems.h: the many systems of one half-step of alternating least squares, a tile of rows at a time.
//
//   (G + sum_p a_p v_p v_p^T + ridge I) x = b           with b = sum_p b_p v_p
//
// Systems of a tile are of one kind: solved in float64 by Cholesky, by G alone (all a are 0), by sweeps over x >= 0, or
// by conjugate gradients in T (Hestenes & Stiefel 1952), where there is a G in coordinates that make it the identity.
// A solver is one thread's; it is used again for all of its tiles.
#pragma once

#include <optional>

#include "engines/small_solve/whitening.h"
#include "latom/least_squares.h"

namespace latom {

/// What the solvers of all threads read.
template <class T>
struct SharedSystem {
    SharedSystem(const Context& ctx, const LeastSquares<T>& problem, int64_t n);

    const Context& ctx;
    const LeastSquares<T>& problem;
    std::optional<Whitening<T>> white;  // under conjugate gradients with a G
    GatheredRows<T> V;                  // in its coordinates
    AlignedVector<double> inverse;      // [k, width of float64] of G + ridge I, where that is the same for all rows
    double longest2 = 0;                // |v|^2 of the longest row of V, under conjugate gradients
};

template <class T, class I>
struct TileRow {
    WeightedEntries<T, I> entries;
    double ridge;
    T* x;             // [k]
    int64_t number;   // of the row in X
    bool unweighted;  // all a are 0
};

/// Rows that are solved side by side.
inline constexpr int64_t kTileRows = 8;

template <class T>
class RowSystemSolver {
public:
    explicit RowSystemSolver(const SharedSystem<T>& shared);

    /// Solves for rows [count], count <= kTileRows; adds to value and failed.
    template <class I>
    void solve(TileRow<T, I>* rows, int64_t count, LeastSquaresResult& result);

private:
    template <class I>
    void by_inverse(TileRow<T, I>* const* rows, int64_t count, LeastSquaresResult& result);
    template <class I>
    void by_cholesky(const TileRow<T, I>& row, LeastSquaresResult& result);
    template <class I>
    void by_gradients(TileRow<T, I>* const* rows, int64_t count, bool sketched, LeastSquaresResult& result);
    template <class I>
    void descend(TileRow<T, I>* const* rows, int64_t count, bool sketched, T* x, LeastSquaresResult& result);
    template <class I>
    void keep_local(TileRow<T, I>* const* rows, int64_t count);
    void multiply_shared(const double* ridges, int64_t count, const T* x, T* out);
    template <class I>
    void sample_gram(const TileRow<T, I>& row);
    double assemble(double ridge);
    bool factor(double ridge);
    double sweep(T* x);

    const SharedSystem<T>& s_;
    const int64_t k_, width_;
    GramScratch<T> scratch_;
    AlignedVector<double> sum_, A_, b_;      // [square, square], [k, k], [kTileRows, width]
    AlignedVector<double> wide_;             // [2 kTileRows, width]: of the inverse's product
    AlignedVector<T> local_;                 // rows of V that a tile's systems read in each step
    std::vector<int64_t> order_;             // 0, 1, ..., as int32 or int64
    AlignedVector<T> x_, r_, p_, q_, dots_;  // [kTileRows, width] each; dots as many as a row has entries
};

}  // namespace latom
