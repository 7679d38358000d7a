// csr_checks.h: whether arrays are those of a CSR matrix.
#pragma once

#include <string>

#include "latom/views.h"
#include "rows/acceptable.h"

namespace latom {

/// The lowest row of a CSR matrix whose columns are not strictly increasing, or n. indptr must have been checked.
template <class I>
int64_t first_uncanonical_row(const Context& ctx, const int64_t* indptr, const I* indices, int64_t n) {
    return first_row(ctx, n, [=](int64_t i) {
        for (int64_t p = indptr[i] + 1; p < indptr[i + 1]; ++p)
            if (!(indices[p - 1] < indices[p])) return true;
        return false;
    });
}

/// Throws unless indptr [size] rises from 0 to at most nnz.
inline void check_indptr(const Context& ctx, const std::string& name, const int64_t* indptr, int64_t size,
                         int64_t nnz) {
    const std::string remedy = "Rebuild the matrix, for example with scipy.sparse.csr_array(X.tocoo()).";
    if (size < 1) fail(ctx, name + ".indptr must hold one number more than rows", size, remedy);
    if (indptr[0] != 0) fail(ctx, name + ".indptr must start at 0", indptr[0], remedy);
    for (int64_t i = 0; i + 1 < size; ++i)
        if (indptr[i + 1] < indptr[i])
            fail(ctx, name + ".indptr must not decrease",
                 std::to_string(indptr[i + 1]) + " after " + std::to_string(indptr[i]) + " (a decrease at row " +
                     std::to_string(i) + ")",
                 remedy);
    if (indptr[size - 1] > nnz)
        fail(ctx, name + ".indptr must end within indices and data (" + std::to_string(nnz) + ")", indptr[size - 1],
             remedy);
}

/// Throws unless indptr [size] also is that of n rows.
inline void check_indptr(const Context& ctx, const std::string& name, const int64_t* indptr, int64_t size, int64_t nnz,
                         int64_t n) {
    if (n < 0 || size - 1 != n)  // n + 1 may be beyond int64_t
        fail(ctx, name + ".indptr must hold one number more than rows, of which there are " + std::to_string(n),
             std::to_string(size) + " numbers", "Rebuild the matrix from arrays that fit its shape.");
    check_indptr(ctx, name, indptr, size, nnz);
}

/// Throws unless columns, which rise in each row, lie in [0, d): then the ends tell.
template <class I>
void check_range(const Context& ctx, const std::string& name, const int64_t* indptr, const I* indices, int64_t n,
                 int64_t d) {
    const int64_t bad = first_row(ctx, n, [&](int64_t i) {
        const int64_t begin = indptr[i], end = indptr[i + 1];
        return begin < end && (indices[begin] < 0 || indices[end - 1] >= d);
    });
    if (bad == n) return;
    const int64_t first = indices[indptr[bad]], last = indices[indptr[bad + 1] - 1];
    fail(ctx, name + ".indices must lie in [0, " + std::to_string(d) + ")",
         std::to_string(first < 0 ? first : last) + ", a column out of range in row " + std::to_string(bad),
         "Rebuild the matrix with a larger shape.");
}

/// Throws unless the rows of a CSR matrix hold strictly increasing columns in [0, d). indptr must have been checked.
template <class I>
void check_columns(const Context& ctx, const std::string& name, const int64_t* indptr, const I* indices, int64_t n,
                   int64_t d) {
    const int64_t unsorted = first_uncanonical_row(ctx, indptr, indices, n);
    if (unsorted < n)
        fail(ctx, name + " must have sorted columns without duplicates in each row", "row " + std::to_string(unsorted),
             "Call " + name + ".sum_duplicates().");
    check_range(ctx, name, indptr, indices, n, d);
}

}  // namespace latom
