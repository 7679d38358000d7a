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
    const double *factor, *bias, *norm2, *threshold;  // [m] or null, [m] or null; [n]; [n], or null: 0
    T* score;                                         // [n, k], or null
    int* index;                                       // [n, k]
    double* dot;                                      // [n, k], or null
    RowCounts* counts;
};

__device__ __forceinline__ double key_of(int order, double score) {
    return order == static_cast<int>(Order::kMagnitude) ? fabs(score) : score;
}
// The score by the rule of a product with atom j; factor and bias [m] or null.
__device__ __forceinline__ double ruled(const double* factor, const double* bias, double dot, int j) {
    if (factor != nullptr) dot = __dmul_rn(dot, factor[j]);
    return bias != nullptr ? __dadd_rn(dot, bias[j]) : dot;
}
template <class T>
__device__ __forceinline__ double ruled(const Decision<T>& to, double dot, int j) {
    return ruled(to.factor, to.bias, dot, j);
}
// A score by the rule as what users get. Divided, it is that of Lloyd's steps to the last bit.
__device__ __forceinline__ double user_score(int measure, double score, double norm2, bool divided = false) {
    if (measure == static_cast<int>(Measure::kCosine)) {
        if (!(norm2 > 0)) return 0;
        const double length = __dsqrt_rn(norm2);
        score = divided ? __ddiv_rn(score, length) : __dmul_rn(score, __ddiv_rn(1.0, length));
        score = score < -1 ? -1 : score > 1 ? 1 : score;
    }
    if (measure == static_cast<int>(Measure::kEuclidean)) {
        score = __dadd_rn(__dmul_rn(2.0, score), -norm2);
        score = score > 0 ? 0 : score;
    }
    return score;
}
// A score of row i in the type of results.
template <class T>
__device__ __forceinline__ T held_score(const Decision<T>& to, int i, double score) {
    const T held = static_cast<T>(score);
    if (held - held != T{0}) atomicMin(&to.counts->unheld, i);
    return held;
}
// Place r of row i.
template <class T>
__device__ __forceinline__ void write_place(const Decision<T>& to, int i, int r, double score, int atom) {
    score = user_score(to.measure, score, to.norm2[i]);
    const double threshold = to.threshold != nullptr ? to.threshold[i] : 0.0;
    const bool none = atom < 0 || (to.order == static_cast<int>(Order::kAbove) && !(score > threshold));
    const long long at = static_cast<long long>(i) * to.k + r;
    if (to.score != nullptr) to.score[at] = none ? T{0} : held_score(to, i, score);
    to.index[at] = none ? 0 : atom;
}
// The products of row i with the atoms that have been written, by all threads of a block.
template <class T>
__device__ __forceinline__ void write_dots(const Decision<T>& to, int i) {
    if (to.dot == nullptr) return;
    __syncthreads();  // all places are written
    const int t = static_cast<int>(threadIdx.x), teams = static_cast<int>(blockDim.x) / kTeam;
    const T* x = to.X + static_cast<long long>(i) * to.d;
    for (int base = 0; base < to.k; base += teams) {
        const int r = base + t / kTeam;
        const bool held = r < to.k;
        const long long at = static_cast<long long>(i) * to.k + r;
        const double dot =
            dot8(x, to.W + static_cast<long long>(held ? to.index[at] : 0) * to.d, to.d, t % kTeam, held);
        if (held && t % kTeam == 0) to.dot[at] = dot;
    }
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

// Scores by the rule of the candidates of row `row` of a chunk, row i of all, that reach the row's floor: atom and
// value have room for kCapacity, of the block. Returns how many; -1, and lists the row for the exact path, where there
// was too little room. Barriers: what it has written may be read.
template <class T>
__device__ __forceinline__ int score_candidates(const Decision<T>& to, const Candidates& in, int row, int i,
                                                int* overflowed, int* atom, double* value) {
    __shared__ int left;
    const int t = static_cast<int>(threadIdx.x), filled = in.filled[row];
    if (filled > kCapacity) {
        if (t == 0) overflowed[atomicAdd(&to.counts->overflowed, 1)] = i;
        return -1;
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
    if (t == 0) atomicAdd(&to.counts->scored, static_cast<unsigned long long>(count));
    const T* x = to.X + static_cast<long long>(i) * to.d;
    for (int base = 0; base < count; base += kDecideThreads / kTeam) {
        const int c = base + t / kTeam;
        const bool held = c < count;
        const T* w = to.W + static_cast<long long>(held ? atom[c] : 0) * to.d;
        const double dot = dot8(x, w, to.d, lane, held);
        if (held && lane == 0) value[c] = ruled(to, dot, atom[c]);
    }
    __syncthreads();
    return count;
}

// One block per row of a chunk whose first row is `first`.
template <class T>
__global__ void __launch_bounds__(kDecideThreads)
    decide_rows(Decision<T> to, Candidates in, int first, int* overflowed) {
    __shared__ int atom[kCapacity];
    __shared__ double value[kCapacity];
    const int row = static_cast<int>(blockIdx.x), i = first + row;
    const int count = score_candidates(to, in, row, i, overflowed, atom, value);
    if (count < 0) return;
    write_ranked(to, i, value, atom, count);
    write_dots(to, i);
}

}  // namespace latom::cuda
