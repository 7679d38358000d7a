// gather.h: rows from codes on a GPU, and the parts of their gradients, with the bits of include/latom/encode.h and
// include/latom/train.h.
//
//   out_i = b + sum_p value_p W[index_p]        entry by entry in stored order, b first, in T
//   out_p = <rows_i, W[index_p]>                float64 sums, rounded to T
//   out_j = sum of value_p rows_i               over the entries at latent j, in the order of rows; runs of 256 apart
#pragma once

#include <cstdint>

#include "cuda/simt.h"

namespace latom::cuda {

/// Codes of n rows: entries [begin[i], begin[i + 1]) of row i; where begin is null, k entries per row.
template <class T, class I>
struct DeviceCodes {
    const long long* begin;
    const I* index;
    const T* value;
    std::int64_t n, k;
};

/// The first row that is no result, or a number beyond all: one that has an index outside of the atoms, and one that
/// does not come out finite.
struct GatherReport {
    int stray, bad;
};

/// W [m, d]; bias [d] or null; out [n, d]. report lies on the device. A row with a stray index is not summed.
template <class T, class I>
void gather_rows(const DeviceCodes<T, I>& codes, const T* W, std::int64_t m, std::int64_t d, const T* bias, T* out,
                 GatherReport* report, cudaStream_t stream);

/// index [n, k] in [0, m), which is not looked at again; out [n, k].
template <class T, class I>
void products_at(const T* rows, const I* index, std::int64_t n, std::int64_t k, const T* W, std::int64_t d, T* out,
                 cudaStream_t stream);

/// index [n, k] in [0, m); rows [n, d]; out [m, d].
std::int64_t latents_bytes(std::int64_t n, std::int64_t k, std::int64_t m);
template <class T, class I>
void gather_by_latent(const I* index, const T* value, std::int64_t n, std::int64_t k, const T* rows, std::int64_t d,
                      std::int64_t m, T* out, void* workspace, cudaStream_t stream);

/// out [m] = bias - <W, center>, in float64; bias [m] or null.
template <class T>
void fold_center(const T* W, std::int64_t m, std::int64_t d, const double* center, const double* bias, double* out,
                 cudaStream_t stream);

}  // namespace latom::cuda
