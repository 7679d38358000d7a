// transposed_product.h: X^T W for CSR X [n, d], W [n, k].
//
//   out_j = sum_i X[i][j] W_i        over the stored entries, i rising within a block of rows; then the blocks' sums
//
// In T, also so that a column of very many entries keeps its digits; products are rounded before they are added. The
// bits are the same for every number of threads and every kernel variant.
#pragma once

#include "rows/transposed.h"

namespace latom {

/// out [d, k]. Cost: 2 nnz k flops. Memory: sums of blocks, 32 MiB or those of one block.
template <class T>
void transposed_product(const Context& ctx, const Transposed<T>& X, const DenseView<T>& W, T* out);

}  // namespace latom
