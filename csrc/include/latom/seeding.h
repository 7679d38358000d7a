// seeding.h: k-means++ (Arthur & Vassilvitskii 2007): the first centre with probability proportional to w_i, each next
// one to w_i D^2(x_i), D^2 the squared distance to the nearest centre so far (2 - 2 cos under cosine).
//
// Draws are Philox numbers keyed by (seed, draw): results depend neither on threads nor on the kernel variant.
// Rows of weight 0, and under cosine rows of norm 0, are never drawn while others are left.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "latom/context.h"
#include "latom/kmeans.h"
#include "latom/views.h"

namespace latom {

struct Seeding {
    std::vector<int64_t> indices;  // [m], rows of X, distinct
    int64_t distinct = 0;          // the first so many were drawn by the law; the rest fill up (all D^2 were zero)
    double potential = 0;          // sum_i w_i D^2(x_i) at the end
};

/// Cost: m dot products a row, O(m nnz). Extra memory O(n + d).
template <class View>
Seeding kmeans_plusplus(const Context& ctx, const View& X, const double* weights, Metric metric, int64_t m,
                        std::uint64_t seed, const std::string& function);

}  // namespace latom
