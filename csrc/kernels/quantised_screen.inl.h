// quantised_screen.inl.h: upper bounds on the scores of one sparse row with many atoms, in 8-bit integers.
//
//   <u, c_j>  =  sum_t u_t c_jt  ~  Delta sum_t p_t q_jt,      c_jt ~ sigma_t q_jt,   a_t = u_t sigma_t ~ Delta p_t
//
// q in [-127, 127] is an atom's entry in units of its term's sigma_t = max_j |c_jt| / 127; p in [-127, 127] is the
// row's entry in units of the row's Delta = max_t |a_t| / 127.
//
// Signed data, p and q rounded to nearest: c_jt = sigma_t (q_jt + e), |e| <= 1/2, e = 0 where c_jt = 0, and
// a_t = Delta p_t + r_t, so
//   <u, c_j> - Delta sum p q  =  sum_t a_t e_jt + sum_t r_t q_jt  <=  1/2 sum |a_t| + 127 sum |r_t|
// Rows and atoms without negative entries, p and q rounded up: Delta p_t >= a_t >= 0 and sigma_t q_jt >= c_jt >= 0, so
//   <u, c_j> <= Delta sum p q  <=  <u, c_j> + sum |a_t| + 127 sum |r_t|
// Then what an atom does not hold adds no error to its bound, and most atoms hold little of a row.
// A term whose p is set to zero ("dropped") keeps a_t as its residual r_t and is covered by the sums. Rounding of these
// float32 sums is covered by the caller's slack.
//
// Layout    A head term's values for all atoms are one contiguous run of `stride` bytes, 64 atoms a cache line. Inside
//           a line atom a = 16 k + 4 l + e stands at byte 16 l + 4 k + e: after four lines are interleaved by byte
//           and by pair, 32-bit lanes come out in atom order for 128-, 256- and 512-bit registers alike.
// Numerics  exact integers: |sum| <= nnz 127^2 < 2^31 for nnz <= 133 000 (the caller checks).
// Cost      count * width multiply-adds; count * width bytes.

// The lowest byte of each number.
inline void store_bytes(const i32x16& v, std::int8_t* p) {
    for (int i = 0; i < v.kParts; ++i) {
        typedef std::int8_t Bytes __attribute__((vector_size(kVectorBytes / 4)));
        const Bytes bytes = __builtin_convertvector(v.part[i], Bytes);
        __builtin_memcpy(p + i * v.kEach, &bytes, sizeof bytes);
    }
}

// a [count, a multiple of 16] is read; p [count] is written, rounded up or to nearest. Terms with |p| <= drop become 0.
RowError quantise_row(const float* a, std::int64_t count, bool round_up, int drop, std::int8_t* p) {
    const f32x16 zero = {};
    f32x16 largest = zero;
    for (std::int64_t i = 0; i < count; i += 16) {
        largest = larger(largest, magnitude(line_at(a + i)));
    }
    const float top = max_lanes(largest);
    RowError error{0, 0, 0, 0};
    if (!(top > 1e-30f)) {  // nothing that a float32 could scale
        for (std::int64_t i = 0; i < count; ++i) p[i] = 0;
        error.dropped = error.abs_sum = static_cast<float>(count) * 1e-30f;
        return error;
    }
    error.step = top / 127;
    const float inverse = 127 / top, bump = round_up ? 1.0f : 0.0f;
    const f32x16 limit = line_of(static_cast<float>(drop) + 0.5f), most = line_of(127.0f);
    f32x16 abs_sum = zero, rest = zero, dropped = zero;
    for (std::int64_t i = 0; i < count; i += 16) {
        const f32x16 v = line_at(a + i), scaled = v * inverse;
        f32x16 rounded = nearest_integer(scaled);
        rounded = where_less(rounded, scaled, rounded + bump, rounded);
        rounded = where_less(most, rounded, rounded - 1.0f, rounded);  // 127.00001 is 127
        const f32x16 units = magnitude(rounded), size = magnitude(v);
        abs_sum = abs_sum + size;
        dropped = dropped + where_less(units, limit, size, zero);
        rounded = where_less(units, limit, zero, rounded);
        rest = rest + where_less(units, limit, zero, magnitude(v - rounded * error.step));
        store_bytes(convert<std::int32_t>(rounded), p + i);
    }
    error.abs_sum = sum_lanes(abs_sum);
    error.rest = sum_lanes(rest);
    error.dropped = sum_lanes(dropped);
    return error;
}

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

// Upper bounds ub_j = max(acc_j * step + shift, least) * scale_j + bias_scale * bias_j for j < count; their maximum
// over each 64 in `block`, and the maximum of all as result. Where j is a group of atoms, scale and bias are the
// largest of the group and least is 0, as a negative score may meet any scale; where j is one atom least is minus
// infinity. Without scale and bias (both null): ub_j = acc_j * step + shift.
float block_max(const std::int32_t* acc, std::int64_t count, float step, float shift, float least, const float* scale,
                const float* bias, float bias_scale, float* block) {
    float best = -__builtin_inff();
    std::int64_t j = 0;
    for (; j + 64 <= count; j += 64) {
        f32x16 top;
        if (scale) {
            for (int k = 0; k < 4; ++k) {
                const f32x16 value = convert<float>(line_at(acc + j + 16 * k));
                const f32x16 ub = larger(value * step + shift, line_of(least)) * line_at(scale + j + 16 * k) +
                                  line_at(bias + j + 16 * k) * bias_scale;
                top = k ? larger(top, ub) : ub;
            }
        } else {
            i32x16 largest = line_at(acc + j);  // the bound rises with acc: compare integers, convert once
            for (int k = 1; k < 4; ++k) largest = larger(largest, line_at(acc + j + 16 * k));
            top = convert<float>(largest) * step + shift;
        }
        block[j / 64] = max_lanes(top);
        best = block[j / 64] > best ? block[j / 64] : best;
    }
    if (j < count) {
        float top = -__builtin_inff();
        for (std::int64_t i = j; i < count; ++i) {
            float ub = static_cast<float>(acc[i]) * step + shift;
            if (scale) ub = (ub > least ? ub : least) * scale[i] + bias_scale * bias[i];
            top = ub > top ? ub : top;
        }
        block[j / 64] = top;
        best = top > best ? top : best;
    }
    return best;
}
