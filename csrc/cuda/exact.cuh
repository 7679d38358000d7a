// exact.cuh: rows that all atoms are scored for in float64: too many were within the bound of the k-th, or k is large.
//
// A block takes a row at a time and keeps the scores [m] of one. Two bisections find what is kept: the k-th largest
// key, and among the atoms that have exactly this key the place up to which the lowest are taken.
//
// Cost      m d multiply-adds per row, and some 100 reads of its m scores.
#pragma once

#include "cuda/decide.cuh"

namespace latom::cuda {

struct ExactScratch {
    double* score;  // [blocks, m]
    double* value;  // [blocks, k]
    int* atom;      // [blocks, k]
};

LATOM_KERNEL void __launch_bounds__(kThreads) list_all_rows(int n, int* overflowed, RowCounts* counts) {
    const int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (row == 0) counts->overflowed = n;
    if (row < n) overflowed[row] = row;
}

__device__ __forceinline__ unsigned long long ordered(double v) {
    const auto u = static_cast<unsigned long long>(__double_as_longlong(v + 0.0));  // one zero
    return u >> 63 ? ~u : u | 1ull << 63;
}
// The sum of what all threads of the block hold.
__device__ __forceinline__ int block_sum(int own) {
    __shared__ int total;
    if (threadIdx.x == 0) total = 0;
    __syncthreads();
    const auto warp = __reduce_add_sync(kAllLanes, static_cast<unsigned>(own));
    if (threadIdx.x % 32 == 0) atomicAdd(&total, static_cast<int>(warp));
    __syncthreads();
    const int sum = total;
    __syncthreads();  // before it is set to 0 again
    return sum;
}
template <class Holds>
__device__ __forceinline__ int count_atoms(int m, Holds holds) {
    int own = 0;
    for (int j = static_cast<int>(threadIdx.x); j < m; j += static_cast<int>(blockDim.x)) own += holds(j);
    return block_sum(own);
}

// Scores [m] by the rule of row i with all atoms, by all threads of a block, which may read them then.
template <class T>
__device__ __forceinline__ void score_all(const Decision<T>& to, int i, double* score) {
    const int t = static_cast<int>(threadIdx.x), lane = t % kTeam, teams = static_cast<int>(blockDim.x) / kTeam;
    const T* x = to.X + static_cast<long long>(i) * to.d;
    for (int base = 0; base < to.m; base += teams) {
        const int j = base + t / kTeam;
        const bool held = j < to.m;
        const double dot = dot8(x, to.W + static_cast<long long>(held ? j : 0) * to.d, to.d, lane, held);
        if (held && lane == 0) score[j] = ruled(to, dot, j);
    }
    __syncthreads();
}

template <class T>
__device__ __forceinline__ void settle_row(const Decision<T>& to, int i, double* score, double* value, int* atom) {
    const int t = static_cast<int>(threadIdx.x);
    score_all(to, i, score);
    const auto key = [&](int j) { return ordered(key_of(to.order, score[j])); };
    unsigned long long kth = 0;
    for (int bit = 63; bit >= 0; --bit) {
        const unsigned long long want = kth | 1ull << bit;
        if (count_atoms(to.m, [&](int j) { return key(j) >= want; }) >= to.k) kth = want;
    }
    const int ties = to.k - count_atoms(to.m, [&](int j) { return key(j) > kth; });
    int end = to.m;  // ties below it are taken: the least number with enough of them
    for (int low = 0; low < end;) {
        const int middle = low + (end - low) / 2;
        if (count_atoms(middle, [&](int j) { return key(j) == kth; }) >= ties) end = middle;
        else low = middle + 1;
    }
    __shared__ int filled;
    if (t == 0) filled = 0;
    __syncthreads();
    for (int j = t; j < to.m; j += static_cast<int>(blockDim.x))
        if (key(j) > kth || (key(j) == kth && j < end)) {
            const int place = atomicAdd(&filled, 1);
            value[place] = score[j];
            atom[place] = j;
        }
    __syncthreads();
    write_ranked(to, i, value, atom, to.k);
    write_dots(to, i);
    __syncthreads();  // before the next row's scores
}

template <class T>
__global__ void __launch_bounds__(kThreads) settle_rows(Decision<T> to, const int* overflowed, ExactScratch scratch) {
    const long long block = blockIdx.x;
    for (int r = static_cast<int>(blockIdx.x); r < to.counts->overflowed; r += static_cast<int>(gridDim.x)) {
        if (threadIdx.x == 0) atomicAdd(&to.counts->scored, static_cast<unsigned long long>(to.m));
        settle_row(to, overflowed[r], scratch.score + block * to.m, scratch.value + block * to.k,
                   scratch.atom + block * to.k);
    }
}

}  // namespace latom::cuda
