// gather_rows.h: weighted sums of gathered rows: the rows of codes times atoms.
//
//   out_i = b + sum_p value_p W[index_p]        over the stored entries p of row i
//
// In T, entry by entry in stored order, b first; products are rounded before they are added. The bits are the same for
// every number of threads and every kernel variant.
#pragma once

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// bias [d] may be null; out [n, d]; the indices must lie within the atoms. Returns the lowest row that does not come
/// out finite, or n. Cost: 2 nnz d flops.
template <class T, class I>
int64_t gather_rows(const Context& ctx, const Codes<T, I>& codes, const DenseView<T>& atoms, const T* bias, T* out);

}  // namespace latom
