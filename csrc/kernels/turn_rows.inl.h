// turn_rows.inl.h: neighboring rows of float32 column by column, less a point, and the square of the longest.
//
//   out[t][r] = x[r][t] - origin[t]        r < kBestRows, t < d;        returns max_r sum_t out[t][r]^2
//
// Squares of kLanes rows and as many columns are turned in registers: log2(kLanes) times, register i is interleaved with
// register i + half of them, for all i at once; each time the place of a number, written in bits, is rotated by one.
// After that columns stand where rows did. Rows of fewer columns fill fewer registers, which are turned in the same way
// where columns are a power of two; else each column picks its numbers from every register.
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

// N registers of kLanes rows, turned in so many steps.
template <int N, int kSteps>
inline void turn_registers(Lanes* v) {
    if constexpr (kSteps > 1 && N > 1) {
        typedef typename PlacesTo<kLanes>::Type All;
        Lanes turned[N];
#pragma GCC unroll 8
        for (int i = 0; i < N / 2; ++i) {
            turned[2 * i] = lower_halves(v[i], v[i + N / 2], All{});
            turned[2 * i + 1] = upper_halves(v[i], v[i + N / 2], All{});
        }
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) v[i] = turned[i];
        turn_registers<N, kSteps / 2>(v);
    }
}

// The registers that hold columns [t, t + count) of kLanes rows, less the point, to `out`; adds up their squares. (A sum
// of its own: one in memory would be loaded again after each store.)
inline Lanes put_columns(const Lanes* v, std::int64_t count, const float* origin, std::int64_t t, float* out,
                         Lanes sum) {
    for (std::int64_t c = 0; c < count; ++c) {
        const Lanes column = origin ? v[c] - lanes_of(origin[t + c]) : v[c];
        sum = lanes_fma(column, column, sum);
        lanes_to(out + (t + c) * kBestRows, column);
    }
    return sum;
}

// The register that holds column T of rows of D columns: what register R has of it is put in its place.
template <int D, int T, int R, int... K>
inline Lanes pick_column(const Lanes* v, Lanes found, Places<K...> all) {
    if constexpr (R == D) {
        return found;
    } else {
        found = (Lanes)__builtin_shufflevector(found, v[R],
                                               ((D * K + T) / kLanes == R ? kLanes + (D * K + T) % kLanes : K)...);
        return pick_column<D, T, R + 1>(v, found, all);
    }
}
template <int D, int T>
inline void pick_columns(const Lanes* v, Lanes* columns) {
    if constexpr (T < D) {
        columns[T] = pick_column<D, T, 0>(v, v[0], typename PlacesTo<kLanes>::Type{});
        pick_columns<D, T + 1>(v, columns);
    }
}

// Rows of D < kLanes columns.
template <int D>
inline void turn_short(const float* x, const float* origin, float* out, Lanes* norm2) {
    for (int q = 0; q < kBestRegisters; ++q) {
        const float* from = x + q * kLanes * D;
        Lanes v[D], columns[D];
#pragma GCC unroll 8
        for (int i = 0; i < D; ++i) {
            __builtin_prefetch(from + kBestRows * D + i * kLanes);
            columns[i] = v[i] = lanes_at(from + i * kLanes);
        }
        if constexpr ((D & (D - 1)) == 0) turn_registers<D, kLanes>(columns);
        else pick_columns<D, 0>(v, columns);
        norm2[q] = put_columns(columns, D, origin, 0, out + q * kLanes, norm2[q]);
    }
}

inline void turn_long(const float* x, std::int64_t d, const float* origin, float* out, Lanes* norm2) {
    const float* const end = x + kBestRows * d;
    for (std::int64_t t = 0; t < d; t += kLanes) {
        const std::int64_t columns = d - t < kLanes ? d - t : kLanes;
        for (int q = 0; q < kBestRegisters; ++q) {
            const float* from = x + q * kLanes * d + t;
            Lanes v[kLanes];
            if (from + (kLanes - 1) * d + kLanes <= end) {  // what is loaded beyond a row is not used
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
            turn_registers<kLanes, kLanes>(v);
            norm2[q] = put_columns(v, columns, origin, t, out + q * kLanes, norm2[q]);
        }
    }
}

template <int D>
inline void turn_any(const float* x, std::int64_t d, const float* origin, float* out, Lanes* norm2) {
    if constexpr (D == kLanes || D > 8) turn_long(x, d, origin, out, norm2);
    else if (d == D) turn_short<D>(x, origin, out, norm2);
    else turn_any<D + 1>(x, d, origin, out, norm2);
}

float turn_rows(const float* x, std::int64_t d, const float* origin, float* out) {
    Lanes norm2[kBestRegisters] = {};
    turn_any<1>(x, d, origin, out, norm2);
    auto most = (BestFloats)norm2[0];
    for (int q = 1; q < kBestRegisters; ++q) most = (BestFloats)norm2[q] > most ? (BestFloats)norm2[q] : most;
    return fold_vector(most, [](auto a, auto b) { return a > b ? a : b; });
}
