// select.cuh: which atoms may be among a row's k best, out of float16 scores.
//
// A score s and the atom's bias give v = s + bias (its magnitude where that ranks), and the exact score lies within
//
//   [v - e - kHalfError |s|,  v + e + kHalfError |s|]
//
// with e of pack.cuh, and kHalfError |s| for the rounding of s to float16, whichever way it goes.
//
// Each thread of a block knows the largest lower bound among its 64 atoms. The k-th largest of these 256 is reached by
// k atoms, so an atom whose upper bound is below it is not among the k best. Bisection on the numbers' bits finds it,
// cut to kBits, which only lowers it. Ties cannot be lost: what reaches the floor is kept.
//
// Cost      each score is read once; kBits + 3 barriers; appending by one atomic per warp and column of registers that
//           has a hit.
#pragma once

#include "cuda/pack.cuh"

namespace latom::cuda {

constexpr int kThreads = 256, kEach = 8, kLoads = 8;  // a thread has kLoads times 16 bytes
constexpr int kPanel = kThreads * kEach * kLoads;     // atoms of a panel
constexpr int kMostSelected = 128;                    // k beyond it leaves a floor that discards too little
constexpr int kCapacity = 1024;                       // candidates per row
constexpr int kBits = 20;                             // sign, exponent and 11 bits of mantissa
constexpr float kHalfError = 1.0f / 1024 + 1.0f / 65536;

// What is known of rows [0, n) of a chunk.
struct Candidates {
    float* floor;  // [n] what k atoms are known to reach, in units of the screen
    int* filled;   // [n] above kCapacity: overflowed
    float* upper;  // [n, kCapacity]
    int* atom;     // [n, kCapacity]
};

struct Panel {
    const __half* score;  // [n, stride]
    long long stride;
    int first, count;   // atoms [first, first + count)
    const float* bias;  // [count], or null
};

// Numbers as integers that rise with them.
__device__ __forceinline__ unsigned key_of(float v) {
    const unsigned u = __float_as_uint(v);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}
__device__ __forceinline__ float value_of(unsigned key) {
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

struct Score {
    float value, own;  // v, and kHalfError |s|
};
__device__ __forceinline__ Score score_of(unsigned half, float bias, bool magnitude) {
    const float s = __half2float(__ushort_as_half(static_cast<unsigned short>(half)));
    const float v = s + bias;
    return {magnitude ? fabsf(v) : v, kHalfError * fabsf(s)};
}

// Floors and lists before the first panel. floor: what scores must exceed to be wanted at all.
LATOM_KERNEL void __launch_bounds__(kThreads) start_rows(Candidates out, int n, float floor) {
    const int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (row >= n) return;
    out.floor[row] = floor;
    out.filled[row] = 0;
}

// One block per row. scale and error are those of the chunk's rows.
LATOM_KERNEL void __launch_bounds__(kThreads)
    select_candidates(Panel panel, int k, bool magnitude, const float* scale, const float* error, Candidates out) {
    const int row = static_cast<int>(blockIdx.x), t = static_cast<int>(threadIdx.x), lane = t % 32;
    const float e = error[row];
    if (e >= kUnbounded) {
        if (t == 0) out.filled[row] = kCapacity + 1;
        return;
    }
    const __half* s = panel.score + row * panel.stride;
    const float unit = panel.bias != nullptr ? scale[row] : 0;
    const auto bias = [&](int at) { return panel.bias != nullptr ? unit * panel.bias[at] : 0.0f; };
    uint4 held[kLoads];
    float best = -FLT_MAX;
    LATOM_UNROLL
    for (int i = 0; i < kLoads; ++i) {
        const int from = (i * kThreads + t) * kEach;
        if (from >= panel.count) continue;
        held[i] = *reinterpret_cast<const uint4*>(s + from);  // rows of scores are padded to whole loads
        const unsigned word[4] = {held[i].x, held[i].y, held[i].z, held[i].w};
        LATOM_UNROLL
        for (int c = 0; c < kEach; ++c) {
            if (from + c >= panel.count) continue;
            const Score score = score_of(c % 2 ? word[c / 2] >> 16 : word[c / 2] & 0xffffu, bias(from + c), magnitude);
            best = max(best, score.value - (e + score.own));
        }
    }
    unsigned kth = 0;  // the largest cut key that k threads' best reach
    const unsigned own = key_of(best);
    for (int bit = 31; bit > 31 - kBits; --bit) {
        const unsigned want = kth | 1u << bit;
        if (__syncthreads_count(own >= want) >= k) kth = want;
    }
    // key_of(-FLT_MAX), which stands for no atom, cut: nothing is known.
    constexpr unsigned kNone = 0x00800000u & (0xffffffffu << (32 - kBits));
    const float known = out.floor[row], floor = kth > kNone ? max(known, value_of(kth)) : known;
    __shared__ int count;
    __syncthreads();  // all have read the floor
    if (t == 0) {
        out.floor[row] = floor;
        count = out.filled[row];
    }
    __syncthreads();
    LATOM_UNROLL
    for (int i = 0; i < kLoads; ++i) {
        const int from = (i * kThreads + t) * kEach;
        const unsigned word[4] = {held[i].x, held[i].y, held[i].z, held[i].w};
        LATOM_UNROLL
        for (int c = 0; c < kEach; ++c) {
            bool keep = from + c < panel.count;
            float upper = 0;
            if (keep) {
                const unsigned half = c % 2 ? word[c / 2] >> 16 : word[c / 2] & 0xffffu;
                const Score score = score_of(half, bias(from + c), magnitude);
                upper = score.value + (e + score.own);
                keep = upper >= floor;
            }
            const unsigned votes = __ballot_sync(kAllLanes, keep);
            if (votes == 0) continue;
            int place = 0;
            if (lane == 0) place = atomicAdd(&count, __popc(votes));
            place = __shfl_sync(kAllLanes, place, 0) + __popc(votes & ((1u << lane) - 1));
            if (keep && place < kCapacity) {
                const long long at = static_cast<long long>(row) * kCapacity + place;
                out.upper[at] = upper;
                out.atom[at] = panel.first + from + c;
            }
        }
    }
    __syncthreads();
    if (t == 0) out.filled[row] = count;
}

}  // namespace latom::cuda
