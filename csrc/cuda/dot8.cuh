// dot8.cuh: float64 dot products by eight threads, in the order of kernels/dot.inl.h, so with the CPU's bits.
//
// Thread l of eight neighbors holds partial sum l: terms p with p mod 8 = l. Shuffles add them as
// ((0+4)+(2+6)) + ((1+5)+(3+7)); all eight get the sum. Products of float32 are exact in float64, so a fused
// multiply-add has the same bits; products of float64 are rounded first.
#pragma once

#include <cfloat>
#include <climits>
#include <cstdint>

#include "cuda/simt.h"

namespace latom::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kTeam = 8;  // threads of one product

__device__ __forceinline__ double add_product(double sum, float a, float b) {
    return __fma_rn(static_cast<double>(a), static_cast<double>(b), sum);
}
__device__ __forceinline__ double add_product(double sum, double a, double b) {
    return __dadd_rn(sum, __dmul_rn(a, b));
}
__device__ __forceinline__ double add_product(double sum, float a, double b) {
    return add_product(sum, static_cast<double>(a), b);
}

// Called by all threads of a warp together. `held` says whether this team has a product; the others get 0. y [d]: an
// array, or what finds number p of one.
template <class T, class Y>
__device__ __forceinline__ double dot8(const T* x, Y y, int d, int lane, bool held) {
    double sum = 0;
    if (held)
        for (int p = lane; p < d; p += kTeam) sum = add_product(sum, x[p], y[p]);
    sum = __dadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 4));
    sum = __dadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 2));
    return __dadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 1));
}

}  // namespace latom::cuda
