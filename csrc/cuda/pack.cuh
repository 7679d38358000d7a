// pack.cuh: rows and atoms as float16, with what rounding can have done to a score of theirs.
//
// In units of the screen, score s of row x and atom w stands for
//
//   S = <x, f w> + b      s = u_x u_w S      u_x = scale of the row, u_w = that of all atoms: powers of two
//
// with lengths |u_x x| and |u_w f w| of at most 2^7, so that no sum leaves float16. The bias b is added in float32.
// error_x bounds what the data, the sums and the bias can be off by:
//
//   |u x - x~| max |w| + |x~| max |w - w~| + gamma |x~| max |w~| + 2^-20 max |bias|
//
// gamma = 1.02 (d + 8) 2^-22 covers sums of tensor cores in any order, cut or rounded to 24 bits (Fasi et al. 2021),
// and the float64 sums that decide. The rounding of s to float16 comes on top, in select.cuh. Lengths are float64 sums,
// rounded up by a factor above their own errors.
#pragma once

#include "cuda/bounds.h"
#include "cuda/dot8.cuh"

namespace latom::cuda {

constexpr int kPackThreads = 128, kPackRows = kPackThreads / kTeam;
constexpr int kScaleBits = 7;  // lengths are below 2^7
constexpr float kUp = 1.0f + 1e-6f;
constexpr float kUnbounded = FLT_MAX;
// Squared lengths that are acceptable, beside 0: rows/acceptable.h.
constexpr double kShortestSquare = 1e-290, kLongestSquare = 1e290;

__device__ __forceinline__ bool acceptable(double norm2, bool zero) {
    return norm2 >= kShortestSquare ? norm2 <= kLongestSquare : norm2 == 0 && zero;
}
// The power of two that takes a length to [2^(kScaleBits - 1), 2^kScaleBits); 1 for a length of 0.
__device__ __forceinline__ double scale_of(double length) {
    if (!(length > 0)) return 1;
    const int exponent = static_cast<int>(__double_as_longlong(length) >> 52 & 0x7ff) - 1023;  // of normal numbers
    return __longlong_as_double(static_cast<long long>(1023 + kScaleBits - 1 - exponent) << 52);
}
__device__ __forceinline__ void raise(float* most, double value) {  // of values of at least 0
    atomicMax(reinterpret_cast<unsigned*>(most), __float_as_uint(static_cast<float>(value) * kUp));
}

// Squared lengths [n] of rows, in the order that decides, and the first row that is not acceptable.
template <class T>
__global__ void __launch_bounds__(kPackThreads) measure_rows(const T* X, int n, int d, double* norm2, int* bad) {
    const int t = static_cast<int>(threadIdx.x), lane = t % kTeam;
    const int row = static_cast<int>(blockIdx.x) * kPackRows + t / kTeam;
    const T* x = X + static_cast<long long>(row) * d;
    const double sum = dot8(x, x, d, lane, row < n);
    bool zero = true;
    if (row < n)
        for (int p = lane; p < d; p += kTeam) zero &= x[p] == T{0};
    const unsigned team = 0xffu << (t % 32 / kTeam * kTeam);
    zero = (__ballot_sync(kAllLanes, zero) & team) == team;
    if (row >= n || lane != 0) return;
    norm2[row] = sum;
    if (!acceptable(sum, zero)) atomicMin(bad, row);
}

// factor and bias of the rule by which atoms rank (engines/product_select/score_rule.h), and the largest factor *
// length.
LATOM_KERNEL void __launch_bounds__(kPackThreads)
    rule_of_atoms(const double* norm2, int m, int measure, double* factor, double* bias, AtomBounds* bounds) {
    const int j = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (j >= m) return;
    double length = __dsqrt_rn(norm2[j]);
    if (measure == static_cast<int>(Measure::kCosine)) {
        factor[j] = norm2[j] > 0 ? __ddiv_rn(1.0, length) : 0.0;
        length = norm2[j] > 0 ? 1.0 : 0.0;
    }
    if (measure == static_cast<int>(Measure::kEuclidean)) bias[j] = __dmul_rn(-0.5, norm2[j]);
    // Bits of numbers that are not negative rise as they do. A factor's rounding is far below the margin of `length`.
    atomicMax(&bounds->largest, static_cast<unsigned long long>(__double_as_longlong(length)));
}

// One team a row: put(p, v) rounds v = scale * x_p, which is 0 beyond d, and returns what has become of it, for p below
// depth. The length of what is rounded, and of what that left out.
template <class T, class Put>
__device__ __forceinline__ void round_team(const T* x, int d, int depth, double scale, int lane, bool held, Put put,
                                           double* rounded, double* residual) {
    double squares = 0, errors = 0;
    for (int p = lane; p < depth; p += kTeam) {
        const double v = held && p < d ? scale * static_cast<double>(x[p]) : 0.0, w = put(p, v);
        squares += w * w;
        errors += (v - w) * (v - w);
    }
    for (int by = kTeam / 2; by > 0; by /= 2) {
        squares += __shfl_xor_sync(kAllLanes, squares, by);
        errors += __shfl_xor_sync(kAllLanes, errors, by);
    }
    *rounded = __dsqrt_rn(squares);
    *residual = __dsqrt_rn(errors);
}
__device__ __forceinline__ double put_half(double v, __half* out) {
    const __half h = __float2half_rn(static_cast<float>(v));
    *out = h;
    return static_cast<double>(__half2float(h));
}

// What atom j, packed, adds to the bounds of all; and its bias as float32 in units of u_w.
__device__ __forceinline__ void note_atom(int j, double unit, double scale, double norm2, double rounded,
                                          double residual, const double* bias, float* bias32, AtomBounds* bounds) {
    raise(&bounds->length, scale * __dsqrt_rn(norm2));
    raise(&bounds->rounded, rounded);
    raise(&bounds->residual, residual);
    if (bias == nullptr) return;
    const double b = bias[j] * unit;
    // Rows take the exact path where it is infinite in float32, and where it is lost in it though their scales are large.
    bias32[j] = static_cast<float>(b);
    if (b != 0) raise(&bounds->bias, max(fabs(b), 0x1p-120));
}

// error_x of the head of this file, of a row times `unit`. A scale or a bias that float32 does not hold leaves no
// bound: the row takes the exact path.
__device__ __forceinline__ float error_of(double unit, double rounded, double residual, double gamma,
                                          const AtomBounds* bounds) {
    const double e = residual * bounds->length + rounded * bounds->residual + gamma * rounded * bounds->rounded +
                     0x1p-20 * unit * bounds->bias + 0x1p-23;
    const bool bounded = bounds->bias == 0 || (unit < 0x1p100 && unit > 0x1p-100 && unit * bounds->bias < 0x1p100);
    return bounded ? static_cast<float>(e) * kUp : kUnbounded;
}

// Atoms [m, d] as W16 [padded, depth], their bias as float32 in units of u_w, and the largest bounds of all.
template <class T>
__global__ void __launch_bounds__(kPackThreads)
    pack_atoms(const T* W, int m, int padded, int d, int depth, const double* norm2, const double* factor,
               const double* bias, __half* W16, float* bias32, AtomBounds* bounds) {
    const int t = static_cast<int>(threadIdx.x), lane = t % kTeam;
    const int row = static_cast<int>(blockIdx.x) * kPackRows + t / kTeam;
    const bool held = row < m;
    const double unit = scale_of(__longlong_as_double(static_cast<long long>(bounds->largest)));
    const double scale = held && factor != nullptr ? unit * factor[row] : unit;
    double rounded = 0, residual = 0;
    __half* const out = W16 + static_cast<long long>(row) * depth;
    round_team(
        W + static_cast<long long>(row) * d, d, row < padded ? depth : 0, scale, lane, held,
        [=](int p, double v) { return put_half(v, out + p); }, &rounded, &residual);
    if (held && lane == 0) note_atom(row, unit, scale, norm2[row], rounded, residual, bias, bias32, bounds);
}

// Rows [first, first + n) of X as X16 [n, depth]; scale and error [n] of the whole X.
template <class T>
__global__ void __launch_bounds__(kPackThreads)
    pack_rows(const T* X, int first, int n, int d, int depth, const double* norm2, const AtomBounds* bounds,
              __half* X16, float* scale, float* error) {
    const int t = static_cast<int>(threadIdx.x), lane = t % kTeam;
    const int row = static_cast<int>(blockIdx.x) * kPackRows + t / kTeam;
    const bool held = row < n;
    const double length = held ? __dsqrt_rn(norm2[first + row]) : 0.0, unit = scale_of(length);
    double rounded = 0, residual = 0;
    __half* const out = X16 + static_cast<long long>(row) * depth;
    round_team(
        X + (static_cast<long long>(first) + row) * d, d, held ? depth : 0, unit, lane, held,
        [=](int p, double v) { return put_half(v, out + p); }, &rounded, &residual);
    if (!held || lane != 0) return;
    scale[first + row] = static_cast<float>(unit);
    error[first + row] = error_of(unit, rounded, residual, 1.02 * (d + 8) * 0x1p-22, bounds);
}

}  // namespace latom::cuda
