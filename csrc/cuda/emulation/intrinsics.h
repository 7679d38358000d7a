// intrinsics.h: what kernels call, on the emulated machine. Host code is compiled with -ffp-contract=off.
#pragma once

#include "cuda/emulation/machine.h"

namespace latom::simt {
enum class Which { kThread, kBlockId, kBlock, kGrid };
inline dim3 where(Which which) {
    const Unwatched unwatched;
    const Machine& m = Machine::get();
    return which == Which::kThread    ? m.now->id
           : which == Which::kBlockId ? m.block_id
           : which == Which::kBlock   ? m.block
                                      : m.grid;
}
}  // namespace latom::simt
#define threadIdx (::latom::simt::where(::latom::simt::Which::kThread))
#define blockIdx (::latom::simt::where(::latom::simt::Which::kBlockId))
#define blockDim (::latom::simt::where(::latom::simt::Which::kBlock))
#define gridDim (::latom::simt::where(::latom::simt::Which::kGrid))

inline std::uint64_t latom_simt_at(latom::simt::Wait w, latom::simt::Op o, std::uint32_t m, std::uint64_t v, int a = 0,
                                   int n = 32) {
    return latom::simt::Machine::get().collective(w, o, m, v, a, n);
}
inline void __syncthreads() { latom_simt_at(latom::simt::Wait::kBlock, latom::simt::Op::kBlockSync, 0, 0); }
inline int __syncthreads_count(int p) {
    return static_cast<int>(latom_simt_at(latom::simt::Wait::kBlock, latom::simt::Op::kBlockCount, 0, p != 0));
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    latom_simt_at(latom::simt::Wait::kWarp, latom::simt::Op::kSync, mask, 0);
}
inline unsigned __ballot_sync(unsigned mask, int p) {
    return static_cast<unsigned>(latom_simt_at(latom::simt::Wait::kWarp, latom::simt::Op::kBallot, mask, p != 0));
}
inline int __any_sync(unsigned mask, int p) { return __ballot_sync(mask, p) != 0; }
inline int __all_sync(unsigned mask, int p) { return __ballot_sync(mask, !p) == 0; }
template <class T>
T __shfl_sync(unsigned mask, T v, int lane, int width = 32) {
    return latom::simt::from_bits<T>(
        latom_simt_at(latom::simt::Wait::kWarp, latom::simt::Op::kShfl, mask, latom::simt::bits(v), lane, width));
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32) {
    return latom::simt::from_bits<T>(latom_simt_at(latom::simt::Wait::kWarp, latom::simt::Op::kShflUp, mask,
                                                   latom::simt::bits(v), static_cast<int>(by), width));
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32) {
    return latom::simt::from_bits<T>(latom_simt_at(latom::simt::Wait::kWarp, latom::simt::Op::kShflDown, mask,
                                                   latom::simt::bits(v), static_cast<int>(by), width));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int by, int width = 32) {
    return latom::simt::from_bits<T>(
        latom_simt_at(latom::simt::Wait::kWarp, latom::simt::Op::kShflXor, mask, latom::simt::bits(v), by, width));
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned v) {
    return static_cast<unsigned>(latom_simt_at(latom::simt::Wait::kWarp, latom::simt::Op::kReduceAdd, mask, v));
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned v) {
    return static_cast<unsigned>(latom_simt_at(latom::simt::Wait::kWarp, latom::simt::Op::kReduceMax, mask, v));
}
template <class T>
T atomicAdd(T* p, T v) {
    if constexpr (std::is_integral_v<T>) return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
    else {
        T old = *p;
        *p = old + v;
        return old;
    }
}
template <class T>
T atomicMax(T* p, T v) {
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    if (v > old) __atomic_store_n(p, v, __ATOMIC_RELAXED);
    return old;
}
template <class T>
T atomicOr(T* p, T v) {
    return __atomic_fetch_or(p, v, __ATOMIC_RELAXED);
}
template <class T>
T atomicMin(T* p, T v) {
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    if (v < old) __atomic_store_n(p, v, __ATOMIC_RELAXED);
    return old;
}
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v ? __builtin_clz(static_cast<unsigned>(v)) : 32; }
template <class T>
T __ldg(const T* p) {
    return *p;
}
template <class T>
T __ldcs(const T* p) {
    return *p;
}
inline double __dmul_rn(double a, double b) { return a * b; }  // compiled with -ffp-contract=off
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fmaf(a, b, c); }
inline float __uint_as_float(unsigned u) { return latom::simt::from_bits<float>(u); }
inline unsigned __float_as_uint(float f) { return static_cast<unsigned>(latom::simt::bits(f)); }
inline long long __double_as_longlong(double v) { return static_cast<long long>(latom::simt::bits(v)); }
inline double __longlong_as_double(long long v) {
    return latom::simt::from_bits<double>(static_cast<std::uint64_t>(v));
}
struct __half {
    std::uint16_t x;
};
inline float __half2float(__half h) {
    _Float16 f;
    std::memcpy(&f, &h, 2);
    return static_cast<float>(f);
}
inline __half __float2half_rn(float v) {
    const auto f = static_cast<_Float16>(v);
    __half h;
    std::memcpy(&h, &f, 2);
    return h;
}
inline unsigned short __half_as_ushort(__half h) { return h.x; }
inline __half __ushort_as_half(unsigned short u) { return {u}; }
