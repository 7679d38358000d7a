// distance_sums.inl.h: sums of Euclidean distances, from the products of a tile.
//
//   u[r][c] = square_r[r] + square_c[c] - 2 dot[r][c],         dot [rows, width], width whole lines of 64 bytes
//
//   distance_sums       sum[c] += sqrt(max(u, 0)), and crossed[c] += (dot - shift_c[c] - shift_r[r])^2 unless it is
//                       null: over the rows, in their order, for every column of the width
//   bounded_distances   total[r] += max(sqrt u, sqrt low[r]), and near[r] += (u < low[r]): over the first `count`
//                       columns; float32, in sixteen partial sums a row, which are added to the float64 total
//
// Numerics  each operation is rounded by itself. Same bits in every variant.
// Cost      a square root and some six operations per pair.

template <class T>
inline Line<T> square_root(const Line<T>& a) {
    Line<T> v;
    for (int i = 0; i < v.kParts; ++i) {
#if defined(__AVX512F__)
        if constexpr (sizeof(T) == 4) v.part[i] = (typename Line<T>::Part)_mm512_sqrt_ps((__m512)a.part[i]);
        else v.part[i] = (typename Line<T>::Part)_mm512_sqrt_pd((__m512d)a.part[i]);
#elif defined(__AVX2__)
        if constexpr (sizeof(T) == 4) v.part[i] = (typename Line<T>::Part)_mm256_sqrt_ps((__m256)a.part[i]);
        else v.part[i] = (typename Line<T>::Part)_mm256_sqrt_pd((__m256d)a.part[i]);
#elif defined(__SSE2__)
        if constexpr (sizeof(T) == 4) v.part[i] = (typename Line<T>::Part)_mm_sqrt_ps((__m128)a.part[i]);
        else v.part[i] = (typename Line<T>::Part)_mm_sqrt_pd((__m128d)a.part[i]);
#else
        for (int l = 0; l < v.kEach; ++l) v.part[i][l] = static_cast<T>(__builtin_sqrt(a.part[i][l]));
#endif
    }
    return v;
}

inline void distance_sums(const double* dot, std::int64_t rows, std::int64_t width, const double* square_r,
                          const double* square_c, const double* shift_r, const double* shift_c, double* sum,
                          double* crossed) {
    for (std::int64_t c = 0; c < width; c += f64x8::kCount) {
        const f64x8 own = line_at(square_c + c), zero = line_of(0.0);
        f64x8 found = line_at(sum + c);
        for (std::int64_t r = 0; r < rows; ++r) {
            const f64x8 u = own + square_r[r] - line_at(dot + r * width + c) * 2.0;
            found = found + square_root(larger(zero, u));
        }
        line_to(sum + c, found);
        if (!crossed) continue;
        const f64x8 shift = line_at(shift_c + c);
        f64x8 squares = line_at(crossed + c);
        for (std::int64_t r = 0; r < rows; ++r) {
            const f64x8 product = line_at(dot + r * width + c) - shift - shift_r[r];
            squares = squares + product * product;
        }
        line_to(crossed + c, squares);
    }
}

inline void bounded_distances(const float* dot, std::int64_t rows, std::int64_t width, std::int64_t count,
                              const float* square_r, const float* square_c, const float* low, double* total,
                              double* near) {
    for (std::int64_t r = 0; r < rows; ++r) {
        const float *own = dot + r * width, mine = square_r[r], bar = low[r];
        const f32x16 bars = line_of(bar), one = line_of(1.0f), none = line_of(0.0f);
        f32x16 sum = none, under = none;
        std::int64_t c = 0;
        for (; c + f32x16::kCount <= count; c += f32x16::kCount) {
            const f32x16 u = line_at(square_c + c) + mine - line_at(own + c) * 2.0f;
            sum = sum + square_root(larger(bars, u));
            under = under + where_less(u, bars, one, none);
        }
        float rest = 0, few = 0;
        for (; c < count; ++c) {
            const float u = square_c[c] + mine - own[c] * 2.0f;
            rest += __builtin_sqrtf(u < bar ? bar : u);
            few += u < bar ? 1.0f : 0.0f;
        }
        total[r] += static_cast<double>(sum_lanes(sum)) + static_cast<double>(rest);
        near[r] += static_cast<double>(sum_lanes(under)) + static_cast<double>(few);
    }
}
