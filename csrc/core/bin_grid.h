// bin_grid.h: the units in which sums are exact integers, so that they can be split, merged and taken back in any
// order.
//
// A number v with |v| <= bound is cut into `levels` integers of at most 2^31, in units u_0 and u_l = 2^-32 u_{l-1}
// (kernels/add_binned.inl.h). The exponents of units are 32 b - 30 for whole b, whatever the bound: grids of different
// bounds share their units, so sums made on a finer grid are those of a coarser one once what lies below its last unit
// is left out (merge()). The largest bound decides, however the numbers were split.
//
// There are as many levels as leave 2^-56 of the bound or less: what a sum of c numbers loses is at most c 2^-57 of it.
// float64 sums in order lose up to c 2^-53 of the sum of absolute values.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace latom {

class BinGrid {
public:
    static constexpr int kMostLevels = 3;

    BinGrid() : BinGrid(1) {}
    /// bound > 0 and finite: no number added is larger, in magnitude.
    explicit BinGrid(double bound) {
        const int most = std::ilogb(bound) + 1;  // bound < 2^most
        // The least whole b with 2^most <= 2^31 u_0 = 2^(32 b + 1).
        const int b = floor_div(most + 30, 32);
        exponent_ = 32 * b - 30;
        levels_ = most - 1 - exponent_ >= 24 ? 2 : 3;
        for (int l = 0; l < kMostLevels; ++l) {
            unit_[l] = std::ldexp(1.0, exponent_ - 32 * l);
            magic_[l] = std::ldexp(1.5, 52 + exponent_ - 32 * l);
        }
    }

    int levels() const { return levels_; }
    int exponent() const { return exponent_; }  // of u_0
    const double* magic() const { return magic_; }
    const double* unit() const { return unit_; }

    /// Of two grids the one that sums of both fit: that of the larger bound.
    static const BinGrid& coarser(const BinGrid& a, const BinGrid& b) {
        if (a.exponent_ != b.exponent_) return a.exponent_ > b.exponent_ ? a : b;
        return a.levels_ < b.levels_ ? a : b;
    }
    /// Adds a sum [from.levels()] made on a grid that is no coarser to one [levels()] on this.
    void merge(const BinGrid& from, const std::int64_t* part, std::int64_t* sum, std::int64_t part_step = 1,
               std::int64_t step = 1) const {
        const int shift = (exponent_ - from.exponent_) / 32;
        for (int l = shift; l < levels_ && l - shift < from.levels_; ++l)
            sum[l * step] += part[(l - shift) * part_step];
    }

    /// The float64 nearest to the sum of integers [levels], `step` apart.
    double value(const std::int64_t* sum, std::int64_t step = 1) const {
        // Each level but the first is brought to at most 2^31 by a carry; then parts are added from the smallest on.
        std::int64_t part[kMostLevels] = {};
        for (int l = 0; l < levels_; ++l) part[l] = sum[l * step];
        for (int l = levels_ - 1; l > 0; --l) {
            const std::int64_t carry = (part[l] + (std::int64_t{1} << 31)) >> 32;
            part[l] -= carry * (std::int64_t{1} << 32);
            part[l - 1] += carry;
        }
        const std::int64_t high = (part[0] + (std::int64_t{1} << 31)) >> 32,
                           low = part[0] - high * (std::int64_t{1} << 32);
        double total = 0;
        for (int l = levels_ - 1; l > 0; --l) total += static_cast<double>(part[l]) * unit_[l];
        total += static_cast<double>(low) * unit_[0];
        return total + static_cast<double>(high) * 0x1p32 * unit_[0];
    }

    /// Adds factor * x, one number.
    void add(double v, std::int64_t* sum) const {
        for (int l = 0; l < levels_; ++l) {
            const double rounded = v + magic_[l];
            std::int64_t bits, large;
            std::memcpy(&bits, &rounded, 8);
            std::memcpy(&large, magic_ + l, 8);
            sum[l] += bits - large;
            v -= rounded - magic_[l];
        }
    }

    bool operator==(const BinGrid& other) const { return exponent_ == other.exponent_ && levels_ == other.levels_; }

private:
    static int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

    int exponent_, levels_;
    double unit_[kMostLevels], magic_[kMostLevels];
};

}  // namespace latom
