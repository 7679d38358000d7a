// binned_values.inl.h: sums in integers on a grid (add_binned.inl.h, core/bin_grid.h) as the float64 nearest to them.
//
//   value_t = sum_0[t] u_0 + sum_1[t] u_1 + ...        u_l = 2^-32 u_{l-1}
//
// Each level but the first is first brought to at most 2^31 by a carry to the level above it, and what the first holds
// beyond 2^31 is counted in 2^32 u_0. Then the parts, smallest first, are added in float64. So the value follows from
// the exact sum alone, however it came about; BinGrid::value is the same formula for one number.
//
// `step` is the distance between levels: dense sums stand level by level (step = number of columns), those of sparse
// rows column by column (step = 1).
//
// Numerics  an integer k of at most 2^31 becomes a float64 by adding it to the bits of 1.5 2^52, whose last bit counts
//           ones. Same bits in every variant.
// Cost      some 10 levels instructions per vector of 8 values.

template <int L>
inline Wide binned_value(Line<std::int64_t>::Part* part, const double* unit) {
    typedef Line<std::int64_t>::Part Integers;
    const auto one = spread<Wide>(6755399441055744.0);  // 1.5 2^52
    const auto number = [&](Integers k) { return (Wide)(k + (Integers)one) - one; };
    const auto carry = [](Integers k) { return (k + (std::int64_t{1} << 31)) >> 32; };
    Wide total = {};
#pragma GCC unroll 3
    for (int l = L - 1; l > 0; --l) {
        const Integers up = carry(part[l]);
        part[l - 1] = part[l - 1] + up;
        total = total + number(part[l] - (up << 32)) * unit[l];
    }
    const Integers high = carry(part[0]);
    total = total + number(part[0] - (high << 32)) * unit[0];
    return total + number(high) * 4294967296.0 * unit[0];
}

// Numbers First, First + 2, ... of a and then of b.
template <int First, class V>
inline V every_second(V a, V b) {
    if constexpr (kWide == 8)
        return __builtin_shufflevector(a, b, First, First + 2, First + 4, First + 6, First + 8, First + 10, First + 12,
                                       First + 14);
    else if constexpr (kWide == 4) return __builtin_shufflevector(a, b, First, First + 2, First + 4, First + 6);
    else return __builtin_shufflevector(a, b, First, First + 2);
}

template <int L>
inline void binned_values_levels(const std::int64_t* sum, std::int64_t count, std::int64_t step, const double* unit,
                                 double* out) {
    typedef Line<std::int64_t>::Part Integers;
    const std::int64_t column = step == 1 ? L : 1;
    for (std::int64_t t = 0; t < count; t += kWide) {
        const std::int64_t some = count - t < kWide ? count - t : kWide;
        Integers part[L] = {};
        if (column == 1 && some == kWide) {
#pragma GCC unroll 3
            for (int l = 0; l < L; ++l) part[l] = load<Integers>(sum + l * step + t);
        } else if (L == 2 && column == L && some == kWide) {
            const Integers a = load<Integers>(sum + 2 * t), b = load<Integers>(sum + 2 * t + kWide);
            part[0] = every_second<0>(a, b);
            part[1] = every_second<1>(a, b);
        } else {
            std::int64_t lane[L][kWide] = {};
            for (std::int64_t c = 0; c < some; ++c)
#pragma GCC unroll 3
                for (int l = 0; l < L; ++l) lane[l][c] = sum[(t + c) * column + l * step];
            __builtin_memcpy(part, lane, sizeof part);
        }
        const Wide value = binned_value<L>(part, unit);
        if (some == kWide) __builtin_memcpy(out + t, &value, sizeof value);
        else __builtin_memcpy(out + t, &value, static_cast<unsigned long>(some) * sizeof(double));
    }
}

inline void binned_values(const std::int64_t* sum, std::int64_t count, std::int64_t step, const double* unit,
                          int levels, double* out) {
    if (levels == 2) binned_values_levels<2>(sum, count, step, unit, out);
    else binned_values_levels<3>(sum, count, step, unit, out);
}
