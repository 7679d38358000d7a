// slices.h: how many columns of rows are gathered from together.
#pragma once

#include <algorithm>
#include <cstdint>

namespace latom {

inline constexpr int64_t kSliceBytes = 8 << 20;  // of all rows' columns of a slice: stays in the last cache

/// Columns of rows [n, d], so many that the last cache holds those of all rows.
template <class T>
int64_t slice_columns(int64_t n, int64_t d) {
    constexpr int64_t kLeast = 128;  // shorter runs cost more than they save
    const int64_t fit = kSliceBytes / (static_cast<int64_t>(sizeof(T)) * n) / kLeast * kLeast;
    return std::clamp<int64_t>(fit, std::min(kLeast, d), d);
}

}  // namespace latom
