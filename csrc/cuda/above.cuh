// above.cuh: the floor of the screen that a threshold gives, and float64 scores held to the threshold itself.
#pragma once

#include "cuda/exact.cuh"
#include "cuda/scan.cuh"

namespace latom::cuda {

// A number that no score by the rule falls below where the user's score exceeds the threshold, whatever float64 rounds
// off (the margin of algorithms/encode/atom_scores.h); not a number where nothing is known.
__device__ __forceinline__ double least_score(int measure, double threshold, double norm2) {
    const double length = __dsqrt_rn(norm2);
    if (measure == static_cast<int>(Measure::kCosine)) return threshold * length - 1e-12 * length;
    if (measure == static_cast<int>(Measure::kEuclidean))
        return 0.5 * (threshold + norm2) - 1e-12 * (fabs(threshold) + norm2);
    return threshold;
}

// Floors in units of the screen, lowered by more than their own rounding, and empty lists.
LATOM_KERNEL void __launch_bounds__(kThreads) start_above(Candidates out, int n, int measure, const double* threshold,
                                                          const double* norm2, const AtomBounds* bounds) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) return;
    const double unit =
        scale_of(__dsqrt_rn(norm2[i])) * scale_of(__longlong_as_double(static_cast<long long>(bounds->largest)));
    double floor = least_score(measure, threshold[i], norm2[i]) * unit;
    floor = floor - fabs(floor) * 0x1p-22 - 0x1p-40;
    out.floor[i] = floor >= -FLT_MAX ? static_cast<float>(floor) : -FLT_MAX;  // also where it is not a number
    out.filled[i] = 0;
}

/// What is found of a chunk's rows.
struct Matches {
    int* count;     // [n]
    double* value;  // [n, kCapacity] scores as users get them
    int* atom;      // [n, kCapacity]
};

// One block per row.
template <class T>
__global__ void __launch_bounds__(kDecideThreads)
    match_rows(Decision<T> to, Candidates in, Matches out, int* overflowed) {
    __shared__ int atom[kCapacity];
    __shared__ double value[kCapacity];
    __shared__ int kept;
    const int i = static_cast<int>(blockIdx.x), t = static_cast<int>(threadIdx.x);
    if (t == 0) kept = 0;
    const int count = score_candidates(to, in, i, i, overflowed, atom, value);
    if (count < 0) return;
    const double threshold = to.threshold[i], norm2 = to.norm2[i];
    for (int c = t; c < count; c += kDecideThreads) {
        const double score = user_score(to.measure, value[c], norm2);
        if (!(score > threshold)) continue;
        const long long at = static_cast<long long>(i) * kCapacity + atomicAdd(&kept, 1);
        held_score(to, i, score);  // which says where T does not hold it
        out.value[at] = score;
        out.atom[at] = atom[c];
    }
    __syncthreads();
    if (t == 0) out.count[i] = kept;
}

// Rows that have overflowed: how many of all atoms match; or, where begin is given, which, atom by atom.
template <class T>
__global__ void __launch_bounds__(kThreads)
    match_overflowed(Decision<T> to, const int* overflowed, double* scratch, int* found, const long long* begin, T* out,
                     int* out_atom) {
    __shared__ int of_warp[kThreads / 32];
    const int t = static_cast<int>(threadIdx.x), lane = t % 32;
    double* score = scratch + static_cast<long long>(blockIdx.x) * to.m;
    for (int r = static_cast<int>(blockIdx.x); r < to.counts->overflowed; r += static_cast<int>(gridDim.x)) {
        const int i = overflowed[r];
        const double threshold = to.threshold[i], norm2 = to.norm2[i];
        score_all(to, i, score);
        long long place = begin != nullptr ? begin[i] : 0;
        for (int first = 0; first < to.m; first += kThreads) {
            const int j = first + t;
            const double own = j < to.m ? user_score(to.measure, score[j], norm2) : 0.0;
            const bool match = j < to.m && own > threshold;
            const unsigned votes = __ballot_sync(kAllLanes, match);
            if (lane == 0) of_warp[t / 32] = __popc(votes);
            __syncthreads();
            long long at = place + __popc(votes & ((1u << lane) - 1));
            for (int w = 0; w < kThreads / 32; ++w) {
                if (w < t / 32) at += of_warp[w];
                place += of_warp[w];
            }
            if (match) {
                const T held = held_score(to, i, own);
                if (begin != nullptr) {
                    out[at] = held;
                    out_atom[at] = j;
                }
            }
            __syncthreads();  // before the next tile's votes, and the next row's scores
        }
        if (t == 0 && begin == nullptr) {
            found[i] = static_cast<int>(place);
            atomicAdd(&to.counts->scored, static_cast<unsigned long long>(to.m));
        }
    }
}

}  // namespace latom::cuda
