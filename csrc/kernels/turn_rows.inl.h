// turn_rows.inl.h: neighboring rows of float32 column by column, less a point, and the square of the longest.
//
//   out[t][r] = x[r][t] - origin[t]        r < kBestRows, t < d;        returns max_r sum_t out[t][r]^2
//
// Squares of kLanes rows and as many columns are turned in registers: log2(kLanes) times, row i is interleaved with row
// i + kLanes / 2, for all i at once; after that columns stand where rows did.
//
// Shapes    x [kBestRows][d]; origin [d] or null: 0; out [d][kBestRows].
// Numerics  float32; differences are rounded once. Variants add squares in one order, with or without fused steps.
// Cost      log2(kLanes) + 3 instructions per register of numbers, which are read and written once.

template <int... K>
inline Lanes lower_halves(Lanes a, Lanes b, Places<K...>) {  // a0 b0 a1 b1 ...
    return (Lanes)__builtin_shufflevector(a, b, (K / 2 + K % 2 * kLanes)...);
}
template <int... K>
inline Lanes upper_halves(Lanes a, Lanes b, Places<K...>) {
    return (Lanes)__builtin_shufflevector(a, b, (K / 2 + kLanes / 2 + K % 2 * kLanes)...);
}

// The registers of a square, turned.
template <int kLeft>
inline void turn_square(Lanes* v) {
    if constexpr (kLeft > 1) {
        typedef typename PlacesTo<kLanes>::Type All;
        Lanes turned[kLanes];
#pragma GCC unroll 8
        for (int i = 0; i < kLanes / 2; ++i) {
            turned[2 * i] = lower_halves(v[i], v[i + kLanes / 2], All{});
            turned[2 * i + 1] = upper_halves(v[i], v[i + kLanes / 2], All{});
        }
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) v[i] = turned[i];
        turn_square<kLeft / 2>(v);
    }
}

float turn_rows(const float* x, std::int64_t d, const float* origin, float* out) {
    Lanes norm2[kBestRegisters] = {};
    for (std::int64_t t = 0; t < d; t += kLanes) {
        const std::int64_t columns = d - t < kLanes ? d - t : kLanes;
        for (int q = 0; q < kBestRegisters; ++q) {
            const float* from = x + q * kLanes * d + t;
            Lanes v[kLanes];
            if (columns == kLanes) {
#pragma GCC unroll 16
                for (int r = 0; r < kLanes; ++r) {
                    __builtin_prefetch(from + (r + kBestRows) * d);  // the next rows: hardware sees no stream
                    v[r] = lanes_at(from + r * d);
                }
            } else {
                for (int r = 0; r < kLanes; ++r) {
                    float part[kLanes] = {};
                    for (std::int64_t c = 0; c < columns; ++c) part[c] = from[r * d + c];
                    v[r] = lanes_at(part);
                }
            }
            turn_square<kLanes>(v);
            for (std::int64_t c = 0; c < columns; ++c) {
                const Lanes column = origin ? v[c] - lanes_of(origin[t + c]) : v[c];
                norm2[q] = lanes_fma(column, column, norm2[q]);
                lanes_to(out + (t + c) * kBestRows + q * kLanes, column);
            }
        }
    }
    float lane[kBestRows], largest = 0;
    for (int q = 0; q < kBestRegisters; ++q) lanes_to(lane + q * kLanes, norm2[q]);
    for (const float v : lane) largest = v > largest ? v : largest;
    return largest;
}
