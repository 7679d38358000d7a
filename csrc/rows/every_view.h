// every_view.h: LATOM_EVERY_VIEW(M) is M(View) for each kind of rows that algorithms are compiled for.
#pragma once

#include "latom/views.h"

namespace latom {

using SparseF32I32 = CsrView<float, int32_t>;
using SparseF32I64 = CsrView<float, int64_t>;
using SparseF64I32 = CsrView<double, int32_t>;
using SparseF64I64 = CsrView<double, int64_t>;

}  // namespace latom

#define LATOM_EVERY_VIEW(M) \
    M(SparseF32I32)         \
    M(SparseF32I64)         \
    M(SparseF64I32)         \
    M(SparseF64I64)         \
    M(DenseView<float>)     \
    M(DenseView<double>)
