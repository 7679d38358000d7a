// decode.h: rows from codes and atoms.
//
//   out_i = b + sum_p value_p W[index_p]        over the stored entries p of row i
//
// In T, entry by entry in stored order, b first; products rounded before they are added. The same bits for every
// number of threads and every kernel variant.
#pragma once

#include <string>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// Codes [n, m]: a row's entries in any order, an atom more than once if need be.
template <class T, class I>
struct Codes {
    const int64_t* indptr;  // [n + 1]
    const I* indices;       // [nnz]
    const T* values;        // [nnz]
    int64_t n;
};

/// bias [d] may be null; out [n, d] is written. Indices that are not in [0, m), and rows that do not come out
/// finite, are refused. Cost: 2 nnz d flops.
template <class T, class I>
void decode(const Context& ctx, const Codes<T, I>& codes, const DenseView<T>& atoms, const T* bias, T* out,
            const std::string& function);

/// The same sums without a look at the indices. Returns the lowest row that is not finite, or n.
template <class T, class I>
int64_t gather_rows(const Context& ctx, const Codes<T, I>& codes, const DenseView<T>& atoms, const T* bias, T* out);

}  // namespace latom
