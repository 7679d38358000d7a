// simt.h: what a kernel source includes. In a build with CUDA its runtime; elsewhere an emulation of it on the
// processor.
//
//   simt::launch(kernel, grid, block, stream, args...)      instead of kernel<<<...>>>(...), which only nvcc reads
//
//   LATOM_KERNEL                               of a kernel that is no template: several sources may include it
//
// The emulation checks what it runs: emulation/machine.h says how.
#pragma once

#if defined(__CUDACC__) || defined(LATOM_CUDA)

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <utility>

#define LATOM_UNROLL _Pragma("unroll")

#if defined(__CUDACC__)
namespace latom::simt {
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t stream, A&&... args) {
    kernel<<<grid, block, 0, stream>>>(static_cast<P>(std::forward<A>(args))...);
}
}  // namespace latom::simt
#endif

#else

#define LATOM_UNROLL
#include "cuda/emulation/intrinsics.h"
#include "cuda/emulation/runtime.h"

#endif

#define LATOM_KERNEL [[maybe_unused]] static __global__
