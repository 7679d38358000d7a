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

struct KernelTable {
    const char* isa;

    // dot.inl.h: float64 dot products in eight interleaved partial sums.
    double (*dense_dot_f32)(const float* x, const float* y, std::int64_t d);
    double (*dense_dot_f64)(const double* x, const double* y, std::int64_t d);
    double (*sparse_dot_f32_i32)(const float* x, const std::int32_t* column, std::int64_t nnz, const float* y);
    double (*sparse_dot_f32_i64)(const float* x, const std::int64_t* column, std::int64_t nnz, const float* y);
    double (*sparse_dot_f64_i32)(const double* x, const std::int32_t* column, std::int64_t nnz, const double* y);
    double (*sparse_dot_f64_i64)(const double* x, const std::int64_t* column, std::int64_t nnz, const double* y);

    // quantised_screen.inl.h: integer upper bounds for all atoms of a row at once.
    RowError (*quantise_row)(const float* a, std::int64_t count, bool round_up, int drop, std::int8_t* p);
    void (*accumulate)(std::int32_t* acc, const std::int8_t* slab, std::int64_t stride, const std::int32_t* line,
                       const std::uint8_t* p, std::int64_t count, std::int64_t width);
    void (*accumulate_group)(std::int32_t* acc, const std::int8_t* values, const std::int32_t* line, int line_shift,
                             const std::uint8_t* p, std::int64_t count);
    float (*block_max)(const std::int32_t* acc, std::int64_t count, float step, float shift, float least,
                       const float* scale, const float* bias, float bias_scale, float* block);
};

}  // namespace latom
