// dots_at.inl.h: dot products of one row with rows at given indices.
//
//   dots_at           out[p] = sum_c x[c] * F[index[p] * width + c]
//   dots_at_bf16      the same of bfloat16
//
// Shapes    index, out [count]; x [width], F of rows `width` apart; width whole lines of 64 bytes, padded with zeros;
//           index [count, ahead) is read as well: what later calls will gather. bfloat16 in cells of two
//           neighboring numbers, `cells` of them per row.
// Numerics  dots_at in T: number c of a line goes to partial sum c, then halves are added to halves. Same bits in every
//           variant. dots_at_bf16 in float32; variants may round differently, each at most as often as there are
//           numbers.
// Cost      2 width flops per product.

template <class T, class I>
inline void prefetch_row(const I* index, std::int64_t p, std::int64_t ahead, const T* F, std::int64_t width) {
    if (p + kGatherAhead >= ahead) return;
    const T* later = F + static_cast<std::int64_t>(index[p + kGatherAhead]) * width;
    for (std::int64_t c = 0; c < width; c += 64 / sizeof(T)) __builtin_prefetch(later + c);
}

#if defined(__AVX512F__)
// Four sums folded together: as many shuffles and additions as one.
template <class I>
inline std::int64_t dots_four(const I* index, std::int64_t count, std::int64_t ahead, const float* x, const float* F,
                              std::int64_t width, float* out) {
    typedef f32x16::Part Whole;
    std::int64_t p = 0;
    for (; p + 4 <= count; p += 4) {
        const float* row[4];
        Whole sum[4] = {};
        for (int q = 0; q < 4; ++q) {
            prefetch_row(index, p + q, ahead, F, width);
            row[q] = F + static_cast<std::int64_t>(index[p + q]) * width;
        }
        for (std::int64_t c = 0; c < width; c += 16) {
            const Whole numbers = load<Whole>(x + c);
#pragma GCC unroll 4
            for (int q = 0; q < 4; ++q) {
                const Whole product = numbers * load<Whole>(row[q] + c);
                sum[q] = sum[q] + product;
            }
        }
        const Whole first =
            __builtin_shufflevector(sum[0], sum[1], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
            __builtin_shufflevector(sum[0], sum[1], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
        const Whole second =
            __builtin_shufflevector(sum[2], sum[3], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
            __builtin_shufflevector(sum[2], sum[3], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
        const Whole all =
            __builtin_shufflevector(first, second, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
            __builtin_shufflevector(first, second, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
        for (int q = 0; q < 4; ++q) out[p + q] = (all[4 * q] + all[4 * q + 2]) + (all[4 * q + 1] + all[4 * q + 3]);
    }
    return p;
}
#else
template <class I>
inline std::int64_t dots_four(const I*, std::int64_t, std::int64_t, const float*, const float*, std::int64_t, float*) {
    return 0;
}
#endif
template <class I>
inline std::int64_t dots_four(const I*, std::int64_t, std::int64_t, const double*, const double*, std::int64_t,
                              double*) {
    return 0;
}

template <class T, class I>
void dots_at(const I* index, std::int64_t count, std::int64_t ahead, const T* x, const T* F, std::int64_t width,
             T* out) {
    for (std::int64_t p = dots_four(index, count, ahead, x, F, width, out); p < count; ++p) {
        prefetch_row(index, p, ahead, F, width);
        const T* row = F + static_cast<std::int64_t>(index[p]) * width;
        Line<T> sum = {};
        for (std::int64_t c = 0; c < width; c += Line<T>::kCount) {
            const Line<T> product = line_at(x + c) * line_at(row + c);
            sum = sum + product;
        }
        out[p] = sum_lanes(sum);
    }
}

#if defined(__AVX512BF16__)
typedef __m512bh Halves;
typedef __m512 HalvesSum;
inline Halves halves_at(const std::uint32_t* p) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p)); }
inline HalvesSum halves_add(HalvesSum sum, Halves x, Halves y) { return _mm512_dpbf16_ps(sum, x, y); }
inline float halves_total(HalvesSum sum) { return _mm512_reduce_add_ps(sum); }
#else
struct Halves {
    f32x16 even, odd;
};
typedef f32x16 HalvesSum;
inline Halves halves_at(const std::uint32_t* p) {
    const u32x16 bits = line_at(p);
    return {bits_as<float>(bits << 16), bits_as<float>(bits & 0xffff0000u)};
}
inline HalvesSum halves_add(const HalvesSum& sum, const Halves& x, const Halves& y) {
    return sum + (x.even * y.even + x.odd * y.odd);
}
inline float halves_total(const HalvesSum& sum) { return sum_lanes(sum); }
#endif

// Four products together, so that none waits for its own additions.
void dots_at_bf16(const std::int32_t* index, std::int64_t count, const std::uint32_t* x, const std::uint32_t* F,
                  std::int64_t cells, float* out) {
    const auto row = [=](std::int64_t p) {
        return F + static_cast<std::int64_t>(index[p < count ? p : count - 1]) * cells;
    };
    for (std::int64_t p = 0; p < count; p += 4) {
        const std::uint32_t *row0 = row(p), *row1 = row(p + 1), *row2 = row(p + 2), *row3 = row(p + 3);
        const std::uint32_t *next0 = row(p + 4), *next1 = row(p + 5), *next2 = row(p + 6), *next3 = row(p + 7);
        HalvesSum sum0 = {}, sum1 = {}, sum2 = {}, sum3 = {};
        for (std::int64_t c = 0; c < cells; c += 16) {
            __builtin_prefetch(next0 + c);
            __builtin_prefetch(next1 + c);
            __builtin_prefetch(next2 + c);
            __builtin_prefetch(next3 + c);
            const Halves numbers = halves_at(x + c);
            sum0 = halves_add(sum0, numbers, halves_at(row0 + c));
            sum1 = halves_add(sum1, numbers, halves_at(row1 + c));
            sum2 = halves_add(sum2, numbers, halves_at(row2 + c));
            sum3 = halves_add(sum3, numbers, halves_at(row3 + c));
        }
        out[p] = halves_total(sum0);
        if (p + 1 < count) out[p + 1] = halves_total(sum1);
        if (p + 2 < count) out[p + 2] = halves_total(sum2);
        if (p + 3 < count) out[p + 3] = halves_total(sum3);
    }
}
