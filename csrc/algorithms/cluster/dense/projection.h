// projection.h: rows by their coefficients in few directions, with the length of what these leave out, so that the
// product of two such short rows bounds the product of the long ones.
//
// V [r, d] are float32 directions, orthonormal up to |V V' - I| <= eta. Of a row x the coefficients a = V x come in
// float32, |a - V x| <= eps |x|; r_x = x - V'a is what they leave out. For rows x and w with coefficients a and b
//   <x, w> = a'(V V')b + <r_x, V'b> + <V'a, r_w> + <r_x, r_w>,     V r_x = (V x - a) - (V V' - I) a,
// so the first term is a'b up to eta |a||b|, and each of the next two is at most (eps |x| + eta |a|) |b| or the like:
// with |a| <= (1 + eta + eps) |x| and eps, eta <= 1e-3
//   |<x, w> - a'b - <r_x, r_w>| <= kappa |x| |w|,                   kappa = 1.01 (2 eps + 3 eta)
// The length of what is left out is known without forming it:
//   |r_x|^2 = |x|^2 - 2 (V x)'a + a'(V V')a <= t_x^2 = max(0, |x|^2 - |a|^2) + 2 eps |x||a| + eta |a|^2
// and by Cauchy-Schwarz, with the short rows x' = (a, t_x) and w' = (b, t_w) of r + 1 numbers,
//   <x, w> <= <x', w'> + kappa |x'| |w'|,        |x'| >= |x|
// which is what row_block.h takes: kappa is its `slack`. It is a bound from above only: from below, 2 t_x t_w are
// missing.
//
// Rounding  a is summed in float32, d terms in order: eps = sqrt(r) (d + 8) 2^-24 (1 + 1%); eta is the Frobenius norm
//           of V V' - I in float64. Rows are of length 0 or within [1e-15, 1e15], where nothing under- or overflows.
// Directions come from some of the rows (orthogonal iteration; Halko, Martinsson & Tropp 2011); whichever they are, the
// bound holds. Cauchy-Schwarz is this tight because |r_x| |r_w| takes both as parallel: what is left out must be short.
// Cost      2 d r flops per row, once; memory 4 (r + 1) + 8 bytes per row.
#pragma once

#include <vector>

#include "core/buffer.h"
#include "rows/rows.h"

namespace latom {

class Projection {
public:
    static constexpr double kShortest2 = 1e-30, kLongest2 = 1e30;  // squared lengths of rows it may be given, beside 0

    Projection() = default;
    /// directions [r, d]; r + 1 a multiple of 16.
    Projection(const KernelTable* kernels, const std::vector<float>& directions, int64_t d);

    explicit operator bool() const { return width_ > 0; }
    int64_t width() const { return width_; }  // r + 1
    double slack() const { return slack_; }   // kappa

    static bool takes(double norm2) { return norm2 == 0 || (norm2 >= kShortest2 && norm2 <= kLongest2); }
    /// Short rows out [count, width] of rows [count] with squared lengths norm2, and their own.
    template <class T>
    void apply(const T* const* rows, const double* norm2, int64_t count, float* out, double* out_norm2) const;

private:
    const KernelTable* kernels_ = nullptr;
    int64_t d_ = 0, width_ = 0;
    double defect_ = 0, rounding_ = 0, slack_ = 0;  // eta, eps, kappa
    AlignedVector<float> columns_;                  // [d, width], V' and a column of 0
};

/// Few directions in which most of the length of rows lies: [r, d], r + 1 a multiple of 16 and at most `most`; empty
/// where there are none that leave out less than `left` of the squared length.
template <class View>
std::vector<float> main_directions(const Context& ctx, const Rows<View>& rows, int64_t most, double left);

}  // namespace latom
