// views.h: the arrays that algorithms read. A view owns nothing and copies nothing.
//
// Letters, the same everywhere: n rows, d columns, m atoms (clusters), k kept a row, nnz stored entries.
// Extents are int64. Columns stay below 2^31 whatever the width of the index array.
#pragma once

#include <cstdint>

namespace latom {

using std::int32_t;
using std::int64_t;

/// Rows of a C-contiguous matrix [n, d]; `stride` counts elements from one row to the next.
template <class T>
struct DenseView {
    using value_type = T;
    const T* data;
    int64_t n, d, stride;

    const T* row(int64_t i) const { return data + i * stride; }
};

/// Rows of a CSR matrix [n, d] whose rows hold strictly increasing columns.
template <class T, class I>
struct CsrView {
    using value_type = T;
    using index_type = I;
    const int64_t* indptr;  // [n + 1]
    const I* indices;       // [nnz]
    const T* data;          // [nnz]
    int64_t n, d;

    int64_t nnz() const { return indptr[n]; }
    int64_t begin(int64_t i) const { return indptr[i]; }
    int64_t size(int64_t i) const { return indptr[i + 1] - indptr[i]; }
};

}  // namespace latom
