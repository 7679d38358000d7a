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

#include "cuda/csr_nearest.h"
#include "cuda/decide.cuh"

namespace latom::cuda {

constexpr int kSlice = 256, kOfLane = kSlice / 32;  // centers of a warp, and of each of its threads: 16 bytes
constexpr int kMostSlices = 8;                      // of a slab
constexpr int kListed = 128, kCrowd = 16;           // candidates per row, and of a slice
constexpr int kMostTerms = 1 << 18;                 // of rows that have a bound
static_assert(kOfLane == 8);

/// Centers [first, first + count) of a slab, and which columns each of its slices has.
struct Slab {
    __half* half;         // [d, stride]
    unsigned char* held;  // [slices, d]
    long long stride;
    int d, first, count;
};

/// What is known of the rows of a chunk.
struct Listed {
    float *scale, *error;  // of pack.cuh
    unsigned* floor;       // key_of what a center is known to reach
    int* filled;           // above kListed: overflowed
    float* upper;          // [rows, kListed]
    int* atom;             // [rows, kListed]; -1: a crowd
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

/// Number p of a center at the column of entry p of a row.
template <class T>
struct AtEntries {
    const int *row, *column;
    const T* value;
    int count;

    __device__ __forceinline__ T operator[](int p) const {
        const int t = row[p];
        int low = 0;
        for (int high = count; low < high;) {
            const int middle = low + (high - low) / 2;
            if (column[middle] < t) low = middle + 1;
            else high = middle;
        }
        return low < count && column[low] == t ? value[low] : T{0};
    }
};

template <class T>
__device__ __forceinline__ int terms_of(const CsrRows<T>& rows, long long i) {
    return static_cast<int>(rows.begin[i + 1] - rows.begin[i]);
}
// The float64 score by the rule of row i with center j, in the order of the CPU's sparse_dot; by teams as dot8.
template <class T>
__device__ __forceinline__ double score_center(const CsrRows<T>& rows, long long i, const CsrCenters<T>& centers, int j,
                                               bool held) {
    const long long from = rows.begin[i], to = centers.rows.begin[j];
    const AtEntries<T> at{rows.column + from, centers.rows.column + to, centers.rows.value + to,
                          terms_of(centers.rows, j)};
    const double dot = dot8(rows.value + from, at, terms_of(rows, i), static_cast<int>(threadIdx.x) % kTeam, held);
    return ruled(centers.factor, centers.bias, dot, j);
}

// Squared lengths of centers. One team a center.
template <class T>
__global__ void __launch_bounds__(kPackThreads) measure_csr(CsrRows<T> rows, int m, double* norm2) {
    const int t = static_cast<int>(threadIdx.x), j = static_cast<int>(blockIdx.x) * kPackRows + t / kTeam;
    const bool held = j < m;
    const T* const value = rows.value + (held ? rows.begin[j] : 0);
    const double sum = dot8(value, value, held ? terms_of(rows, j) : 0, t % kTeam, held);
    if (held && t % kTeam == 0) norm2[j] = sum;
}

// Centers in float16, and the largest bounds of all. One team a center.
template <class T>
__global__ void __launch_bounds__(kPackThreads) pack_csr(CsrCenters<T> to) {
    const int t = static_cast<int>(threadIdx.x), j = static_cast<int>(blockIdx.x) * kPackRows + t / kTeam;
    const bool held = j < static_cast<int>(to.m);
    const long long from = held ? to.rows.begin[j] : 0;
    const int count = held ? terms_of(to.rows, j) : 0;
    const double unit = scale_of(__longlong_as_double(static_cast<long long>(to.bounds->largest)));
    const double scale = held && to.factor != nullptr ? unit * to.factor[j] : unit;
    double rounded = 0, residual = 0;
    __half* const out = to.half + from;
    round_team(
        to.rows.value + from, count, count, scale, t % kTeam, held,
        [=](int p, double v) { return put_half(v, out + p); }, &rounded, &residual);
    if (held && t % kTeam == 0)
        note_atom(j, unit, scale, to.norm2[j], rounded, residual, to.bias, to.bias32, to.bounds);
}

// Scales, bounds and empty lists of n rows. One team a row.
template <class T>
__global__ void __launch_bounds__(kPackThreads)
    start_csr(CsrRows<T> rows, int n, const AtomBounds* bounds, Listed out) {
    const int t = static_cast<int>(threadIdx.x), row = static_cast<int>(blockIdx.x) * kPackRows + t / kTeam;
    const bool held = row < n;
    const int count = held ? terms_of(rows, row) : 0;
    const double unit = scale_of(held ? __dsqrt_rn(rows.norm2[row]) : 0.0);
    double rounded = 0, residual = 0;
    round_team(
        rows.value + (held ? rows.begin[row] : 0), count, count, unit, t % kTeam, held,
        [](int, double v) { return static_cast<double>(static_cast<float>(v)); }, &rounded, &residual);
    if (!held || t % kTeam != 0) return;
    const float error =
        count > kMostTerms ? kUnbounded : error_of(unit, rounded, residual, 1.02 * (count + 8) * 0x1p-24, bounds);
    out.scale[row] = static_cast<float>(unit);
    out.error[row] = error;
    out.floor[row] = key_of(-FLT_MAX);
    out.filled[row] = error >= kUnbounded ? kListed + 1 : 0;
}

// The float16 of a slab's centers; the slab is 0 before. One block per center.
template <class T>
__global__ void __launch_bounds__(kPackThreads) fill_slab(CsrCenters<T> centers, Slab slab) {
    const int at = static_cast<int>(blockIdx.x), j = slab.first + at;
    unsigned char* const held = slab.held + static_cast<long long>(at / kSlice) * slab.d;
    const long long end = centers.rows.begin[j + 1];
    for (long long e = centers.rows.begin[j] + threadIdx.x; e < end; e += kPackThreads) {
        const int t = centers.rows.column[e];
        slab.half[t * slab.stride + at] = centers.half[e];
        held[t] = 1;
    }
}

// sum[c] += x * w[c] for the eight float16 of w.
__device__ __forceinline__ void add_column(float x, uint4 w, float* sum) {
    const unsigned word[4] = {w.x, w.y, w.z, w.w};
    LATOM_UNROLL
    for (int c = 0; c < kOfLane; ++c) {
        const unsigned half = c % 2 ? word[c / 2] >> 16 : word[c / 2] & 0xffffu;
        sum[c] = __fmaf_rn(x, __half2float(__ushort_as_half(static_cast<unsigned short>(half))), sum[c]);
    }
}

// Products in float32 of row `row` with a slice of a slab, each lane those of kOfLane centers. By whole warps.
template <class T>
__device__ __forceinline__ void multiply_slice(const CsrRows<T>& rows, long long row, const Slab& slab, int slice,
                                               int lane, float* sum) {
    const double unit = scale_of(__dsqrt_rn(rows.norm2[row]));
    const __half* const own = slab.half + slice * kSlice + lane * kOfLane;
    const unsigned char* const held = slab.held + static_cast<long long>(slice) * slab.d;
    const long long end = rows.begin[row + 1];
    for (long long base = rows.begin[row]; base < end; base += 32) {
        int column = 0;
        float value = 0;
        bool wanted = false;
        if (base + lane < end) {
            column = rows.column[base + lane];
            value = static_cast<float>(unit * static_cast<double>(rows.value[base + lane]));
            wanted = held[column] != 0;
        }
        for (unsigned left = __ballot_sync(kAllLanes, wanted); left != 0; left &= left - 1) {
            const int from = __ffs(static_cast<int>(left)) - 1;
            const long long t = __shfl_sync(kAllLanes, column, from);
            const float x = __shfl_sync(kAllLanes, value, from);
            add_column(x, *reinterpret_cast<const uint4*>(own + t * slab.stride), sum);
        }
    }
}

__device__ __forceinline__ void list_center(const Listed& out, long long row, int place, float upper, int atom) {
    if (place >= kListed) return;
    out.upper[row * kListed + place] = upper;
    out.atom[row * kListed + place] = atom;
}

// What may be nearest to n rows among a slab's centers: one warp per row and slice. bias [m], or null.
template <class T>
__global__ void __launch_bounds__(kThreads)
    list_nearest(CsrRows<T> rows, int n, Slab slab, const float* bias, Listed out) {
    const int lane = static_cast<int>(threadIdx.x) % 32, slices = (slab.count + kSlice - 1) / kSlice;
    const long long warp = (static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x) / 32, row = warp / slices;
    if (row >= n) return;
    const float e = out.error[row];
    if (e >= kUnbounded || (bias == nullptr && !(rows.norm2[row] > 0))) return;  // all score 0
    const int slice = static_cast<int>(warp % slices), at = slice * kSlice + lane * kOfLane;
    float score[kOfLane] = {0, 0, 0, 0, 0, 0, 0, 0};
    multiply_slice(rows, row, slab, slice, lane, score);
    const float unit = out.scale[row];
    float best = -FLT_MAX;
    LATOM_UNROLL
    for (int c = 0; c < kOfLane; ++c) {
        if (at + c >= slab.count) continue;
        if (bias != nullptr) score[c] += unit * bias[slab.first + at + c];
        best = max(best, score[c] - e);
    }
    for (int by = 16; by > 0; by /= 2) best = max(best, __shfl_xor_sync(kAllLanes, best, by));
    unsigned known = 0;
    if (lane == 0) known = atomicMax(&out.floor[row], key_of(best));
    const float floor = max(best, value_of(__shfl_sync(kAllLanes, known, 0)));
    const int first = slab.first + at;
    unsigned kept = 0;
    float highest = -FLT_MAX;
    LATOM_UNROLL
    for (int c = 0; c < kOfLane; ++c) {
        score[c] += e;
        if (at + c >= slab.count) continue;
        highest = max(highest, score[c]);
        if (score[c] >= floor) kept |= 1u << c;
    }
    const int own = __popc(kept), all = static_cast<int>(__reduce_add_sync(kAllLanes, static_cast<unsigned>(own)));
    if (all == 0) return;
    if (all > kCrowd) {
        for (int by = 16; by > 0; by /= 2) highest = max(highest, __shfl_xor_sync(kAllLanes, highest, by));
        if (lane == 0) list_center(out, row, atomicAdd(&out.filled[row], 1), highest, -1);
        return;
    }
    int upto = own;  // of the lanes up to this one
    for (int by = 1; by < 32; by *= 2) {
        const int other = __shfl_up_sync(kAllLanes, upto, static_cast<unsigned>(by));
        if (lane >= by) upto += other;
    }
    int place = 0;
    if (lane == 0) place = atomicAdd(&out.filled[row], all);
    place = __shfl_sync(kAllLanes, place, 0) + upto - own;
    LATOM_UNROLL
    for (int c = 0; c < kOfLane; ++c)
        if (kept >> c & 1) list_center(out, row, place++, score[c], first + c);
}

/// Where answers go, for all rows.
struct Nearest {
    int* label;
    double *own, *score;  // each may be null
    int* overflowed;
    RowCounts* counts;
};
template <class T>
__device__ __forceinline__ void write_nearest(const CsrRows<T>& rows, const CsrCenters<T>& centers, const Nearest& out,
                                              int i, const Best& best) {
    const bool any = best.atom >= 0;  // none: a row without length, which scores 0 with all
    out.label[i] = any ? best.atom : 0;
    const double own = any ? best.score : 0.0;
    if (out.own != nullptr) out.own[i] = own;
    if (out.score != nullptr) out.score[i] = user_score(static_cast<int>(centers.measure), own, rows.norm2[i], true);
}

// Rows [first, first + n) of all, whose candidates are listed. One warp per row: four teams score them.
template <class T>
__global__ void __launch_bounds__(kDecideThreads)
    decide_nearest(CsrRows<T> rows, int first, int n, CsrCenters<T> centers, Listed in, Nearest out) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int row = static_cast<int>(blockIdx.x) * (kDecideThreads / 32) + static_cast<int>(threadIdx.x) / 32;
    if (row >= n) return;
    const int filled = in.filled[row], i = first + row;
    const float floor = value_of(in.floor[row]);
    bool crowded = filled > kListed;
    Best best;
    int scored = 0;
    for (int base = 0; base < filled && !crowded; base += 32) {
        const long long at = static_cast<long long>(row) * kListed + base + lane;
        const bool wanted = base + lane < filled && in.upper[at] >= floor;
        const int atom = wanted ? in.atom[at] : 0;
        unsigned left = __ballot_sync(kAllLanes, wanted);
        crowded = __any_sync(kAllLanes, atom < 0) != 0;
        scored += __popc(left);
        while (left != 0 && !crowded) {
            unsigned own = left;  // a team has the first, the second, ... of those that are left
            for (int team = 0; team < lane / kTeam; ++team) own &= own - 1;
            const bool held = own != 0;
            const int j = __shfl_sync(kAllLanes, atom, held ? __ffs(static_cast<int>(own)) - 1 : 0);
            const double score = score_center(rows, i, centers, j, held);
            if (held) best.take(score, j);
            for (int team = 0; team < 32 / kTeam; ++team) left &= left - 1;
        }
    }
    if (crowded) {
        if (lane == 0) out.overflowed[atomicAdd(&out.counts->overflowed, 1)] = i;
        return;
    }
    for (int by = kTeam; by < 32; by *= 2) {
        const double score = __shfl_xor_sync(kAllLanes, best.score, by);
        best.take(score, __shfl_xor_sync(kAllLanes, best.atom, by));
    }
    if (lane != 0) return;
    write_nearest(rows, centers, out, i, best);
    if (scored > 0) atomicAdd(&out.counts->scored, static_cast<unsigned long long>(scored));
}

// Rows that have overflowed: a block takes one at a time, and its teams all centers.
template <class T>
__global__ void __launch_bounds__(kThreads) settle_nearest(CsrRows<T> rows, CsrCenters<T> centers, Nearest out) {
    constexpr int kTeams = kThreads / kTeam;
    __shared__ double score[kTeams];
    __shared__ int atom[kTeams];
    const int t = static_cast<int>(threadIdx.x), m = static_cast<int>(centers.m);
    for (int r = static_cast<int>(blockIdx.x); r < out.counts->overflowed; r += static_cast<int>(gridDim.x)) {
        const int i = out.overflowed[r];
        Best best;
        for (int base = 0; base < m; base += kTeams) {
            const int j = base + t / kTeam;
            const double own = score_center(rows, i, centers, j < m ? j : 0, j < m);
            if (j < m) best.take(own, j);
        }
        if (t % kTeam == 0) score[t / kTeam] = best.score, atom[t / kTeam] = best.atom;
        __syncthreads();
        if (t == 0) {
            for (int team = 1; team < kTeams; ++team) best.take(score[team], atom[team]);
            write_nearest(rows, centers, out, i, best);
            atomicAdd(&out.counts->scored, static_cast<unsigned long long>(m));
        }
        __syncthreads();  // before the next row's
    }
}

}  // namespace latom::cuda
