// multiply_sparse.h: dense rows times sparse atoms.
#pragma once

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// P [n, m] = X F^T for dense rows X [n, d] and CSR atoms F [m, d] with indices within [0, d).
/// In T, entry by entry in stored order. Cost: 2 nnz n flops; X is read once.
template <class T, class I>
void multiply_sparse(const Context& ctx, const DenseView<T>& X, const CsrView<T, I>& F, T* P);

}  // namespace latom
