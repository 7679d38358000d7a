// symmetric_eigen.h: the largest eigenvalues of a small symmetric matrix, and their vectors.
#pragma once

#include <cstdint>
#include <vector>

#include "latom/context.h"

namespace latom {

/// Of A [w, w], which is overwritten: values [w], falling, and the vectors of the first `count` as rows [count, w].
/// In float64: Householder's reflections to three diagonals, then implicit QL steps. Cost: 4/3 w^3 flops, some 5 w^3
/// for the steps and 2 count w^2. The same bits for every kernel variant.
void symmetric_eigen(const Context& ctx, int64_t w, int64_t count, double* A, std::vector<double>& values,
                     std::vector<double>& vectors);

}  // namespace latom
