// fold.h: a centre of the rows as part of the atoms' bias, so that rows need not be centred.
//
//   <x - c, w_j> + b_j  =  <x, w_j> + out_j,        out_j = b_j - <w_j, c>
//
// float64 throughout, in the order of kernels/dot.inl.h.
#pragma once

#include <string>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// center [d]; bias [m] may be null; out [m]. Cost: m d multiply-adds.
template <class T>
void fold_center(const Context& ctx, const DenseView<T>& atoms, const double* center, const double* bias, double* out);

}  // namespace latom
