// views.h: the arrays that algorithms read. A view owns nothing and copies nothing.
//
// Letters are the same everywhere: n rows, d columns, m atoms (clusters, factors, latents), k kept per row, nnz stored
// entries. Extents are int64. Columns stay below 2^31 whatever the width of the index array.
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

/// Rows that have been checked and measured (rows/rows.h): what algorithms take.
template <class View>
class Rows;

/// How the numbers of dense rows are stored. Half precision is widened one block at a time.
enum class Storage { kNative, kFloat16, kBFloat16 };

/// Dense rows [n, d], C-contiguous: T, or 16-bit numbers where T is float.
struct StoredRows {
    const void* data;
    int64_t n, d;
    Storage storage = Storage::kNative;
};

/// Codes [n, m]: the entries of a row stand in any order, and an atom may occur more than once.
template <class T, class I>
struct Codes {
    const int64_t* indptr;  // [n + 1]
    const I* indices;       // [nnz]
    const T* values;        // [nnz]
    int64_t n;
};

/// Which columns each of n rows refers to: CSR without values.
template <class I>
struct Pattern {
    const int64_t* indptr;  // [n + 1]
    const I* indices;
    int64_t n;
};

/// How nearness is measured by clustering and seeding.
enum class Metric { kCosine, kEuclidean };

}  // namespace latom
