// acceptable.h: which rows algorithms can compute with: the one rule of all families.
//
// A row is acceptable if its numbers are finite and its length is 0 or within [1e-145, 1e145]. Squares of shorter rows
// lose bits to underflow, which would make bounds wrong; sums and differences of squares of longer ones overflow.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/message.h"
#include "core/parallel.h"

namespace latom {

/// Squared lengths of acceptable rows, beside 0.
inline constexpr double kShortestSquare = 1e-290, kLongestSquare = 1e290;

/// Whether a row of `count` stored numbers and this squared length (in float64) is acceptable.
template <class T>
bool acceptable(const T* row, std::int64_t count, double norm2) {
    if (norm2 >= kShortestSquare) return norm2 <= kLongestSquare;
    return norm2 >= 0 && std::all_of(row, row + count, [](T v) { return v == T{0}; });
}

/// The length of a row, whatever its squares would do.
template <class T>
double length_of(const T* row, std::int64_t count) {
    double largest = 0, sum = 0;
    for (std::int64_t p = 0; p < count; ++p) largest = std::max(largest, std::abs(static_cast<double>(row[p])));
    for (std::int64_t p = 0; p < count && largest > 0; ++p) {
        const double part = static_cast<double>(row[p]) / largest;
        sum += part * part;
    }
    return largest * std::sqrt(sum);
}

/// Throws the message for row i of the matrix `name`, which is not acceptable.
template <class T>
[[noreturn]] void refuse_row(const Context& ctx, const std::string& name, std::int64_t i, const T* row,
                             std::int64_t count) {
    const auto wrong = std::find_if(row, row + count, [](T v) { return !std::isfinite(v); });
    if (wrong < row + count)
        fail(ctx, name + " must be finite, without NaN or infinity",
             (std::isnan(*wrong) ? "NaN in row " : "infinity in row ") + std::to_string(i),
             "Drop or impute such rows.");
    const double length = length_of(row, count);
    std::ostringstream got;
    got << "a length of " << length << " in row " << i;
    fail(ctx, name + " must have rows of length 0 or within [1e-145, 1e145]", got.str(),
         "Scale " + name + (length > 1 ? " down." : " up."));
}

/// The lowest row of n for which bad(i) holds, or n.
template <class Bad>
std::int64_t first_row(const Context& ctx, std::int64_t n, Bad bad) {
    constexpr std::int64_t kRows = 4096;  // of a chunk
    const std::int64_t chunks = chunk_count(n, kRows);
    std::vector<std::int64_t> found(static_cast<std::size_t>(chunks), n);
    parallel_for(ctx, chunks, [&](std::int64_t c, int) {
        for (std::int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i)
            if (bad(i)) {
                found[c] = i;
                return;
            }
    });
    return found.empty() ? n : *std::min_element(found.begin(), found.end());
}

}  // namespace latom
