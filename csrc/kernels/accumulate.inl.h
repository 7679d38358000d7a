// accumulate.inl.h: the sums of products that quantize_row.inl.h speaks of, for many atoms at once.
//
//   accumulate         acc[j] += sum_t p[t] * slab[line[t] * stride + byte of j]
//   accumulate_group   acc[j] += sum_t p[t] * values[8 * (line[t] >> line_shift) + j],    j < 8: a group's eight atoms
//
// Layout    A head term's values for all atoms are one contiguous run of `stride` bytes, 64 atoms a cache line. Inside
//           a line atom a = 16 k + 4 l + e stands at byte 16 l + 4 k + e: after four lines are interleaved by byte
//           and by pair, 32-bit lanes come out in atom order for 128-, 256- and 512-bit registers alike.
// Numerics  exact integers: |sum| <= nnz 127^2 < 2^31 for nnz <= 133 000 (the caller checks).
// Cost      count * width multiply-adds; count * width bytes.

// acc [width] += sum_t p[t] * slab[line[t] * stride + j] in the line layout above. count is a multiple of 4 (pad with
// p = 0), width of 64, p <= 127.
#if defined(__AVX512BW__)

inline __m512i multiply_add(__m512i acc, __m512i p, __m512i q) {
#if defined(__AVX512VNNI__)
    return _mm512_dpbusd_epi32(acc, p, q);
#else
    return _mm512_add_epi32(acc, _mm512_madd_epi16(_mm512_maddubs_epi16(p, q), _mm512_set1_epi16(1)));
#endif
}

template <int kTiles>
inline void accumulate_tiles(std::int32_t* acc, const std::int8_t* slab, std::int64_t stride, const std::int32_t* line,
                             const std::uint8_t* p, std::int64_t count) {
    __m512i sum[kTiles][4];
    for (int tile = 0; tile < kTiles; ++tile)
        for (int k = 0; k < 4; ++k) sum[tile][k] = _mm512_loadu_si512(acc + 64 * tile + 16 * k);
    for (std::int64_t t = 0; t < count; t += 4) {
        std::int32_t four;
        __builtin_memcpy(&four, p + t, 4);
        const __m512i weight = _mm512_set1_epi32(four);
        const std::int8_t* row[4];
        for (int i = 0; i < 4; ++i) row[i] = slab + line[t + i] * stride;
        if (t + 16 <= count)  // the first lines of later terms: the rest of each run follows in sequence
            for (int i = 12; i < 16; ++i)
                for (int tile = 0; tile < kTiles; tile += 2)
                    __builtin_prefetch(slab + line[t + i] * stride + 64 * tile);
        for (int tile = 0; tile < kTiles; ++tile) {
            const __m512i a = _mm512_loadu_si512(row[0] + 64 * tile), b = _mm512_loadu_si512(row[1] + 64 * tile);
            const __m512i c = _mm512_loadu_si512(row[2] + 64 * tile), d = _mm512_loadu_si512(row[3] + 64 * tile);
            const __m512i ab_lo = _mm512_unpacklo_epi8(a, b), ab_hi = _mm512_unpackhi_epi8(a, b);
            const __m512i cd_lo = _mm512_unpacklo_epi8(c, d), cd_hi = _mm512_unpackhi_epi8(c, d);
            sum[tile][0] = multiply_add(sum[tile][0], weight, _mm512_unpacklo_epi16(ab_lo, cd_lo));
            sum[tile][1] = multiply_add(sum[tile][1], weight, _mm512_unpackhi_epi16(ab_lo, cd_lo));
            sum[tile][2] = multiply_add(sum[tile][2], weight, _mm512_unpacklo_epi16(ab_hi, cd_hi));
            sum[tile][3] = multiply_add(sum[tile][3], weight, _mm512_unpackhi_epi16(ab_hi, cd_hi));
        }
    }
    for (int tile = 0; tile < kTiles; ++tile)
        for (int k = 0; k < 4; ++k) _mm512_storeu_si512(acc + 64 * tile + 16 * k, sum[tile][k]);
}

void accumulate(std::int32_t* acc, const std::int8_t* slab, std::int64_t stride, const std::int32_t* line,
                const std::uint8_t* p, std::int64_t count, std::int64_t width) {
    std::int64_t j = 0;
    for (; j + 256 <= width; j += 256) accumulate_tiles<4>(acc + j, slab + j, stride, line, p, count);
    if (width - j >= 128) {
        accumulate_tiles<2>(acc + j, slab + j, stride, line, p, count);
        j += 128;
    }
    if (j < width) accumulate_tiles<1>(acc + j, slab + j, stride, line, p, count);
}

#elif defined(__AVX2__)

void accumulate(std::int32_t* acc, const std::int8_t* slab, std::int64_t stride, const std::int32_t* line,
                const std::uint8_t* p, std::int64_t count, std::int64_t width) {
    const __m256i ones = _mm256_set1_epi16(1);
    auto load = [](const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); };
    for (std::int64_t j = 0; j < width; j += 64)
        for (int half = 0; half < 2; ++half) {
            std::int32_t* out = acc + j + 8 * half;  // lanes of half h are atoms 16 k + 8 h + (0..7)
            const std::int8_t* base = slab + j + 32 * half;
            __m256i sum[4];
            for (int k = 0; k < 4; ++k) sum[k] = load(out + 16 * k);
            for (std::int64_t t = 0; t < count; t += 4) {
                std::int32_t four;
                __builtin_memcpy(&four, p + t, 4);
                const __m256i weight = _mm256_set1_epi32(four);
                const __m256i a = load(base + line[t] * stride), b = load(base + line[t + 1] * stride);
                const __m256i c = load(base + line[t + 2] * stride), d = load(base + line[t + 3] * stride);
                const __m256i ab_lo = _mm256_unpacklo_epi8(a, b), ab_hi = _mm256_unpackhi_epi8(a, b);
                const __m256i cd_lo = _mm256_unpacklo_epi8(c, d), cd_hi = _mm256_unpackhi_epi8(c, d);
                const __m256i q[4] = {_mm256_unpacklo_epi16(ab_lo, cd_lo), _mm256_unpackhi_epi16(ab_lo, cd_lo),
                                      _mm256_unpacklo_epi16(ab_hi, cd_hi), _mm256_unpackhi_epi16(ab_hi, cd_hi)};
                for (int k = 0; k < 4; ++k)
                    sum[k] = _mm256_add_epi32(sum[k], _mm256_madd_epi16(_mm256_maddubs_epi16(weight, q[k]), ones));
            }
            for (int k = 0; k < 4; ++k) _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 16 * k), sum[k]);
        }
}

#else

void accumulate(std::int32_t* acc, const std::int8_t* slab, std::int64_t stride, const std::int32_t* line,
                const std::uint8_t* p, std::int64_t count, std::int64_t width) {
    for (std::int64_t t = 0; t < count; ++t) {
        const std::int16_t weight = p[t];
        if (weight == 0) continue;
        const std::int8_t* row = slab + line[t] * stride;
        for (std::int64_t j = 0; j < width; j += 64)
            for (int l = 0; l < 4; ++l)
                for (int k = 0; k < 4; ++k)
                    for (int e = 0; e < 4; ++e)
                        acc[j + 16 * k + 4 * l + e] += static_cast<std::int16_t>(weight * row[j + 16 * l + 4 * k + e]);
    }
}

#endif

// acc [8] += sum_t p[t] * values[8 * (line[t] >> line_shift) + j]: one group's eight atoms. count is a multiple of 4.
void accumulate_group(std::int32_t* acc, const std::int8_t* values, const std::int32_t* line, int line_shift,
                      const std::uint8_t* p, std::int64_t count) {
#if defined(__AVX2__)
    __m256i sum = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(acc));
    for (std::int64_t t = 0; t < count; t += 4) {
        std::int32_t four;
        __builtin_memcpy(&four, p + t, 4);
        const __m256i weight = _mm256_set1_epi32(four);
        __m128i row[4];
        for (int i = 0; i < 4; ++i)
            row[i] = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(values + 8 * (line[t + i] >> line_shift)));
        const __m128i ab = _mm_unpacklo_epi8(row[0], row[1]), cd = _mm_unpacklo_epi8(row[2], row[3]);
        const __m256i q = _mm256_set_m128i(_mm_unpackhi_epi16(ab, cd), _mm_unpacklo_epi16(ab, cd));
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
        sum = _mm256_dpbusd_epi32(sum, weight, q);
#else
        const __m256i pairs = _mm256_maddubs_epi16(weight, q);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(acc), sum);
#else
    for (std::int64_t t = 0; t < count; ++t)
        for (int j = 0; j < 8; ++j) acc[j] += p[t] * values[8 * (line[t] >> line_shift) + j];
#endif
}
