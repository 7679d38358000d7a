// above.h: all atoms of dense rows that score above a threshold, on a GPU, with the bits of include/latom/encode.h.
//
// Rows go through the screen of topk.h, whose floor is the threshold; what reaches it is scored in float64. How many
// that is must be known before there is room for it: count_above finds it, write_above writes it in compressed rows.
// Both have the same call and workspace. Rows with more candidates than there is room for score all atoms, twice.
#pragma once

#include "cuda/atoms.h"
#include "cuda/product.h"

namespace latom::cuda {

template <class T>
struct AboveCall {
    Atoms<T> atoms;
    const T* X;               // [n, d], of one chunk
    const double* threshold;  // [n], no NaN
    std::int64_t n;
};

struct AboveFound {
    const RowCounts* counts;
    const long long* begin;  // [n + 1] where the matches of each row begin
};

/// Bytes of device memory that a call needs beside its arrays.
template <class T>
std::int64_t above_bytes(std::int64_t n, std::int64_t d, std::int64_t m);

/// Queues the search; what it returns lies on the device.
template <class T>
AboveFound count_above(const AboveCall<T>& call, void* workspace, ScreenProduct& product, cudaStream_t stream);

/// Queues the writing of begin[n] scores and atoms, which rise within a row.
template <class T>
void write_above(const AboveCall<T>& call, void* workspace, T* score, int* atom, cudaStream_t stream);

/// Entries of codes [n, k] that are not 0 in compressed rows, atoms rising: bytes, then begin [n + 1], then the rest.
std::int64_t codes_bytes(std::int64_t n);
template <class T>
const long long* count_codes(const T* value, std::int64_t n, std::int64_t k, void* workspace, cudaStream_t stream);
template <class T>
void write_codes(const T* value, const int* atom, std::int64_t n, std::int64_t k, void* workspace, T* out,
                 int* out_atom, cudaStream_t stream);

}  // namespace latom::cuda
