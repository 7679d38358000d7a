// few_dots.inl.h: products of rows with few atoms: columns lie across the lanes.
//
//   out[i * m + j] = sum_t x[i][t] w[j][t]
//
// Nothing of a row is packed: it is read once, where it lies, while the atoms stay near.
//
// Shapes    x [count] rows of d numbers; atoms [m][stride], m a multiple of 4, stride whole lines of 64 bytes and at
//           least d, with zeros after d; out [count][m].
// Numerics  float32; variants add in different orders. The caller's bound covers d roundings of sums of |x_t w_t|.
// Cost      2 d flops per product, and three instructions to add up its lanes.
//
// As many sums as lanes are made together, so that folding them leaves one sum per lane.

constexpr int kFewDotsAtoms = 4, kFewDotsRows = kLanes / kFewDotsAtoms;

template <int...>
struct Places {};
template <int N, int... K>
struct PlacesTo : PlacesTo<N - 1, N - 1, K...> {};
template <int... K>
struct PlacesTo<0, K...> {
    typedef Places<K...> Type;
};

// a and b hold groups of kWidth partial sums; the result holds those of a, then those of b, in half as many each.
template <int kWidth, int... K>
inline Lanes fold_pair(Lanes a, Lanes b, Places<K...>) {
    constexpr int kHalf = kWidth / 2;
    return (Lanes)__builtin_shufflevector(a, b, (K / kHalf * kWidth + K % kHalf)...) +
           (Lanes)__builtin_shufflevector(a, b, (K / kHalf * kWidth + K % kHalf + kHalf)...);
}

// Lane i of the result is the sum of the lanes of sum[i]; sum [kWidth] is used up.
template <int kWidth>
inline Lanes fold(Lanes* sum) {
    if constexpr (kWidth == 1) {
        return sum[0];
    } else {
#pragma GCC unroll 8
        for (int i = 0; i < kWidth / 2; ++i)
            sum[i] = fold_pair<kWidth>(sum[2 * i], sum[2 * i + 1], typename PlacesTo<kLanes>::Type{});
        return fold<kWidth / 2>(sum);
    }
}

// sum[r * 4 + a] += x[r] w[a], a register of columns.
inline void few_dots_step(const float* const* x, std::int64_t t, const float* w, std::int64_t stride, Lanes* sum) {
    Lanes row[kFewDotsRows];
#pragma GCC unroll 4
    for (int r = 0; r < kFewDotsRows; ++r) row[r] = lanes_at(x[r] + t);
#pragma GCC unroll 4
    for (int a = 0; a < kFewDotsAtoms; ++a) {
        const Lanes v = lanes_at(w + a * stride);
#pragma GCC unroll 4
        for (int r = 0; r < kFewDotsRows; ++r)
            sum[r * kFewDotsAtoms + a] = lanes_fma(row[r], v, sum[r * kFewDotsAtoms + a]);
    }
}

void few_dots(const float* const* x, std::int64_t count, std::int64_t d, const float* atoms, std::int64_t m,
              std::int64_t stride, float* out) {
    const std::int64_t whole = d / kLanes * kLanes;
    for (std::int64_t i = 0; i < count; i += kFewDotsRows) {
        const float *row[kFewDotsRows], *next[kFewDotsRows], *rest[kFewDotsRows];
        float *to[kFewDotsRows], tail[kFewDotsRows][kLanes] = {};
        for (int r = 0; r < kFewDotsRows; ++r) {  // the last row again where there are too few
            const std::int64_t at = i + r < count ? i + r : count - 1;
            const std::int64_t later = at + kFewDotsRows < count ? at + kFewDotsRows : at;
            row[r] = x[at];
            next[r] = x[later];
            to[r] = out + at * m;
            for (std::int64_t t = whole; t < d; ++t) tail[r][t - whole] = x[at][t];
            rest[r] = tail[r];
        }
        for (std::int64_t j = 0; j < m; j += kFewDotsAtoms) {
            const float* w = atoms + j * stride;
            Lanes sum[kLanes] = {};
            for (std::int64_t t = 0; t < whole; t += kLanes) {
                if (j == 0)
                    for (int r = 0; r < kFewDotsRows; ++r) __builtin_prefetch(next[r] + t);
                few_dots_step(row, t, w + t, stride, sum);
            }
            if (whole < d) few_dots_step(rest, 0, w + whole, stride, sum);
            const Lanes all = fold<kLanes>(sum);
            for (int r = 0; r < kFewDotsRows; ++r)
                __builtin_memcpy(to[r] + j, (const char*)&all + r * kFewDotsAtoms * sizeof(float),
                                 kFewDotsAtoms * sizeof(float));
        }
    }
}
