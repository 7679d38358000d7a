// krylov_range.h: a range for the leading right singular vectors from narrow blocks (Musco & Musco 2015).
//
//   Q_1 random,  Q_(j+1) R = X^T X Q_j minus its part in Q_1 ... Q_j,   T = Q^T X^T X Q
//
// What the blocks span holds every power of X^T X up to their number, so that fewer products find what power iterations
// of the whole width find; and a narrow block stays in the cache while entries gather its rows. On arXiv's abstracts
// (140 256 rows, 8.5 million entries) 9 blocks of 32 take 0.8 s of a thread, and 5 iterations of 112 columns 2.6 s,
// with larger errors of the singular values.
#pragma once

#include "latom/spectral.h"

namespace latom {

/// Whether a range of `width` columns for so many power iterations is wide enough, and X large enough, for blocks.
bool blocks_pay(int64_t n, int64_t d, int64_t width, int64_t iterations);

/// out [X.d, width] = X^T X times the leading `width` Ritz vectors, each divided by its value. Returns the share of the
/// largest value that the last one has: where rounding is larger, vectors of small singular values are missed.
/// Memory: X.d rows of three times `width` or so, and a block of X.n rows.
template <class T>
double krylov_range(const Context& ctx, const LinearMap<T>& X, int64_t iterations, int64_t width, T* out);

}  // namespace latom
