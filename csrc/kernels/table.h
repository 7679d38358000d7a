// table.h: every kernel's signature and contract. A table is filled once an instruction set, from the same sources.
//
// Kernels see raw pointers and extents: they allocate nothing, start no thread, throw nothing and export nothing but
// their table. Pointers need no alignment unless said. Ranges do not overlap.
//
// Every kernel gives the same bits in every variant: integers are exact, and floating-point sums have a fixed order
// of fixed partial sums, with products and additions rounded separately (no contraction).
#pragma once

#include <cstdint>

namespace latom {

// One row's terms after quantisation (see quantised_screen.inl.h).
struct RowError {
    float step;     // Delta: value of one unit of p * q
    float abs_sum;  // sum |a_t|, over all terms
    float rest;     // sum |a_t - Delta p_t| over the terms kept
    float dropped;  // sum |a_t| over the terms dropped
};

// Of the atoms of a panel, and of the rows of a tile (see product_screen.inl.h).
struct PanelScale {
    const float *factor, *bias;
    const void* next;  // fetched meanwhile, a line a step
};
struct TileLimit {
    const float *limit, *row_bias;
    bool magnitude;  // compare and return |score|
};
// What bounds the screened scores of a panel's atoms, and the rows of a tile with their candidates (see
// candidates.inl.h).
struct AtomError {
    const float *length, *residual, *magnitude;
};
struct RowCandidates {
    const float *rounding, *length, *bias, *tau;
    const std::int32_t* full;
    std::int32_t* filled;
    float *lower, *upper;  // [tile_rows, capacity]
    std::int32_t* position;
    std::int64_t capacity;
};

typedef std::uint32_t ScreenTile(const void* tile, const void* panel, std::int64_t cells, const PanelScale& scale,
                                 const TileLimit& limits, float* score, std::uint32_t* hit);

struct KernelTable {
    const char* isa;

    // dot.inl.h: float64 dot products in eight interleaved partial sums.
    double (*dense_dot_f32)(const float* x, const float* y, std::int64_t d);
    double (*dense_dot_f64)(const double* x, const double* y, std::int64_t d);
    double (*sparse_dot_f32_i32)(const float* x, const std::int32_t* column, std::int64_t nnz, const float* y);
    double (*sparse_dot_f32_i64)(const float* x, const std::int64_t* column, std::int64_t nnz, const float* y);
    double (*sparse_dot_f64_i32)(const double* x, const std::int32_t* column, std::int64_t nnz, const double* y);
    double (*sparse_dot_f64_i64)(const double* x, const std::int64_t* column, std::int64_t nnz, const double* y);

    // The same sums for `count` pairs of rows x[i], y[i]; out [count]. Faster where neighbouring y are one row.
    void (*dense_dots_f32)(const float* const* x, const float* const* y, std::int64_t count, std::int64_t d,
                           double* out);
    void (*dense_dots_f64)(const double* const* x, const double* const* y, std::int64_t count, std::int64_t d,
                           double* out);

    // sparse_dot of x with `stride` rows at once, given column by column: Y [d, stride], stride a multiple of 8; out
    // [stride].
    void (*sparse_scores_f32_i32)(const float* x, const std::int32_t* column, std::int64_t nnz, const float* Y,
                                  std::int64_t stride, double* out);
    void (*sparse_scores_f32_i64)(const float* x, const std::int64_t* column, std::int64_t nnz, const float* Y,
                                  std::int64_t stride, double* out);
    void (*sparse_scores_f64_i32)(const double* x, const std::int32_t* column, std::int64_t nnz, const double* Y,
                                  std::int64_t stride, double* out);
    void (*sparse_scores_f64_i64)(const double* x, const std::int64_t* column, std::int64_t nnz, const double* Y,
                                  std::int64_t stride, double* out);
    // sum [d] += factor * x, in float64.
    void (*add_scaled_f32)(const float* x, double factor, std::int64_t d, double* sum);
    void (*add_scaled_f64)(const double* x, double factor, std::int64_t d, double* sum);

    // round_row.inl.h: scale * x in float32, int16 (units of 2^-15, clamped), bfloat16 (the upper half of a float32) or
    // int8 (units of 1, clamped), out [d]; sum of squared residuals, and of squares of out.
    double (*round_f32_f32)(const float* x, std::int64_t d, double scale, float* out, double* length2);
    double (*round_f64_f32)(const double* x, std::int64_t d, double scale, float* out, double* length2);
    double (*round_f32_i16)(const float* x, std::int64_t d, double scale, std::int16_t* out, double* length2);
    double (*round_f64_i16)(const double* x, std::int64_t d, double scale, std::int16_t* out, double* length2);
    double (*round_f32_bf16)(const float* x, std::int64_t d, double scale, std::uint16_t* out, double* length2);
    double (*round_f64_bf16)(const double* x, std::int64_t d, double scale, std::uint16_t* out, double* length2);
    double (*round_f32_i8)(const float* x, std::int64_t d, double scale, std::int8_t* out, double* length2);
    double (*round_f64_i8)(const double* x, std::int64_t d, double scale, std::int8_t* out, double* length2);
    // The largest |x_t|.
    double (*largest_f32)(const float* x, std::int64_t d);
    double (*largest_f64)(const double* x, std::int64_t d);
    // Rows [width, stride] of 4-byte cells as one stream [cells, width].
    void (*interleave)(const std::uint32_t* rows, std::int64_t width, std::int64_t stride, std::int64_t cells,
                       std::uint32_t* out);
    // float16 or bfloat16 as float32; exact.
    void (*widen_f16)(const std::uint16_t* x, std::int64_t count, float* out);
    void (*widen_bf16)(const std::uint16_t* x, std::int64_t count, float* out);

    // product_screen.inl.h: scores of a tile of rows with a panel of atoms. hit [tile_rows], bit c for atom c; returns
    // bit r for each row with any; score [tile_rows, panel_atoms] is written where that is not 0.
    int tile_rows, panel_atoms;
    ScreenTile *screen_f32, *screen_i16, *screen_bf16, *screen_i8;  // null: no such products

    // small_cholesky.inl.h: A x = b in place, A [k, k] by its upper triangle; false where A is not positive definite.
    bool (*solve_cholesky)(double* A, double* b, std::int64_t k);

    // threshold.inl.h: a number that at least k of v [count] reach, or low.
    float (*raise_bar)(const float* v, std::int64_t count, std::int64_t k, float low, int halvings);

    // candidates.inl.h: appends what the screen let pass of `valid` atoms, the first of which stands at `first`, to the
    // candidates of `rows`; those that are full now.
    std::uint32_t (*collect)(std::uint32_t rows, const std::uint32_t* hit, std::uint32_t valid, const float* score,
                             const AtomError& atoms, std::int32_t first, const RowCandidates& to);
    // Removes candidates whose upper bound is below bar, in place; returns how many stay.
    std::int64_t (*drop_below)(float bar, std::int64_t count, float* lower, float* upper, std::int32_t* position);

    // largest.inl.h: the k-th largest magnitude of each lane of x [count, 64 bytes]; bar [64 bytes].
    void (*kth_magnitude_f32)(const float* x, std::int64_t count, std::int64_t k, float* bar);
    void (*kth_magnitude_f64)(const double* x, std::int64_t count, std::int64_t k, double* bar);

    // quantised_screen.inl.h: integer upper bounds for all atoms of a row at once.
    RowError (*quantise_row)(const float* a, std::int64_t count, bool round_up, int drop, std::int8_t* p);
    void (*accumulate)(std::int32_t* acc, const std::int8_t* slab, std::int64_t stride, const std::int32_t* line,
                       const std::uint8_t* p, std::int64_t count, std::int64_t width);
    void (*accumulate_group)(std::int32_t* acc, const std::int8_t* values, const std::int32_t* line, int line_shift,
                             const std::uint8_t* p, std::int64_t count);
    float (*block_max)(const std::int32_t* acc, std::int64_t count, float step, float shift, float least,
                       const float* scale, const float* bias, float bias_scale, float* block);

    // gather.inl.h: out [width] += sum over `count` terms of value[p] * row index[p] of W; index [ahead] is read.
    void (*gather_add_f32_i32)(const std::int32_t* index, const float* value, std::int64_t count, std::int64_t ahead,
                               const float* W, std::int64_t stride, std::int64_t width, float* out);
    void (*gather_add_f32_i64)(const std::int64_t* index, const float* value, std::int64_t count, std::int64_t ahead,
                               const float* W, std::int64_t stride, std::int64_t width, float* out);
    void (*gather_add_f64_i32)(const std::int32_t* index, const double* value, std::int64_t count, std::int64_t ahead,
                               const double* W, std::int64_t stride, std::int64_t width, double* out);
    void (*gather_add_f64_i64)(const std::int64_t* index, const double* value, std::int64_t count, std::int64_t ahead,
                               const double* W, std::int64_t stride, std::int64_t width, double* out);

    // dots_at.inl.h: out [count] = <x, row index[p] of F>; width whole lines of 64 bytes; index [ahead] is read.
    void (*dots_at_f32_i32)(const std::int32_t* index, std::int64_t count, std::int64_t ahead, const float* x,
                            const float* F, std::int64_t width, float* out);
    void (*dots_at_f32_i64)(const std::int64_t* index, std::int64_t count, std::int64_t ahead, const float* x,
                            const float* F, std::int64_t width, float* out);
    void (*dots_at_f64_i32)(const std::int32_t* index, std::int64_t count, std::int64_t ahead, const double* x,
                            const double* F, std::int64_t width, double* out);
    void (*dots_at_f64_i64)(const std::int64_t* index, std::int64_t count, std::int64_t ahead, const double* x,
                            const double* F, std::int64_t width, double* out);
    // The same of bfloat16, two in a cell; cells whole lines. Variants may round differently.
    void (*dots_at_bf16)(const std::int32_t* index, std::int64_t count, const std::uint32_t* x, const std::uint32_t* F,
                         std::int64_t cells, float* out);
    // Sum of v log y in float64; y positive.
    double (*log_dot_f32)(const float* v, const float* y, std::int64_t count);
    double (*log_dot_f64)(const double* v, const double* y, std::int64_t count);

    // gram.inl.h: G [width, width] += products of all pairs of columns of V; wide [rows, width] is scratch.
    void (*gram_f32)(const float* V, std::int64_t rows, std::int64_t stride, std::int64_t k, std::int64_t width,
                     double* wide, double* G);
    void (*gram_f64)(const double* V, std::int64_t rows, std::int64_t stride, std::int64_t k, std::int64_t width,
                     double* wide, double* G);
    // out [rows, width] = X [rows, d] F [d, width]; width whole lines of 64 bytes.
    void (*small_product_f32)(const float* X, std::int64_t rows, std::int64_t d, const float* F, std::int64_t width,
                              float* out);
    void (*small_product_f64)(const double* X, std::int64_t rows, std::int64_t d, const double* F, std::int64_t width,
                              double* out);

    // coordinate_sweep.inl.h: one sweep over a tile of 128 bytes' worth of rows; returns the violation that it met.
    double (*coordinate_sweep_f32)(float* x, const float* p, const float* G, const float* inverse, std::int64_t k);
    double (*coordinate_sweep_f64)(double* x, const double* p, const double* G, const double* inverse, std::int64_t k);
    void (*extrapolate_f32)(const float* x, float beta, std::int64_t count, float* old);
    void (*extrapolate_f64)(const double* x, double beta, std::int64_t count, double* old);
    void (*transpose_f32)(const float* in, std::int64_t rows, std::int64_t in_stride, std::int64_t columns, float* out,
                          std::int64_t out_stride);
    void (*transpose_f64)(const double* in, std::int64_t rows, std::int64_t in_stride, std::int64_t columns,
                          double* out, std::int64_t out_stride);
};

}  // namespace latom
