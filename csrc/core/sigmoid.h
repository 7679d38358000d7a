// sigmoid.h: 1 / (1 + exp(-x)) without the system's exp, whose last bits differ between processors.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace latom {

/// exp(-x) for x >= 0, within 1e-9 of itself; 0 from 708 on.
inline double exp_minus(double x) {
    if (!(x < 708)) return 0;
    const double whole = std::nearbyint(x * 0x1.71547652b82fep0);                         // x / log 2
    const double r = (whole * 0x1.62e42fee00000p-1 - x) + whole * 0x1.a39ef35793c76p-33;  // -log(2)/2 to log(2)/2
    const double r2 = r * r, r4 = r2 * r2;  // eight terms, in pairs that do not wait for each other
    const double low = (1 + r) + r2 * (0.5 + r * (1.0 / 6));
    const double high = (1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040)) + r4 * (1.0 / 40320);
    return (low + r4 * high) *
           std::bit_cast<double>(static_cast<std::uint64_t>(1023 - static_cast<std::int64_t>(whole)) << 52);
}

inline double sigmoid(double x) {
    const double e = exp_minus(std::fabs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

}  // namespace latom
