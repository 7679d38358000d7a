// pairing.h: whether rows that are the atoms are screened with one product for each two of them.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/message.h"
#include "engines/product_select/row_pairs.h"

namespace latom {

enum class Pairing { kAuto, kAlways, kNever };

inline Pairing parse_pairing(const Context& ctx, const std::string& name) {
    if (name == "auto") return Pairing::kAuto;
    if (name == "always") return Pairing::kAlways;
    if (name == "never") return Pairing::kNever;
    fail(ctx, "pairs must be 'auto', 'always' or 'never'", "'" + name + "'", "Leave it at 'auto'.");
}

/// Whether pairs pay, by measurement: columns, so that products outweigh what follows them, numbers in all, and rows
/// for each of the k. And the bytes that candidates of all rows may take.
template <class T>
bool pairs_fit(int64_t m, int64_t d, int64_t k) {
    constexpr int64_t kColumns = 128, kNumbers = 3 << 20, kShare = 64, kBytes = 512 << 20;
    return d >= kColumns && m * d >= kNumbers && kShare * k <= m && m <= kBytes / RowPairs<T>::row_bytes(k);
}

/// Whether rows of these squared lengths are scaled as atoms are, also where biases have to follow them.
inline bool biases_follow(const std::vector<double>& norm2) {
    constexpr double kLeast = 0x1p-80;  // of int8, whose scale is up to 127 sqrt(d) times that of the length
    return std::none_of(norm2.begin(), norm2.end(), [](double square) { return square > 0 && square < kLeast; });
}

}  // namespace latom
