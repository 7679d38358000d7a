// gather.cuh: sums of gathered rows: a thread has a column, and goes through entries in the order that the CPU has.
#pragma once

#include "cuda/gather.h"
#include "cuda/sort.cuh"

namespace latom::cuda {

constexpr int kRun = 256;  // entries of a latent that are summed apart (engines/gather/latent_lists.h)

__device__ __forceinline__ float add_scaled(float sum, float x, float value) {
    return __fadd_rn(sum, __fmul_rn(x, value));
}
__device__ __forceinline__ double add_scaled(double sum, double x, double value) {
    return __dadd_rn(sum, __dmul_rn(x, value));
}
template <class T>
__device__ __forceinline__ bool finite(T v) {
    return v - v == T{0};
}

// One block per row.
template <class T, class I>
__global__ void __launch_bounds__(kThreads)
    gather_each(DeviceCodes<T, I> codes, const T* W, int m, int d, const T* bias, T* out, GatherReport* report) {
    const int i = static_cast<int>(blockIdx.x), t = static_cast<int>(threadIdx.x);
    const long long from = codes.begin != nullptr ? codes.begin[i] : i * static_cast<long long>(codes.k);
    const long long to = codes.begin != nullptr ? codes.begin[i + 1] : from + codes.k;
    int stray = 0;
    for (long long p = from + t; p < to; p += kThreads) stray |= codes.index[p] < 0 || codes.index[p] >= m;
    if (__syncthreads_count(stray) > 0) {
        if (t == 0) atomicMin(&report->stray, i);
        return;
    }
    bool fine = true;
    for (int c = t; c < d; c += kThreads) {
        T sum = bias != nullptr ? bias[c] : T{0};
        for (long long p = from; p < to; ++p)
            sum = add_scaled(sum, W[static_cast<long long>(codes.index[p]) * d + c], codes.value[p]);
        out[static_cast<long long>(i) * d + c] = sum;
        fine = fine && finite(sum);
    }
    if (!fine) atomicMin(&report->bad, i);
}

// A team per entry.
template <class T, class I>
__global__ void __launch_bounds__(kPackThreads)
    dots_at(const T* rows, const I* index, long long entries, int k, const T* W, int d, T* out) {
    const int t = static_cast<int>(threadIdx.x), lane = t % kTeam;
    const long long p = static_cast<long long>(blockIdx.x) * kPackRows + t / kTeam;
    const bool held = p < entries;
    const double dot =
        dot8(W + (held ? static_cast<long long>(index[p]) * d : 0), rows + (held ? p / k * d : 0), d, lane, held);
    if (held && lane == 0) out[p] = static_cast<T>(dot);
}

// One block per latent. entry: the entries by latent, [k] of a row; begin [m + 1].
template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_latents(const int* entry, const int* begin, const T* value, int k, const T* rows, int d, T* out) {
    const int j = static_cast<int>(blockIdx.x), from = begin[j], to = begin[j + 1];
    for (int c = static_cast<int>(threadIdx.x); c < d; c += kThreads) {
        T sum = T{0};
        for (int run = from; run < to; run += kRun) {
            T partial = T{0};
            for (int s = run; s < to && s < run + kRun; ++s) {
                const int p = entry[s];
                partial = add_scaled(partial, rows[static_cast<long long>(p / k) * d + c], value[p]);
            }
            sum += partial;
        }
        out[static_cast<long long>(j) * d + c] = sum;
    }
}

// A team per atom.
template <class T>
__global__ void __launch_bounds__(kPackThreads)
    fold_each(const T* W, int m, int d, const double* center, const double* bias, double* out) {
    const int t = static_cast<int>(threadIdx.x), lane = t % kTeam;
    const int j = static_cast<int>(blockIdx.x) * kPackRows + t / kTeam;
    const bool held = j < m;
    const double dot = dot8(W + static_cast<long long>(held ? j : 0) * d, center, d, lane, held);
    if (held && lane == 0) out[j] = __dadd_rn(bias != nullptr ? bias[j] : 0.0, -dot);
}

}  // namespace latom::cuda
