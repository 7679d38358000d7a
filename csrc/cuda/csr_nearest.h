// csr_nearest.h: the nearest of sparse centers for rows in CSR on a GPU, with the bits of include/latom/cluster.h.
//
// Centers are rounded to float16 and laid out a slab at a time: some 2048 centers, column by column. A row's entries
// add up the columns that they name, in float32 (csr_nearest.cuh has the bound of what that can be off by), and what
// may be nearest is scored in float64 from the centers as they are stored. Rows with more of that than there is room
// for score all centers in float64. The host waits for nothing.
//
// Memory    what csr_nearest_bytes says: 4 bytes per row, 1048 more for each of `chunk` rows, and a slab of at most
//           `slab` bytes, or of 516 bytes per column where that is more. Centers: 2 bytes per entry, 28 per center.
// Cost      nnz multiply-adds per row and center that it looks at, without those of columns that 256 neighboring centers have nothing in, and 2 bytes
//           read for each, in runs of 512; a slab is made once per chunk. What is left is a few products per row.
#pragma once

#include <cstdint>

#include "cuda/bounds.h"
#include "cuda/simt.h"

namespace latom::cuda {

/// Rows in CSR: those of row i at [begin[i], begin[i + 1]), by rising column.
template <class T>
struct CsrRows {
    const long long* begin;
    const int* column;
    const T* value;
    const double* norm2;  // squared lengths, as kernels/dot.inl.h sums them over the entries
};

/// Centers as calls find them: measured, with the rule that they rank by, and in float16. No stored number is 0.
template <class T>
struct CsrCenters {
    CsrRows<T> rows;
    std::int64_t m, d;
    Measure measure;
    double *norm2, *factor, *bias;  // [m]; factor and bias null where the rule has none (score_rule.h)
    __half* half;                   // [entries]
    float* bias32;                  // [m], or null
    AtomBounds* bounds;
};

/// Bytes of device memory that prepared centers need beside their arrays.
template <class T>
std::int64_t csr_centers_bytes(std::int64_t m, std::int64_t entries);

/// Queues the preparation. rows.norm2 is not read. workspace has csr_centers_bytes, aligned to 256, and lives as long as
/// the centers are used.
template <class T>
CsrCenters<T> prepare_csr_centers(const CsrRows<T>& rows, std::int64_t m, std::int64_t d, std::int64_t entries,
                                  Measure measure, void* workspace, cudaStream_t stream);

/// A search of all rows among all centers; or of some rows among some.
template <class T>
struct CsrNearestCall {
    CsrCenters<T> centers;
    CsrRows<T> rows;
    std::int64_t n;    // rows that are searched for
    const int* order;  // [m] centers in the order in which rows look at them; null: as they stand
    const int *which,
        *width;               // [n] rows, and how many centers each looks at, falling; both null: all rows, all centers
    const int* host_width;    // [n] the same in memory of the host
    const int* known;         // [n] a center that counts besides, or -1; null: none
    const double* known_own;  // [n] the score with it
    int* label;               // [n]
    double *own, *score;      // [n] scores by the rule, and as Lloyd::scores has them; each may be null
    double* others;           // [n] what no other center that counts scores above, by the rule; or null
    std::int64_t chunk, slab;  // rows whose candidates are listed at a time; bytes of a slab
};

std::int64_t csr_nearest_bytes(std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t chunk, std::int64_t slab);

/// Queues a call on the stream. workspace has csr_nearest_bytes, aligned to 256. Returns where on the device RowCounts
/// are, of products in float64 and rows of the exact path.
template <class T>
const RowCounts* csr_nearest(const CsrNearestCall<T>& call, void* workspace, cudaStream_t stream);

}  // namespace latom::cuda
