// log_dot.inl.h: a sum of numbers times logarithms.
//
//   log_dot           sum_p v[p] * log(y[p]),  y positive, normal
//
// Numerics  float64; term p goes to partial sum p mod 8, then as in dot.inl.h. log y = e log 2 + 2 atanh(r) with
//           y = m 2^e, m in [0.707, 1.415), r = (m - 1) / (m + 1): eleven terms, within 2 units in the last place of a
//           normal result.
//           Same bits in every variant.
// Cost      some 30 flops per logarithm.

inline f64x8 log8(const f64x8& y) {
    typedef Line<std::uint64_t> u64x8;
    const u64x8 bits = bits_as<std::uint64_t>(y);
    const std::uint64_t root_half = 0x3fe6a09e00000000u, one = std::uint64_t{1023} << 52;
    const u64x8 biased = (bits - root_half + one) >> 52;  // e + 1023
    const f64x8 m = bits_as<double>(bits - ((biased - 1023) << 52));
    const f64x8 e = bits_as<double>(biased + 0x4338000000000000u) - (0x1.8p52 + 1023);  // the integer as a number
    const f64x8 s = (m - 1) / (m + 1), z = s * s;
    f64x8 polynomial = z * (2.0 / 23) + 2.0 / 21;
    for (int odd = 19; odd >= 3; odd -= 2) {
        const f64x8 product = polynomial * z;
        polynomial = product + 2.0 / odd;
    }
    const f64x8 small = e * 0x1.a39ef35793c76p-33, cubic = s * z, tail = cubic * polynomial;  // log 2 in two parts
    const f64x8 large = e * 0x1.62e42fee00000p-1, twice = s + s;
    return large + (twice + (tail + small));
}

template <class T>
double log_dot(const T* v, const T* y, std::int64_t count) {
    f64x8 sum = {};
    for (std::int64_t p = 0; p < count; p += 8) {
        T weights[8] = {}, numbers[8] = {1, 1, 1, 1, 1, 1, 1, 1};
        const std::int64_t some = count - p < 8 ? count - p : 8;
        for (std::int64_t lane = 0; lane < some; ++lane) {
            weights[lane] = v[p + lane];
            numbers[lane] = y[p + lane];
        }
        const f64x8 product =
            (some == 8 ? wide8(v + p) : wide8(weights)) * log8(some == 8 ? wide8(y + p) : wide8(numbers));
        sum = sum + product;
    }
    return sum_lanes(sum);
}
