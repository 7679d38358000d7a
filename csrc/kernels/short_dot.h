// short_dot.h: the float64 product of two short rows, to the bits of kernels/dot.inl.h without the call of a kernel.
#pragma once

#include <cstdint>

namespace latom {

inline constexpr std::int64_t kShortDot = 8;  // numbers at most

template <class T>
double short_dot(const T* x, const T* y, std::int64_t d) {
    double s[kShortDot] = {};
    for (std::int64_t t = 0; t < d; ++t) s[t] += static_cast<double>(x[t]) * static_cast<double>(y[t]);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

}  // namespace latom
