// variant.cpp: compiled once per instruction set, with LATOM_ISA naming it; exports that set's table and nothing else.
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
#include "kernels/lanes.inl.h"

#include "kernels/dot.inl.h"
#include "kernels/accumulate.inl.h"
#include "kernels/add_binned.inl.h"
#include "kernels/best_two.inl.h"
#include "kernels/box_atoms.inl.h"
#include "kernels/binned_values.inl.h"
#include "kernels/block_max.inl.h"
#include "kernels/coordinate_sweep.inl.h"
#include "kernels/distance_sums.inl.h"
#include "kernels/extrapolate.inl.h"
#include "kernels/few_dots.inl.h"
#include "kernels/gather.inl.h"
#include "kernels/dots_at.inl.h"
#include "kernels/gram.inl.h"
#include "kernels/interleave.inl.h"
#include "kernels/kth_magnitude.inl.h"
#include "kernels/lead.inl.h"
#include "kernels/log_dot.inl.h"
#include "kernels/product_screen.inl.h"
#include "kernels/candidates.inl.h"
#include "kernels/pull_rows.inl.h"
#include "kernels/pursuit_step.inl.h"
#include "kernels/quantize_row.inl.h"
#include "kernels/raise_bar.inl.h"
#include "kernels/round_row.inl.h"
#include "kernels/sift.inl.h"
#include "kernels/small_cholesky.inl.h"
#include "kernels/small_product.inl.h"
#include "kernels/sparse_two.inl.h"
#include "kernels/transpose.inl.h"
#include "kernels/turn_rows.inl.h"
#include "kernels/widen.inl.h"
// clang-format on

#if defined(__SSE2__)
constexpr ScreenTile* screen_i16 = screen_tile<Int16Step>;
constexpr ScreenPairs* pairs_i16 = screen_pairs<Int16Step>;
#else
constexpr ScreenTile* screen_i16 = nullptr;
constexpr ScreenPairs* pairs_i16 = nullptr;
#endif
#if defined(__AVX512VNNI__)
constexpr ScreenTile* screen_i8 = screen_tile<Int8Step>;
constexpr ScreenPairs* pairs_i8 = screen_pairs<Int8Step>;
#else
constexpr ScreenTile* screen_i8 = nullptr;
constexpr ScreenPairs* pairs_i8 = nullptr;
#endif
#if defined(__AVX512BF16__)
constexpr ScreenTile* screen_bf16 = screen_tile<BFloat16Step>;
constexpr ScreenPairs* pairs_bf16 = screen_pairs<BFloat16Step>;
#else
constexpr ScreenTile* screen_bf16 = nullptr;
constexpr ScreenPairs* pairs_bf16 = nullptr;
#endif

template <class T>
constexpr TypedKernels<T> typed_kernels() {
    return {
        .dense_dot = dense_dot<T>,
        .dense_dots = dense_dots<T>,
        .add_scaled = add_scaled<T>,
        .add_binned = add_binned<T>,
        .round_f32 = round_row<T, float>,
        .round_i16 = round_row<T, std::int16_t>,
        .round_bf16 = round_row<T, std::uint16_t>,
        .round_i8 = round_row<T, std::int8_t>,
        .largest_magnitude = largest_magnitude<T>,
        .kth_magnitude = kth_magnitude<T>,
        .log_dot = log_dot<T>,
        .gram = gram<T>,
        .small_product = small_product<T>,
        .triangular_product = triangular_product<T>,
        .coordinate_sweep = coordinate_sweep<T>,
        .extrapolate = extrapolate<T>,
        .transpose = transpose<T>,
    };
}

template <class T, class I>
constexpr IndexedKernels<T, I> indexed_kernels() {
    return {
        .sparse_dot = sparse_dot<T, I>,
        .sparse_scores = sparse_scores<T, I>,
        .sparse_two = sparse_two<T, I>,
        .scatter_binned = scatter_binned<T, I>,
        .gather_add = gather_add<kVectorBytes, T, I>,
        .dots_at = dots_at<T, I>,
    };
}

}  // namespace

#define LATOM_JOIN2(a, b) a##b
#define LATOM_JOIN(a, b) LATOM_JOIN2(a, b)
#define LATOM_TEXT2(a) #a
#define LATOM_TEXT(a) LATOM_TEXT2(a)

extern const KernelTable LATOM_JOIN(kernels_, LATOM_ISA);
constinit const KernelTable LATOM_JOIN(kernels_, LATOM_ISA) = {
    .isa = LATOM_TEXT(LATOM_ISA),
    .f32 = typed_kernels<float>(),
    .f64 = typed_kernels<double>(),
    .f32_i32 = indexed_kernels<float, std::int32_t>(),
    .f32_i64 = indexed_kernels<float, std::int64_t>(),
    .f64_i32 = indexed_kernels<double, std::int32_t>(),
    .f64_i64 = indexed_kernels<double, std::int64_t>(),
    .interleave = interleave,
    .best_rows = kBestRows,
    .best_two = best_two,
    .turn_rows = turn_rows,
    .box_atoms = box_atoms,
    .few_dots = few_dots,
    .lead = lead,
    .binned_values = binned_values,
    .distance_sums = distance_sums,
    .bounded_distances = bounded_distances,
    .widen_f16 = widen_f16,
    .widen_bf16 = widen_bf16,
    .tile_rows = kTileRows,
    .panel_atoms = kPanelAtoms,
    .screen_f32 = screen_tile<Float32Step>,
    .screen_i16 = screen_i16,
    .screen_bf16 = screen_bf16,
    .screen_i8 = screen_i8,
    .pairs_f32 = screen_pairs<Float32Step>,
    .pairs_i16 = pairs_i16,
    .pairs_bf16 = pairs_bf16,
    .pairs_i8 = pairs_i8,
    .solve_cholesky = solve_cholesky,
    .pull_rows = pull_rows,
    .weave_row = weave_row,
    .pursuit_pairs = pursuit_pairs,
    .pursuit_row = pursuit_row,
    .raise_bar = raise_bar,
    .collect = collect,
    .collect_back = collect_back,
    .drop_below = drop_below,
    .quantize_row = quantize_row,
    .accumulate = accumulate,
    .accumulate_group = accumulate_group,
    .block_max = block_max,
    .sift = sift,
    .dots_at_bf16 = dots_at_bf16,
};

}  // namespace latom
