// variant.cpp: compiled once an instruction set, with LATOM_ISA naming it; exports that set's table and nothing else.
//
// Only C headers, <immintrin.h> and kernel headers may be included: an inline function of the standard library emitted
// here with AVX-512 code could replace the copy that other files use.
#include <stdint.h>

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

#include "kernels/table.h"

namespace latom {
namespace {

#include "kernels/dot.inl.h"
#include "kernels/quantised_screen.inl.h"

}  // namespace

#define LATOM_JOIN2(a, b) a##b
#define LATOM_JOIN(a, b) LATOM_JOIN2(a, b)
#define LATOM_TEXT2(a) #a
#define LATOM_TEXT(a) LATOM_TEXT2(a)

extern const KernelTable LATOM_JOIN(kernels_, LATOM_ISA);
const KernelTable LATOM_JOIN(kernels_, LATOM_ISA) = {
    LATOM_TEXT(LATOM_ISA),
    dense_dot<float>,
    dense_dot<double>,
    sparse_dot<float, std::int32_t>,
    sparse_dot<float, std::int64_t>,
    sparse_dot<double, std::int32_t>,
    sparse_dot<double, std::int64_t>,
    quantise_row,
    accumulate,
    accumulate_group,
    block_max,
};

}  // namespace latom
