// csr_nearest.cuh: which sparse centers may be a row's nearest, and the one that is.
//
// In the units of pack.cuh, a row x and a center w have x~ = float32(u_x x) and w~ = float16(u_w f w). A thread adds
// x~_p w~_p entry by entry: each fused multiply-add rounds a partial sum, which is at most (1 + 2^-24)^nnz |x~| |w~|, by
// 2^-24 of it. With the bias, which is added in float32, and the bound, which is added and taken away, these are at
// most nnz + 3 roundings, and the float64 sums that decide are off by far less than one. So
//
//   gamma = 1.02 (nnz + 8) 2^-24
//
// in error_x of pack.cuh bounds them while (1 + 2^-24)^nnz < 1.02, and longer rows have no bound. Terms that are left
// out are 0.
//
// The largest lower bound that any warp has found is the row's floor; a center whose upper bound is below it is not the
// nearest. Floors only rise, and each is reached by a center, so a warp may read one of any moment. Ties cannot be lost.
// A slice of which more than kCrowd are left, as where a row has no term in common with any of it, is listed as one
// entry with the highest bound: it is seldom left in the end, and if it is, the row takes the exact path.
#pragma once

#include "cuda/csr_slab.cuh"

namespace latom::cuda {

constexpr int kListed = 128, kCrowd = 16;  // candidates per row, and of a slice
constexpr int kMostTerms = 1 << 18;        // of rows that have a bound

/// What is known of the rows of a chunk.
struct Listed {
    float *scale, *error;  // of pack.cuh
    unsigned* floor;       // key_of what a center is known to reach
    int* filled;           // above kListed: overflowed
    float* upper;          // [rows, kListed]
    int* atom;             // [rows, kListed]; -1: a crowd
    unsigned *top, *next;  // key_of the two highest bounds of centers that count; null where nobody asks
};

/// The best score so far, and the lowest center that has it; -1: none.
struct Best {
    double score = 0;
    int atom = -1;

    __device__ __forceinline__ void take(double other, int j) {
        if (j < 0 || (atom >= 0 && !(other > score || (other == score && j < atom)))) return;
        score = other;
        atom = j;
    }
};

// Scales, bounds and empty lists of n rows. One team per row.
template <class T>
__global__ void __launch_bounds__(kPackThreads) start_csr(Search<T> of, int n, Listed out) {
    const int t = static_cast<int>(threadIdx.x), r = static_cast<int>(blockIdx.x) * kPackRows + t / kTeam;
    const bool held = r < n;
    const int i = held ? of.row(r) : 0, count = held ? terms_of(of.rows, i) : 0;
    const double unit = scale_of(held ? __dsqrt_rn(of.rows.norm2[i]) : 0.0);
    double rounded = 0, residual = 0;
    round_team(
        of.rows.value + of.rows.begin[i], count, count, unit, t % kTeam, held,
        [](int, double v) { return static_cast<double>(static_cast<float>(v)); }, &rounded, &residual);
    if (!held || t % kTeam != 0) return;
    const float error = count > kMostTerms
                            ? kUnbounded
                            : error_of(unit, rounded, residual, 1.02 * (count + 8) * 0x1p-24, of.centers.bounds);
    out.scale[r] = static_cast<float>(unit);
    out.error[r] = error;
    out.filled[r] = error >= kUnbounded ? kListed + 1 : 0;
    float floor = -FLT_MAX, top = -FLT_MAX;
    if (of.known_center(r) >= 0) {  // moved apart by more than their own rounding
        const double own = of.known_own[of.first + r] * unit * of.unit(), slack = fabs(own) * 0x1p-22 + 0x1p-40;
        floor = max(floor, static_cast<float>(own - slack));
        top = static_cast<float>(own + slack);
    }
    out.floor[r] = key_of(floor);
    if (out.top == nullptr) return;
    out.top[r] = key_of(top);
    out.next[r] = key_of(-FLT_MAX);
}

__device__ __forceinline__ void list_center(const Listed& out, long long row, int place, float upper, int atom) {
    if (place >= kListed) return;
    out.upper[row * kListed + place] = upper;
    out.atom[row * kListed + place] = atom;
}

// Takes down a warp's two highest bounds. Each that another displaces, or that is below it, is held against the next.
__device__ __forceinline__ void note_highest(const Listed& out, long long r, float high, float next) {
    const unsigned key = key_of(high);
    atomicMax(&out.next[r], max(key_of(next), min(key, atomicMax(&out.top[r], key))));
}
// The two highest of all lanes' two.
__device__ __forceinline__ void highest_two(float* high, float* next) {
    for (int by = 16; by > 0; by /= 2) {
        const float other = __shfl_xor_sync(kAllLanes, *high, by), second = __shfl_xor_sync(kAllLanes, *next, by);
        *next = max(min(*high, other), max(*next, second));
        *high = max(*high, other);
    }
}

// What may be nearest to n rows among a slab's centers: one warp per row and slice.
template <class T>
__global__ void __launch_bounds__(kThreads) list_nearest(Search<T> of, int n, Slab slab, Listed out) {
    const int lane = static_cast<int>(threadIdx.x) % 32, slices = (slab.count + kSlice - 1) / kSlice;
    const long long warp = (static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x) / 32, r = warp / slices;
    if (r >= n) return;
    const int i = of.row(static_cast<int>(r)), slice = static_cast<int>(warp % slices);
    const float e = out.error[r];
    const float* const bias = of.centers.bias32;
    if (e >= kUnbounded || (bias == nullptr && !(of.rows.norm2[i] > 0))) return;  // the latter scores 0 with all
    if (of.width != nullptr && of.width[of.first + r] <= slab.first + slice * kSlice) return;
    float score[kOfLane] = {0, 0, 0, 0, 0, 0, 0, 0};
    multiply_slice(of.rows, i, slab, slice, lane, score);
    const int at = slice * kSlice + lane * kOfLane, known = of.known_center(static_cast<int>(r));
    const float unit = out.scale[r];
    int center[kOfLane] = {-1, -1, -1, -1, -1, -1, -1, -1};  // that count
    float high = -FLT_MAX, next = -FLT_MAX;
    LATOM_UNROLL
    for (int c = 0; c < kOfLane; ++c) {
        if (at + c >= slab.count) continue;
        const int j = of.center(slab.first + at + c);
        if (j == known) continue;
        center[c] = j;
        if (bias != nullptr) score[c] += unit * bias[j];
        next = max(next, min(high, score[c]));
        high = max(high, score[c]);
    }
    highest_two(&high, &next);
    if (high == -FLT_MAX) return;  // none counts
    if (lane == 0 && out.top != nullptr) note_highest(out, r, high + e, next + e);
    unsigned before = 0;
    if (lane == 0) before = atomicMax(&out.floor[r], key_of(high - e));
    const float floor = max(high - e, value_of(__shfl_sync(kAllLanes, before, 0)));
    unsigned kept = 0;
    LATOM_UNROLL
    for (int c = 0; c < kOfLane; ++c)
        if (center[c] >= 0 && score[c] + e >= floor) kept |= 1u << c;
    const int own = __popc(kept), all = static_cast<int>(__reduce_add_sync(kAllLanes, static_cast<unsigned>(own)));
    if (all == 0) return;
    if (all > kCrowd) {
        if (lane == 0) list_center(out, r, atomicAdd(&out.filled[r], 1), high + e, -1);
        return;
    }
    int upto = own;  // of the lanes up to this one
    for (int by = 1; by < 32; by *= 2) {
        const int other = __shfl_up_sync(kAllLanes, upto, static_cast<unsigned>(by));
        if (lane >= by) upto += other;
    }
    int place = 0;
    if (lane == 0) place = atomicAdd(&out.filled[r], all);
    place = __shfl_sync(kAllLanes, place, 0) + upto - own;
    LATOM_UNROLL
    for (int c = 0; c < kOfLane; ++c)
        if (kept >> c & 1) list_center(out, r, place++, score[c] + e, center[c]);
}

/// Where answers go, for all rows of a call.
struct Nearest {
    int* label;
    double *own, *score, *others;  // each may be null
    int* overflowed;
    RowCounts* counts;
};
// others: what no other center scores above.
template <class T>
__device__ __forceinline__ void write_nearest(const Search<T>& of, const Nearest& out, int at, int i, const Best& best,
                                              double others) {
    const bool any = best.atom >= 0;  // none: a row without length, which scores 0 with all
    out.label[at] = any ? best.atom : 0;
    const double own = any ? best.score : 0.0;
    if (out.own != nullptr) out.own[at] = own;
    if (out.score != nullptr)
        out.score[at] = user_score(static_cast<int>(of.centers.measure), own, of.rows.norm2[i], true);
    if (out.others != nullptr) out.others[at] = others;
}

// n rows whose candidates are listed. One warp per row: four teams score them.
//
// No center but the winner scores above the next highest of all upper bounds: one whose own bound is not the highest
// scores at most that; one whose bound is the highest, and does not win, scores no more than the winner, whose bound is
// then at most the next highest.
template <class T>
__global__ void __launch_bounds__(kDecideThreads) decide_nearest(Search<T> of, int n, Listed in, Nearest out) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int r = static_cast<int>(blockIdx.x) * (kDecideThreads / 32) + static_cast<int>(threadIdx.x) / 32;
    if (r >= n) return;
    const int filled = in.filled[r], i = of.row(r), at = of.first + r, known = of.known_center(r);
    const float floor = value_of(in.floor[r]);
    bool crowded = filled > kListed;
    Best best;
    if (known >= 0) best.take(of.known_own[at], known);
    int scored = 0;
    for (int base = 0; base < filled && !crowded; base += 32) {
        const long long entry = static_cast<long long>(r) * kListed + base + lane;
        const bool wanted = base + lane < filled && in.upper[entry] >= floor;
        const int atom = wanted ? in.atom[entry] : 0;
        unsigned left = __ballot_sync(kAllLanes, wanted);
        crowded = __any_sync(kAllLanes, atom < 0) != 0;
        scored += __popc(left);
        while (left != 0 && !crowded) {
            unsigned own = left;  // a team has the first, the second, ... of those that are left
            for (int team = 0; team < lane / kTeam; ++team) own &= own - 1;
            const bool held = own != 0;
            const int j = __shfl_sync(kAllLanes, atom, held ? __ffs(static_cast<int>(own)) - 1 : 0);
            const double score = score_center(of.rows, i, of.centers, j, held);
            if (held) best.take(score, j);
            for (int team = 0; team < 32 / kTeam; ++team) left &= left - 1;
        }
    }
    if (crowded) {
        if (lane == 0) out.overflowed[atomicAdd(&out.counts->overflowed, 1)] = at;
        return;
    }
    for (int by = kTeam; by < 32; by *= 2) {
        const double score = __shfl_xor_sync(kAllLanes, best.score, by);
        best.take(score, __shfl_xor_sync(kAllLanes, best.atom, by));
    }
    if (lane != 0) return;
    double others = 0;
    if (in.next != nullptr)
        others = __ddiv_rn(value_of(in.next[r]), scale_of(__dsqrt_rn(of.rows.norm2[i])) * of.unit());
    write_nearest(of, out, at, i, best, others);
    if (scored > 0) atomicAdd(&out.counts->scored, static_cast<unsigned long long>(scored));
}

// Rows that have overflowed: a block takes one at a time, and its teams all that it looks at. of.first is 0.
template <class T>
__global__ void __launch_bounds__(kThreads) settle_nearest(Search<T> of, Nearest out) {
    constexpr int kTeams = kThreads / kTeam;
    __shared__ double score[kTeams];
    __shared__ int atom[kTeams];
    const int t = static_cast<int>(threadIdx.x), m = static_cast<int>(of.centers.m);
    for (int r = static_cast<int>(blockIdx.x); r < out.counts->overflowed; r += static_cast<int>(gridDim.x)) {
        const int at = out.overflowed[r], i = of.row(at), known = of.known_center(at);
        const int width = of.width != nullptr ? min(m, of.width[at]) : m;
        Best best;
        if (known >= 0) best.take(of.known_own[at], known);
        for (int base = 0; base < width; base += kTeams) {
            const bool held = base + t / kTeam < width;
            const int j = held ? of.center(base + t / kTeam) : 0;
            const double own = score_center(of.rows, i, of.centers, j, held);
            if (held) best.take(own, j);
        }
        if (t % kTeam == 0) score[t / kTeam] = best.score, atom[t / kTeam] = best.atom;
        __syncthreads();
        if (t == 0) {
            for (int team = 1; team < kTeams; ++team) best.take(score[team], atom[team]);
            write_nearest(of, out, at, i, best, best.score);
            atomicAdd(&out.counts->scored, static_cast<unsigned long long>(width));
        }
        __syncthreads();  // before the next row's
    }
}

}  // namespace latom::cuda
