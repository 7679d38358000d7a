// squared_distance.h: D^2 of two rows, as seeding knows it.
//
//   D^2(x, y) = 2 - 2 cos(x, y)  (cosine)     |x|^2 + |y|^2 - 2 <x, y>  (Euclidean)        0 within rounding
#pragma once

#include <algorithm>
#include <cmath>

#include "rows/rows.h"

namespace latom {

/// Squared distance of two rows from their product and squared lengths.
struct SquaredDistance {
    Metric metric;
    double zero;  // what rounding may leave of a distance of zero, in units of the squared lengths

    template <class View>
    SquaredDistance(Metric which, const Rows<View>& rows) : metric(which) {
        int64_t longest = 0;
        if constexpr (kIsSparse<View>)
            for (int64_t i = 0; i < rows.n(); ++i) longest = std::max(longest, rows.size(i));
        else longest = rows.d();
        zero = 1e-14 * (1 + static_cast<double>(longest) / 256);
    }

    double operator()(double dot, double x2, double y2) const {
        const bool cosine = metric == Metric::kCosine;
        const double scale = cosine ? 1.0 : x2 + y2;
        const double v = cosine ? 2 - 2 * dot / (std::sqrt(x2) * std::sqrt(y2)) : scale - 2 * dot;
        return v < zero * scale ? 0.0 : v;
    }
};

}  // namespace latom
