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

// clang-format off: each header uses those above it.
#include "kernels/line.inl.h"

#include "kernels/dot.inl.h"
#include "kernels/coordinate_sweep.inl.h"
#include "kernels/gather.inl.h"
#include "kernels/dots_at.inl.h"
#include "kernels/gram.inl.h"
#include "kernels/largest.inl.h"
#include "kernels/product_screen.inl.h"
#include "kernels/candidates.inl.h"
#include "kernels/quantised_screen.inl.h"
#include "kernels/round_row.inl.h"
#include "kernels/small_cholesky.inl.h"
#include "kernels/threshold.inl.h"
// clang-format on

#if defined(__SSE2__)
constexpr ScreenTile* screen_i16 = screen_tile<Int16Step>;
#else
constexpr ScreenTile* screen_i16 = nullptr;
#endif
#if defined(__AVX512VNNI__)
constexpr ScreenTile* screen_i8 = screen_tile<Int8Step>;
#else
constexpr ScreenTile* screen_i8 = nullptr;
#endif
#if defined(__AVX512BF16__)
constexpr ScreenTile* screen_bf16 = screen_tile<BFloat16Step>;
#else
constexpr ScreenTile* screen_bf16 = nullptr;
#endif

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
    dense_dots<float>,
    dense_dots<double>,
    sparse_scores<float, std::int32_t>,
    sparse_scores<float, std::int64_t>,
    sparse_scores<double, std::int32_t>,
    sparse_scores<double, std::int64_t>,
    add_scaled<float>,
    add_scaled<double>,
    round_row<float, float>,
    round_row<double, float>,
    round_row<float, std::int16_t>,
    round_row<double, std::int16_t>,
    round_row<float, std::uint16_t>,
    round_row<double, std::uint16_t>,
    round_row<float, std::int8_t>,
    round_row<double, std::int8_t>,
    largest_magnitude<float>,
    largest_magnitude<double>,
    interleave,
    widen_f16,
    widen_bf16,
    kTileRows,
    kPanelAtoms,
    screen_tile<Float32Step>,
    screen_i16,
    screen_bf16,
    screen_i8,
    solve_cholesky,
    raise_bar,
    collect,
    drop_below,
    kth_magnitude<float>,
    kth_magnitude<double>,
    quantise_row,
    accumulate,
    accumulate_group,
    block_max,
    gather_add<kVectorBytes, float, std::int32_t>,
    gather_add<kVectorBytes, float, std::int64_t>,
    gather_add<kVectorBytes, double, std::int32_t>,
    gather_add<kVectorBytes, double, std::int64_t>,
    dots_at<float, std::int32_t>,
    dots_at<float, std::int64_t>,
    dots_at<double, std::int32_t>,
    dots_at<double, std::int64_t>,
    dots_at_bf16,
    log_dot<float>,
    log_dot<double>,
    gram<float>,
    gram<double>,
    small_product<float>,
    small_product<double>,
    coordinate_sweep<float>,
    coordinate_sweep<double>,
    extrapolate<float>,
    extrapolate<double>,
    transpose<float>,
    transpose<double>,
};

}  // namespace latom
