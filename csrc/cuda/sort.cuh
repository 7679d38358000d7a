// sort.cuh: entries by their key, those of one key in the order in which they stood: a radix sort by 8 bits a pass.
//
// A block has kSortEach entries. It counts their digits; scan_counts turns the counts of all blocks, digit by digit,
// into places; then each tile of kThreads entries is placed: an entry's rank is how many of its digit stand before it
// in its warp, in the tile's earlier warps, and in the block's earlier tiles.
#pragma once

#include "cuda/scan.cuh"

namespace latom::cuda {

constexpr int kDigits = 256, kDigitBits = 8, kSortEach = 4096;

/// Keys and the numbers that entries had at first.
struct Sorting {
    int *key, *entry;  // [count]
};

template <class I>
__global__ void __launch_bounds__(kThreads) start_sort(const I* key, int count, Sorting out) {
    const int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (e >= count) return;
    out.key[e] = static_cast<int>(key[e]);
    out.entry[e] = e;
}

// digits [kDigits, blocks].
LATOM_KERNEL void __launch_bounds__(kThreads) count_digits(Sorting in, int count, int shift, int* digits) {
    __shared__ int own[kDigits];
    const int t = static_cast<int>(threadIdx.x);
    own[t] = 0;
    __syncthreads();
    const int first = static_cast<int>(blockIdx.x) * kSortEach, end = min(count, first + kSortEach);
    for (int e = first + t; e < end; e += kThreads) atomicAdd(&own[in.key[e] >> shift & (kDigits - 1)], 1);
    __syncthreads();
    digits[t * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x)] = own[t];
}

// The lanes that have this lane's digit, of those that hold an entry.
__device__ __forceinline__ unsigned same_digit(int digit, bool held) {
    unsigned same = __ballot_sync(kAllLanes, held);
    LATOM_UNROLL
    for (int bit = 0; bit < kDigitBits; ++bit) {
        const unsigned votes = __ballot_sync(kAllLanes, digit >> bit & 1);
        same &= digit >> bit & 1 ? votes : ~votes;
    }
    return same;
}

LATOM_KERNEL void __launch_bounds__(kThreads)
    place_digits(Sorting in, int count, int shift, const long long* begin, Sorting out) {
    __shared__ int place[kDigits], of_warp[kThreads / 32][kDigits];
    const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
    place[t] = static_cast<int>(begin[t * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x)]);
    const int first = static_cast<int>(blockIdx.x) * kSortEach, end = min(count, first + kSortEach);
    for (int tile = first; tile < end; tile += kThreads) {
        for (int w = 0; w < kThreads / 32; ++w) of_warp[w][t] = 0;
        __syncthreads();
        const int e = tile + t;
        const bool held = e < end;
        const int key = held ? in.key[e] : 0, digit = key >> shift & (kDigits - 1);
        const unsigned same = same_digit(digit, held), before = same & ((1u << lane) - 1);
        if (held && before == 0) of_warp[warp][digit] = __popc(same);
        __syncthreads();
        if (held) {
            int at = place[digit] + __popc(before);
            for (int w = 0; w < warp; ++w) at += of_warp[w][digit];
            out.key[at] = key;
            out.entry[at] = in.entry[e];
        }
        __syncthreads();  // all places have been read
        for (int w = 0; w < kThreads / 32; ++w) place[t] += of_warp[w][t];
    }
}

// begin [m + 1]: where the entries of each key begin among those that are sorted.
LATOM_KERNEL void __launch_bounds__(kThreads) find_starts(const int* key, int count, int m, int* begin) {
    const int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (e > count) return;
    const int from = e == 0 ? 0 : key[e - 1] + 1, to = e == count ? m : key[e];
    for (int j = from; j <= to; ++j) begin[j] = e;
}

}  // namespace latom::cuda
