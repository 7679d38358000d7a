// csr_slab.cuh: sparse centers in float16, some of them laid out column by column, and the products of rows with them.
//
// A slab has slices of kSlice neighboring centers. A warp multiplies a row with a slice, a thread for kOfLane centers:
// it reads the row's entries 32 at a time, and for each whose column the slice has anything in, 512 bytes of the slab.
#pragma once

#include "cuda/csr_nearest.h"
#include "cuda/decide.cuh"

namespace latom::cuda {

constexpr int kSlice = 256, kOfLane = kSlice / 32;  // centers of a warp, and of each of its threads: 16 bytes
constexpr int kMostSlices = 8;                      // of a slab
static_assert(kOfLane == 8);

/// Centers [first, first + count) of a slab, and which of its slices have anything in a column.
struct Slab {
    __half* half;    // [d, stride]
    unsigned* held;  // [d] a bit per slice
    long long stride;
    int d, first, count;
};

/// A call's rows from `first` on, r = 0, 1, ...
template <class T>
struct Search {
    CsrRows<T> rows;
    CsrCenters<T> centers;
    const int *order, *which, *width, *known;
    const double* known_own;
    int first;

    __device__ __forceinline__ int row(int r) const { return which != nullptr ? which[first + r] : first + r; }
    __device__ __forceinline__ int center(int position) const { return order != nullptr ? order[position] : position; }
    __device__ __forceinline__ int known_center(int r) const { return known != nullptr ? known[first + r] : -1; }
    // u_w of pack.cuh.
    __device__ __forceinline__ double unit() const {
        return scale_of(__longlong_as_double(static_cast<long long>(centers.bounds->largest)));
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

// The float16 of a slab's centers; the slab is 0 before. One block per center.
template <class T>
__global__ void __launch_bounds__(kPackThreads) fill_slab(Search<T> of, Slab slab) {
    const CsrCenters<T>& centers = of.centers;
    const int at = static_cast<int>(blockIdx.x), j = of.center(slab.first + at);
    const unsigned slice = 1u << (at / kSlice);
    const long long end = centers.rows.begin[j + 1];
    for (long long e = centers.rows.begin[j] + threadIdx.x; e < end; e += kPackThreads) {
        const int t = centers.rows.column[e];
        slab.half[t * slab.stride + at] = centers.half[e];
        atomicOr(&slab.held[t], slice);
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
    const long long end = rows.begin[row + 1];
    for (long long base = rows.begin[row]; base < end; base += 32) {
        int column = 0;
        float value = 0;
        bool wanted = false;
        if (base + lane < end) {
            column = rows.column[base + lane];
            value = static_cast<float>(unit * static_cast<double>(rows.value[base + lane]));
            wanted = (slab.held[column] >> slice & 1) != 0;
        }
        for (unsigned left = __ballot_sync(kAllLanes, wanted); left != 0; left &= left - 1) {
            const int from = __ffs(static_cast<int>(left)) - 1;
            const long long t = __shfl_sync(kAllLanes, column, from);
            const float x = __shfl_sync(kAllLanes, value, from);
            add_column(x, *reinterpret_cast<const uint4*>(own + t * slab.stride), sum);
        }
    }
}

}  // namespace latom::cuda
