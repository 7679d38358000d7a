// atoms.h: atoms on a GPU as calls find them: measured, with the rule that they rank by, and in float16 (pack.cuh).
#pragma once

#include <cstdint>

#include "cuda/bounds.h"
#include "cuda/simt.h"

namespace latom::cuda {

template <class T>
struct Atoms {
    const T* W;  // [m, d]
    std::int64_t m, d;
    Measure measure;
    double *norm2, *factor, *bias;  // [m]; factor and bias null where the rule has none (score_rule.h)
    __half* W16;                    // [m, d], both padded to multiples of 8
    float* bias32;                  // [m padded], or null
    AtomBounds* bounds;
};

/// Bytes of device memory that prepared atoms need beside W.
template <class T>
std::int64_t atoms_bytes(std::int64_t m, std::int64_t d);

/// Queues the preparation. bias [m] on the device, or null; null unless measure is kDot. workspace has atoms_bytes,
/// aligned to 256, and lives as long as the atoms are used.
template <class T>
Atoms<T> prepare_atoms(const T* W, std::int64_t m, std::int64_t d, Measure measure, double* bias, void* workspace,
                       cudaStream_t stream);

/// Queues the squared lengths [n] of rows X [n, d]; *bad: the first that is not acceptable, or a number beyond all.
template <class T>
void measure_lengths(const T* X, std::int64_t n, std::int64_t d, double* norm2, int* bad, cudaStream_t stream);

}  // namespace latom::cuda
