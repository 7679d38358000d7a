// table.h: every kernel's signature and contract. A table is filled once per instruction set, from the same sources.
//
// Kernels see raw pointers and extents: they allocate nothing, start no thread, throw nothing and export nothing but
// their table. Pointers need no alignment unless said. Ranges do not overlap.
//
// Every kernel gives the same bits in every variant: integers are exact, and floating-point sums have a fixed order
// of fixed partial sums, with products and additions rounded separately (no contraction).
#pragma once

#include <cstdint>

namespace latom {

// One row's terms after quantization (see quantize_row.inl.h).
struct RowError {
    float step;     // Delta: value of one unit of p * q
    float abs_sum;  // sum |a_t|, over all terms
    float rest;     // sum |a_t - Delta p_t| over the terms kept
    float dropped;  // sum |a_t| over the terms dropped
};

// Of the atoms of a panel, and of the rows of a tile (see product_screen.inl.h).
struct PanelScale {
    const float *factor, *bias;
    const void* next;  // fetched meanwhile, one line per step
};
struct TileLimit {
    const float *limit, *row_bias;
    bool magnitude;  // compare and return |score|
};
// Of the rows of a tile as atoms, with the largest of their errors, and of the atoms of a panel as rows.
struct BackLimit {
    const float *tile_factor, *tile_bias;
    float length, residual, magnitude;
    const float *bar, *rounding, *row_length, *bias_error, *row_bias;
};
// Rows of a tile with hits, and those that are hits of the panel's atoms.
struct PairHits {
    std::uint32_t tile, back;
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

// Atoms as box_atoms.inl.h takes them.
struct BoxAtoms {
    const float *columns, *apart2, *above, *error;
    std::int64_t d, m, stride;
};

// Atoms as lead.inl.h takes them.
struct LeadAtoms {
    const double *factor, *bias, *slope, *base;
    std::int64_t m;
};

constexpr std::int64_t kPursuitBlock = 128;  // atoms

typedef std::uint32_t ScreenTile(const void* tile, const void* panel, std::int64_t cells, const PanelScale& scale,
                                 const TileLimit& limits, float* score, std::uint32_t* hit);
typedef PairHits ScreenPairs(const void* tile, const void* panel, std::int64_t cells, const PanelScale& scale,
                             const TileLimit& limits, const BackLimit& back_limits, float* score, std::uint32_t* hit,
                             float* back, std::uint32_t* back_hit);

/// Kernels for numbers of type T.
template <class T>
struct TypedKernels {
    // dot.inl.h: float64 dot products in eight interleaved partial sums.
    double (*dense_dot)(const T* x, const T* y, std::int64_t d);
    // The same sums for `count` pairs of rows x[i], y[i]; out [count]. Faster where neighboring y are one row.
    void (*dense_dots)(const T* const* x, const T* const* y, std::int64_t count, std::int64_t d, double* out);
    // sum [d] += factor * x, in float64.
    void (*add_scaled)(const T* x, double factor, std::int64_t d, double* sum);

    // add_binned.inl.h: sum [levels, d] += rows x [count] times factors, as integers in the units of magic [levels].
    void (*add_binned)(const T* const* x, const double* factor, std::int64_t count, std::int64_t d, const double* magic,
                       int levels, std::int64_t* sum);

    // round_row.inl.h: scale * x in float32, int16 (units of 2^-15, clamped), bfloat16 (the upper half of a float32) or
    // int8 (units of 1, clamped), out [d]; returns the sum of squared residuals, and stores that of squares of out.
    double (*round_f32)(const T* x, std::int64_t d, double scale, float* out, double* length2);
    double (*round_i16)(const T* x, std::int64_t d, double scale, std::int16_t* out, double* length2);
    double (*round_bf16)(const T* x, std::int64_t d, double scale, std::uint16_t* out, double* length2);
    double (*round_i8)(const T* x, std::int64_t d, double scale, std::int8_t* out, double* length2);

    // kth_magnitude.inl.h: the largest |x_t|.
    double (*largest_magnitude)(const T* x, std::int64_t d);
    // The k-th largest magnitude of each lane of x [count, 64 bytes]; bar [64 bytes].
    void (*kth_magnitude)(const T* x, std::int64_t count, std::int64_t k, T* bar);

    // log_dot.inl.h: sum of v log y in float64; y positive.
    double (*log_dot)(const T* v, const T* y, std::int64_t count);

    // gram.inl.h: G [width, width] += products of all pairs of columns of V; wide [rows, width] is scratch.
    void (*gram)(const T* V, std::int64_t rows, std::int64_t stride, std::int64_t k, std::int64_t width, double* wide,
                 double* G);
    // small_product.inl.h: out [rows, width] = X [rows, d] F [d, width]; width whole lines of 64 bytes.
    void (*small_product)(const T* X, std::int64_t rows, std::int64_t d, const T* F, std::int64_t width, T* out);
    // triangular_product: the same of F that is upper triangular, or else lower.
    void (*triangular_product)(const T* X, std::int64_t rows, std::int64_t d, const T* F, std::int64_t width,
                               bool upper, T* out);

    // coordinate_sweep.inl.h: one sweep over a tile of 128 bytes' worth of rows; returns the violation that it met.
    double (*coordinate_sweep)(T* x, const T* p, const T* G, const T* inverse, std::int64_t k);
    // extrapolate.inl.h: old [count] <- max(0, x + beta (x - old)).
    void (*extrapolate)(const T* x, T beta, std::int64_t count, T* old);
    // transpose.inl.h: out [columns, out_stride] = the transpose of in [rows, in_stride].
    void (*transpose)(const T* in, std::int64_t rows, std::int64_t in_stride, std::int64_t columns, T* out,
                      std::int64_t out_stride);
};

/// Kernels for numbers of type T at indices of type I.
template <class T, class I>
struct IndexedKernels {
    // dot.inl.h: the float64 sum of x [nnz] times y at its columns.
    double (*sparse_dot)(const T* x, const I* column, std::int64_t nnz, const T* y);
    // sparse_dot of x with `stride` rows at once, given column by column: Y [d, stride], stride a multiple of 8; out
    // [stride].
    void (*sparse_scores)(const T* x, const I* column, std::int64_t nnz, const T* Y, std::int64_t stride, double* out);

    // sparse_two.inl.h: of the atoms Y [d, stride], stride a multiple of 16, the best for a row, and the two highest
    // scores.
    void (*sparse_two)(const T* x, const I* column, std::int64_t nnz, const float* Y, std::int64_t stride,
                       const float* factor, const float* bias, std::int32_t* label, float* best, float* second);

    // add_binned.inl.h: sum [d, levels] += factor times one row of nnz entries; touched [d / 8], or null: 1 at each.
    void (*scatter_binned)(const T* x, const I* column, std::int64_t nnz, double factor, const double* magic,
                           int levels, std::int64_t* sum, char* touched);
    // gather.inl.h: out [width] += sum over `count` terms of value[p] * row index[p] of W; index [ahead] is read.
    void (*gather_add)(const I* index, const T* value, std::int64_t count, std::int64_t ahead, const T* W,
                       std::int64_t stride, std::int64_t width, T* out);
    // dots_at.inl.h: out [count] = <x, row index[p] of F>; width whole lines of 64 bytes; index [ahead] is read.
    void (*dots_at)(const I* index, std::int64_t count, std::int64_t ahead, const T* x, const T* F, std::int64_t width,
                    T* out);
};

struct KernelTable {
    const char* isa;

    TypedKernels<float> f32;
    TypedKernels<double> f64;
    IndexedKernels<float, std::int32_t> f32_i32;
    IndexedKernels<float, std::int64_t> f32_i64;
    IndexedKernels<double, std::int32_t> f64_i32;
    IndexedKernels<double, std::int64_t> f64_i64;

    /// The kernels of a type: of<T>() and of<T, I>().
    template <class T>
    constexpr const TypedKernels<T>& of() const {
        if constexpr (sizeof(T) == 4) return f32;
        else return f64;
    }
    template <class T, class I>
    constexpr const IndexedKernels<T, I>& of() const {
        if constexpr (sizeof(T) == 4 && sizeof(I) == 4) return f32_i32;
        else if constexpr (sizeof(T) == 4) return f32_i64;
        else if constexpr (sizeof(I) == 4) return f64_i32;
        else return f64_i64;
    }

    // interleave.inl.h: rows [width, stride] of 4-byte cells as one stream [cells, width].
    void (*interleave)(const std::uint32_t* rows, std::int64_t width, std::int64_t stride, std::int64_t cells,
                       std::uint32_t* out);
    // best_two.inl.h: of the atoms `which` [count] of atoms [m][d] the best for each of best_rows short rows x
    // [d][best_rows], and the two highest scores.
    int best_rows;
    void (*best_two)(const float* x, std::int64_t d, const float* atoms, const float* bias, const std::int32_t* which,
                     std::int64_t count, std::int32_t* label, float* best, float* second);
    // turn_rows.inl.h: best_rows rows of d numbers less a point (null: 0), column by column: out [d][best_rows]; returns
    // the squared length of the longest.
    float (*turn_rows)(const float* x, std::int64_t d, const float* origin, float* out);
    // box_atoms.inl.h: into which [stride] the atoms that may be the best in a box, from the scores of its middle, which
    // are used up; returns their number.
    std::int64_t (*box_atoms)(const BoxAtoms& atoms, const float* half, float radius2, float* score,
                              std::int32_t* which);
    // few_dots.inl.h: out [count][m], products of rows x [count] with atoms [m][stride], m a multiple of 4.
    void (*few_dots)(const float* const* x, std::int64_t count, std::int64_t d, const float* atoms, std::int64_t m,
                     std::int64_t stride, float* out);
    // lead.inl.h: the best of the atoms by products dot [m], what it scores at least and the others at most.
    std::int64_t (*lead)(const float* dot, const LeadAtoms& atoms, double length, double* upper, double* least,
                         double* others);
    // binned_values.inl.h: the float64 values, out [count], of integers on a grid with units [levels]; levels stand
    // `step` apart, or, where that is 1, side by side: sum [count, levels].
    void (*binned_values)(const std::int64_t* sum, std::int64_t count, std::int64_t step, const double* unit,
                          int levels, double* out);
    // distance_sums.inl.h: dot [rows, width], width whole lines; sum and crossed [width] (crossed may be null, and the
    // shifts then too), total and near [rows] are added to.
    void (*distance_sums)(const double* dot, std::int64_t rows, std::int64_t width, const double* square_r,
                          const double* square_c, const double* shift_r, const double* shift_c, double* sum,
                          double* crossed);
    void (*bounded_distances)(const float* dot, std::int64_t rows, std::int64_t width, std::int64_t count,
                              const float* square_r, const float* square_c, const float* low, double* total,
                              double* near);
    // widen.inl.h: float16 or bfloat16 as float32; exact.
    void (*widen_f16)(const std::uint16_t* x, std::int64_t count, float* out);
    void (*widen_bf16)(const std::uint16_t* x, std::int64_t count, float* out);

    // product_screen.inl.h: scores of a tile of rows with a panel of atoms. hit [tile_rows], bit c for atom c; returns
    // bit r for each row with any; score [tile_rows, panel_atoms] is written where that is not 0.
    int tile_rows, panel_atoms;
    ScreenTile *screen_f32, *screen_i16, *screen_bf16, *screen_i8;  // null: no such products
    // The same of rows that are atoms, and atoms that are rows; back and back_hit as score and hit.
    ScreenPairs *pairs_f32, *pairs_i16, *pairs_bf16, *pairs_i8;

    // small_cholesky.inl.h: A x = b in place, A [k, k] by its upper triangle; false where A is not positive definite.
    bool (*solve_cholesky)(double* A, double* b, std::int64_t k);

    // pull_rows.inl.h: rows index[p] of F and x step along each other, by pull[p], after both shrink by keep.
    void (*pull_rows)(const std::int32_t* index, const float* pull, std::int64_t count, float keep, float* x, float* F,
                      std::int64_t width);

    // pursuit_step.inl.h: out = start - unit * (sum over pairs of rows, of factor times halves), or out -= factor *
    // row; and block [width / kPursuitBlock], the largest of each. weave_row puts a row into the lower or upper halves.
    void (*weave_row)(const std::int16_t* row, bool odd, std::int64_t width, std::uint32_t* pairs);
    void (*pursuit_pairs)(const float* start, const std::uint32_t* const* pairs, const std::uint32_t* factor,
                          std::int64_t count, float unit, std::int64_t width, bool magnitudes, float* out,
                          float* block);
    void (*pursuit_row)(const std::int16_t* row, float factor, std::int64_t width, bool magnitudes, float* out,
                        float* block);

    // raise_bar.inl.h: a number that at least k of v [count] reach, or low.
    float (*raise_bar)(const float* v, std::int64_t count, std::int64_t k, float low, int halvings);

    // candidates.inl.h: appends what the screen let pass of `valid` atoms, the first of which stands at `first`, to the
    // candidates of `rows`; returns those that are full now.
    std::uint32_t (*collect)(std::uint32_t rows, const std::uint32_t* hit, std::uint32_t valid, const float* score,
                             const AtomError& atoms, std::int32_t first, const RowCandidates& to);
    // The same for the atoms of the panel as rows, of which those of the tile are candidates; returns atoms.
    std::uint32_t (*collect_back)(std::uint32_t rows, const std::uint32_t* hit, std::uint32_t valid, const float* score,
                                  const AtomError& atoms, std::int32_t first, const RowCandidates& to);
    // Removes candidates whose upper bound is below bar, in place; returns how many stay.
    std::int64_t (*drop_below)(float bar, std::int64_t count, float* lower, float* upper, std::int32_t* position);

    // quantize_row.inl.h: a sparse row's terms in 8 bits, and the error of its bounds.
    RowError (*quantize_row)(const float* a, std::int64_t count, bool round_up, int drop, std::int8_t* p);
    // accumulate.inl.h: integer sums of a row with all atoms at once, or with a group's eight.
    void (*accumulate)(std::int32_t* acc, const std::int8_t* slab, std::int64_t stride, const std::int32_t* line,
                       const std::uint8_t* p, std::int64_t count, std::int64_t width);
    void (*accumulate_group)(std::int32_t* acc, const std::int8_t* values, const std::int32_t* line, int line_shift,
                             const std::uint8_t* p, std::int64_t count);
    // block_max.inl.h: the largest upper bound of each 64 sums, and of all.
    float (*block_max)(const std::int32_t* acc, std::int64_t count, float step, float shift, float least,
                       const float* scale, const float* bias, float bias_scale, float* block);

    // sift.inl.h: positions of the documents whose 16-bit sums, which begin with acc and are cleared, reach cut.
    std::int64_t (*sift)(std::int16_t* acc, const std::uint8_t* slab, const std::int32_t* at,
                         const std::uint32_t* weights, std::int64_t pairs, std::int64_t width, std::int16_t cut,
                         std::int32_t* passed);

    // dots_at.inl.h: dots_at of bfloat16, two in a cell; cells whole lines. Variants may round differently.
    void (*dots_at_bf16)(const std::int32_t* index, std::int64_t count, const std::uint32_t* x, const std::uint32_t* F,
                         std::int64_t cells, float* out);
};

}  // namespace latom
