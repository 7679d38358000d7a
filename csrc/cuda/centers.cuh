// centers.cuh: centers from the sums of their clusters, as algorithms/cluster/center_step.h makes them; costs of rows.
#pragma once

#include "cuda/decide.cuh"
#include "cuda/sums.cuh"

namespace latom::cuda {

constexpr int kCostRows = 4096;  // of a block of lloyd.cpp's sums

// The float64 nearest to the sum of integers, `step` apart (kernels/binned_values.inl.h).
__device__ __forceinline__ double binned_value(const long long* sum, long long step, const Grid& grid) {
    long long part[3] = {0, 0, 0};
    LATOM_UNROLL
    for (int l = 0; l < 3; ++l)
        if (l < grid.levels) part[l] = sum[l * step];
    double total = 0;
    LATOM_UNROLL
    for (int l = 2; l > 0; --l) {
        if (l >= grid.levels) continue;
        const long long up = (part[l] + (1ll << 31)) >> 32;
        part[l - 1] += up;
        total = __dadd_rn(total, __dmul_rn(static_cast<double>(part[l] - (up << 32)), grid.unit[l]));
    }
    const long long high = (part[0] + (1ll << 31)) >> 32;
    total = __dadd_rn(total, __dmul_rn(static_cast<double>(part[0] - (high << 32)), grid.unit[0]));
    return __dadd_rn(total, __dmul_rn(__dmul_rn(static_cast<double>(high), 4294967296.0), grid.unit[0]));
}

// The product of two rows for all threads of a block, by its first warp.
template <class T>
__device__ __forceinline__ double block_dot(const T* x, const T* y, int d) {
    __shared__ double dot;
    __syncthreads();  // what is read is written, and an earlier product has been read
    if (threadIdx.x < 32) {
        const double own = dot8(x, y, d, static_cast<int>(threadIdx.x) % kTeam, true);
        if (threadIdx.x == 0) dot = own;
    }
    __syncthreads();
    return dot;
}

template <class T>
struct MoveScratch {
    double* sum;  // [blocks, d]
    T* next;      // [blocks, d]
};

// A block takes a center at a time. The products of the old with the new are added one by one, as the CPU does.
template <class T>
__global__ void __launch_bounds__(kThreads) move_each(T* centers, int m, int d, bool cosine, Grids grids,
                                                      ClusterSums sums, double* shift, MoveScratch<T> scratch) {
    const int t = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    double* const sum = scratch.sum + static_cast<long long>(blockIdx.x) * d;
    T* const next = scratch.next + static_cast<long long>(blockIdx.x) * d;
    for (int j = static_cast<int>(blockIdx.x); j < m; j += static_cast<int>(gridDim.x)) {
        T* const old = centers + static_cast<long long>(j) * d;
        const bool touched = sums.touched[j] != 0;
        if (t == 0) shift[j] = 0;
        __syncthreads();  // all have read what the first thread resets
        if (t == 0) sums.touched[j] = 0;
        if (!touched) continue;
        const long long* integers = sums.sum + static_cast<long long>(j) * grids.row.levels * d;
        for (int p = t; p < d; p += threads) sum[p] = binned_value(integers + p, d, grids.row);
        const double total = binned_value(sums.weight + j * 3ll, 1, grids.weight);
        const double length = cosine ? __dsqrt_rn(block_dot(sum, sum, d)) : total;
        if (!(length > (cosine ? __dmul_rn(1e-12, total) : 0.0))) continue;  // the sum cancels
        for (int p = t; p < d; p += threads) next[p] = static_cast<T>(__ddiv_rn(sum[p], length));
        const double next2 = block_dot(next, next, d), old2 = block_dot(old, old, d);
        int differ = 0;
        for (int p = t; p < d; p += threads) differ |= !(old[p] == next[p]);
        if (__syncthreads_count(differ) > 0 && t == 0) {
            double dot = 0;
            for (int p = 0; p < d; ++p)
                dot = __dadd_rn(dot, __dmul_rn(static_cast<double>(old[p]), static_cast<double>(next[p])));
            const double gap2 = __dadd_rn(__dadd_rn(old2, next2), -__dmul_rn(2.0, dot));
            shift[j] = gap2 > 1e-300 ? gap2 : 1e-300;
        }
        __syncthreads();  // the old center has been read
        for (int p = t; p < d; p += threads) old[p] = next[p];
    }
}

// One thread per row.
LATOM_KERNEL void __launch_bounds__(kThreads)
    score_labels(const double* dot, const int* label, const double* norm2, int n, int measure, const double* factor,
                 const double* bias, double* score) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    score[i] = user_score(measure, ruled(factor, bias, dot[i], label[i]), norm2[i], true);
}

// One thread per kCostRows rows, which it adds up in their order.
LATOM_KERNEL void __launch_bounds__(32)
    sum_cost_rows(const double* score, const double* weight, int n, bool cosine, double* out) {
    const long long chunk = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x, first = chunk * kCostRows;
    if (first >= n) return;
    double sum = 0;
    for (long long i = first; i < n && i < first + kCostRows; ++i) {
        const double cost = cosine ? __dadd_rn(1.0, -score[i]) : -score[i];
        sum = __dadd_rn(sum, weight != nullptr ? __dmul_rn(weight[i], cost) : cost);
    }
    out[chunk] = sum;
}

}  // namespace latom::cuda
