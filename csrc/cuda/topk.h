// topk.h: the k best atoms of dense rows on a GPU, with the bits of include/latom/encode.h.
//
// Atoms and rows are rounded to float16 (pack.cuh), multiplied by panels of atoms on a stream of its own (product.h),
// and what may be among a row's best (select.cuh) is scored in float64 (decide.cuh). Rows with more candidates than
// there is room for, and calls with large k, score all atoms in float64 (exact.cuh). The host waits for nothing.
#pragma once

#include <cstdint>

#include "cuda/atoms.h"
#include "cuda/product.h"

namespace latom::cuda {

template <class T>
struct TopKCall {
    Atoms<T> atoms;
    const T* X;     // [n, d]
    double* norm2;  // [n] squared lengths of the rows, or null: they are kept in the workspace
    bool known;     // norm2 has them, and all are acceptable; else they are written
    std::int64_t n, k;
    int order;           // Rank of include/latom/encode.h
    T* score;            // [n, k], or null
    int* index;          // [n, k]
    double* dot;         // [n, k] products of rows with the atoms of index, as kernels/dot.inl.h has them; or null
    std::int64_t chunk;  // rows whose scores are held at a time
};

/// Bytes of device memory that a call needs beside its arrays; the same for all calls of these extents.
template <class T>
std::int64_t topk_bytes(std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t k, std::int64_t chunk);

/// Queues a call on the stream. workspace has topk_bytes, aligned to 256. Returns where on the device RowCounts are,
/// which name the first row that is not acceptable, and count rows of the exact path.
template <class T>
const RowCounts* topk(const TopKCall<T>& call, void* workspace, ScreenProduct& product, cudaStream_t stream);

}  // namespace latom::cuda
