// scan.cuh: where each of many lists begins, from how long they are.
#pragma once

#include "cuda/select.cuh"

namespace latom::cuda {

constexpr int kScanEach = 8;

// begin[i] = count[0] + ... + count[i - 1] for i in [0, n], by one block: a pass over the counts.
LATOM_KERNEL void __launch_bounds__(kThreads) scan_counts(const int* count, int n, long long* begin) {
    __shared__ long long of_warp[kThreads / 32];
    const int t = static_cast<int>(threadIdx.x), lane = t % 32;
    long long before = 0;  // of all counts of earlier turns
    for (int first = 0; first < n; first += kThreads * kScanEach) {
        const int from = first + t * kScanEach;
        long long own = 0;
        for (int c = 0; c < kScanEach; ++c) own += from + c < n ? count[from + c] : 0;
        long long upto = own;  // of the warp's threads up to this one
        for (int by = 1; by < 32; by *= 2) {
            const long long other = __shfl_up_sync(kAllLanes, upto, static_cast<unsigned>(by));
            if (lane >= by) upto += other;
        }
        if (lane == 31) of_warp[t / 32] = upto;
        __syncthreads();
        long long at = before + upto - own;
        for (int w = 0; w < kThreads / 32; ++w) {
            if (w < t / 32) at += of_warp[w];
            before += of_warp[w];
        }
        for (int c = 0; c < kScanEach && from + c < n; ++c) {
            begin[from + c] = at;
            at += count[from + c];
        }
        __syncthreads();  // before the next turn's totals
    }
    if (t == 0) begin[n] = before;
}

// How many of a row's k values are not 0. One thread per row.
template <class T>
__global__ void __launch_bounds__(kThreads) count_values(const T* value, int n, int k, int* count) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    int own = 0;
    for (int p = 0; p < k; ++p) own += value[static_cast<long long>(i) * k + p] != T{0};
    count[i] = own;
}

/// What of each row is to be written: its entries [0, count) at i * stride, or `all` where count is null, whose value
/// is not 0 (keep_zeros: whatever it is). Rows that `filled` says have overflowed are left out.
template <class V>
struct RowLists {
    const V* value;
    const int* atom;
    long long stride;
    const int *count, *filled;
    int all;
    bool keep_zeros;
};

// The entries of row i by rising atom, from begin[i] on. One block per row; atoms of a row are distinct.
template <class V, class T>
__global__ void __launch_bounds__(kThreads) write_sorted(RowLists<V> in, const long long* begin, T* value, int* atom) {
    const int i = static_cast<int>(blockIdx.x);
    if (in.filled != nullptr && in.filled[i] > kCapacity) return;
    const int count = in.count != nullptr ? in.count[i] : in.all;
    const V* v = in.value + i * in.stride;
    const int* a = in.atom + i * in.stride;
    for (int c = static_cast<int>(threadIdx.x); c < count; c += static_cast<int>(blockDim.x)) {
        if (!in.keep_zeros && v[c] == V{0}) continue;
        int rank = 0;
        for (int o = 0; o < count; ++o) rank += a[o] < a[c] && (in.keep_zeros || v[o] != V{0});
        value[begin[i] + rank] = static_cast<T>(v[c]);
        atom[begin[i] + rank] = a[c];
    }
}

}  // namespace latom::cuda
