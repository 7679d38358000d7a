// decide.cuh: float64 scores of what is left, and the k best of them, as include/latom/encode.h has it.
//
// The highest score wins; ties go to the lowest atom. Scores, their order and the numbers returned have the bits that
// the CPU gives: the sums are those of dot8.cuh, and the rule is that of engines/product_select/score_rule.h.
#pragma once

#include "cuda/select.cuh"

namespace latom::cuda {

constexpr int kDecideThreads = 128;
enum class Order { kScore, kAbove, kMagnitude };  // of include/latom/encode.h

template <class T>
struct Decision {
    const T *X, *W;
    int d, k, m;
    int measure, order;
    const double *factor, *bias, *norm2;  // [m] or null, [m] or null; [n]
    T* score;                             // [n, k]
    int* index;
};

__device__ __forceinline__ double key_of(int order, double score) {
    return order == static_cast<int>(Order::kMagnitude) ? fabs(score) : score;
}
template <class T>
__device__ __forceinline__ double ruled(const Decision<T>& to, double dot, int j) {
    if (to.factor != nullptr) dot = __dmul_rn(dot, to.factor[j]);
    return to.bias != nullptr ? __dadd_rn(dot, to.bias[j]) : dot;
}
// Place r of row i: a score by the rule as what users get, or nothing.
template <class T>
__device__ __forceinline__ void write_place(const Decision<T>& to, int i, int r, double score, int atom) {
    const double norm2 = to.norm2[i];
    if (to.measure == static_cast<int>(Measure::kCosine)) {
        score = __dmul_rn(score, norm2 > 0 ? __ddiv_rn(1.0, __dsqrt_rn(norm2)) : 0.0);
        score = score < -1 ? -1 : score > 1 ? 1 : score;
    }
    if (to.measure == static_cast<int>(Measure::kEuclidean)) {
        score = __dadd_rn(__dmul_rn(2.0, score), -norm2);
        score = score > 0 ? 0 : score;
    }
    const bool none = atom < 0 || (to.order == static_cast<int>(Order::kAbove) && !(score > 0));
    const long long at = static_cast<long long>(i) * to.k + r;
    to.score[at] = none ? T{0} : static_cast<T>(score);
    to.index[at] = none ? 0 : atom;
}
// The k best of `count` scored atoms, by all threads of a block. Each finds the rank of its own.
template <class T>
__device__ __forceinline__ void write_ranked(const Decision<T>& to, int i, const double* value, const int* atom,
                                             int count) {
    const int t = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    for (int c = t; c < count; c += threads) {
        const double own = key_of(to.order, value[c]);
        int rank = 0;
        for (int o = 0; o < count; ++o) {
            const double other = key_of(to.order, value[o]);
            rank += other > own || (other == own && atom[o] < atom[c]);
        }
        if (rank < to.k) write_place(to, i, rank, value[c], atom[c]);
    }
    for (int r = count + t; r < to.k; r += threads) write_place(to, i, r, 0.0, -1);
}

// One block per row of a chunk whose first row is `first`. Rows that overflowed are listed for the exact path.
template <class T>
__global__ void __launch_bounds__(kDecideThreads)
    decide_rows(Decision<T> to, Candidates in, int first, AtomBounds* bounds, int* overflowed) {
    __shared__ int atom[kCapacity];
    __shared__ double value[kCapacity];
    __shared__ int left;
    const int row = static_cast<int>(blockIdx.x), t = static_cast<int>(threadIdx.x);
    const int filled = in.filled[row];
    if (filled > kCapacity) {
        if (t == 0) overflowed[atomicAdd(&bounds->overflowed, 1)] = first + row;
        return;
    }
    if (t == 0) left = 0;
    __syncthreads();
    const float floor = in.floor[row];
    for (int c = t; c < filled; c += kDecideThreads) {
        const long long at = static_cast<long long>(row) * kCapacity + c;
        if (in.upper[at] >= floor) atom[atomicAdd(&left, 1)] = in.atom[at];
    }
    __syncthreads();
    const int count = left, lane = t % kTeam;
    if (t == 0) atomicAdd(&bounds->scored, static_cast<unsigned long long>(count));
    const T* x = to.X + (static_cast<long long>(first) + row) * to.d;
    for (int base = 0; base < count; base += kDecideThreads / kTeam) {
        const int c = base + t / kTeam;
        const bool held = c < count;
        const T* w = to.W + static_cast<long long>(held ? atom[c] : 0) * to.d;
        const double dot = dot8(x, w, to.d, lane, held);
        if (held && lane == 0) value[c] = ruled(to, dot, atom[c]);
    }
    __syncthreads();
    write_ranked(to, first + row, value, atom, count);
}

}  // namespace latom::cuda
