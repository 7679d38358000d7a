// topk.h: the k best atoms of dense rows on a GPU, with the bits of include/latom/encode.h.
//
// Atoms and rows are rounded to float16 (pack.cuh), multiplied by panels of atoms on a stream of its own (product.h),
// and what may be among a row's best (select.cuh) is scored in float64 (decide.cuh). Rows with more candidates than
// there is room for, and calls with large k, score all atoms in float64 (exact.cuh). The host waits for nothing.
#pragma once

#include <cstdint>

#include "cuda/bounds.h"
#include "cuda/product.h"

namespace latom::cuda {

template <class T>
struct TopKCall {
    const T* X;          // [n, d]
    const T* W;          // [m, d]
    const double* bias;  // [m], or null; null unless measure is kDot
    std::int64_t n, d, m, k;
    Measure measure;
    int order;  // Rank of include/latom/encode.h
    T* score;   // [n, k]
    int* index;
    std::int64_t chunk;  // rows whose scores are held at a time
};

/// Bytes of device memory that a call needs beside its arrays; the same for all calls of these extents.
template <class T>
std::int64_t topk_bytes(std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t k, std::int64_t chunk);

/// Queues a call on the stream. workspace has topk_bytes, aligned to 256. Returns where on the device AtomBounds are,
/// which name the first row and atom that are not acceptable, and count rows of the exact path.
template <class T>
const AtomBounds* topk(const TopKCall<T>& call, void* workspace, ScreenProduct& product, cudaStream_t stream);

}  // namespace latom::cuda
