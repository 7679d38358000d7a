// sift.inl.h: which of many documents a query's sum of products may make worth a look, in 8 and 16 bits.
//
//   sum_j = acc[j] + sum_t p_t q_t[byte of j],   at most 32767;   j passes if sum_j >= cut, and acc becomes 0
//
// Terms come in pairs: two runs of bytes, interleaved, meet their two weights in one multiply-add of 8 by 8 bits, whose
// pair of products is at most 2 * 127^2 < 2^15. Nothing is negative and additions saturate, so a sum in any order is
// the true one or 32767, which passes every cut.
//
// Layout    Inside a line of 64 bytes document 32 h + 8 l + e, e < 8, stands at byte 16 l + 8 h + e: to interleave
//           within 16 bytes, which is all that registers do, then brings documents out in order.
//
// Cost      pairs * width multiply-adds of bytes; one interleaving, one multiply-add and one addition per 64 of them.

// at [2 * pairs]: where each term's run of bytes begins in slab, every byte at most 127; weights [pairs]: the two
// weights p <= 127 of a pair as bytes 0, 1 and again 2, 3. acc [width], at least 0; width a multiple of 64. passed
// [width]: positions that pass, rising; their count is returned.
#if defined(__AVX512BW__)

template <int kBlocks>
inline std::int64_t sift_blocks(std::int16_t* acc, const std::uint8_t* slab, const std::int32_t* at,
                                const std::uint32_t* weights, std::int64_t pairs, __m512i cut, std::int32_t from,
                                std::int32_t* passed) {
    __m512i sum[kBlocks][2];
    for (int b = 0; b < kBlocks; ++b)
        for (int h = 0; h < 2; ++h) sum[b][h] = _mm512_loadu_si512(acc + 64 * b + 32 * h);
    for (std::int64_t t = 0; t < pairs; ++t) {
        const __m512i weight = _mm512_set1_epi32(static_cast<int>(weights[t]));
        const std::uint8_t *first = slab + at[2 * t], *second = slab + at[2 * t + 1];
        if (t + 3 < pairs)
            for (int b = 0; b < kBlocks; ++b) {
                __builtin_prefetch(slab + at[2 * t + 6] + 64 * b);
                __builtin_prefetch(slab + at[2 * t + 7] + 64 * b);
            }
        for (int b = 0; b < kBlocks; ++b) {
            const __m512i x = _mm512_loadu_si512(first + 64 * b), y = _mm512_loadu_si512(second + 64 * b);
            sum[b][0] = _mm512_adds_epi16(sum[b][0], _mm512_maddubs_epi16(_mm512_unpacklo_epi8(x, y), weight));
            sum[b][1] = _mm512_adds_epi16(sum[b][1], _mm512_maddubs_epi16(_mm512_unpackhi_epi8(x, y), weight));
        }
    }
    std::int64_t count = 0;
    for (int b = 0; b < kBlocks; ++b) {
        std::uint64_t mask = _mm512_cmpge_epi16_mask(sum[b][1], cut);
        mask = mask << 32 | _mm512_cmpge_epi16_mask(sum[b][0], cut);
        for (; mask; mask &= mask - 1) passed[count++] = from + 64 * b + __builtin_ctzll(mask);
        for (int h = 0; h < 2; ++h) _mm512_storeu_si512(acc + 64 * b + 32 * h, _mm512_setzero_si512());
    }
    return count;
}

std::int64_t sift(std::int16_t* acc, const std::uint8_t* slab, const std::int32_t* at, const std::uint32_t* weights,
                  std::int64_t pairs, std::int64_t width, std::int16_t cut, std::int32_t* passed) {
    const __m512i least = _mm512_set1_epi16(cut);
    std::int64_t j = 0, count = 0;
    for (; j + 256 <= width; j += 256)
        count +=
            sift_blocks<4>(acc + j, slab + j, at, weights, pairs, least, static_cast<std::int32_t>(j), passed + count);
    for (; j < width; j += 64)
        count +=
            sift_blocks<1>(acc + j, slab + j, at, weights, pairs, least, static_cast<std::int32_t>(j), passed + count);
    return count;
}

#elif defined(__AVX2__)

std::int64_t sift(std::int16_t* acc, const std::uint8_t* slab, const std::int32_t* at, const std::uint32_t* weights,
                  std::int64_t pairs, std::int64_t width, std::int16_t cut, std::int32_t* passed) {
    auto load = [](const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); };
    const __m256i below = _mm256_set1_epi16(static_cast<std::int16_t>(cut - 1));
    std::int64_t count = 0;
    for (std::int64_t j = 0; j < width; j += 64) {
        // sum[s][h]: documents 32 h + 16 s + (0..15), from bytes 32 s .. 32 s + 31 of each line.
        __m256i sum[2][2];
        for (int s = 0; s < 2; ++s)
            for (int h = 0; h < 2; ++h) sum[s][h] = load(acc + j + 32 * h + 16 * s);
        for (std::int64_t t = 0; t < pairs; ++t) {
            const __m256i weight = _mm256_set1_epi32(static_cast<int>(weights[t]));
            for (int s = 0; s < 2; ++s) {
                const __m256i x = load(slab + at[2 * t] + j + 32 * s), y = load(slab + at[2 * t + 1] + j + 32 * s);
                sum[s][0] = _mm256_adds_epi16(sum[s][0], _mm256_maddubs_epi16(_mm256_unpacklo_epi8(x, y), weight));
                sum[s][1] = _mm256_adds_epi16(sum[s][1], _mm256_maddubs_epi16(_mm256_unpackhi_epi8(x, y), weight));
            }
        }
        for (int h = 0; h < 2; ++h)
            for (int s = 0; s < 2; ++s) {
                auto mask = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpgt_epi16(sum[s][h], below)));
                for (mask &= 0x55555555U; mask; mask &= mask - 1)
                    passed[count++] = static_cast<std::int32_t>(j) + 32 * h + 16 * s + __builtin_ctz(mask) / 2;
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(acc + j + 32 * h + 16 * s), _mm256_setzero_si256());
            }
    }
    return count;
}

#else

std::int64_t sift(std::int16_t* acc, const std::uint8_t* slab, const std::int32_t* at, const std::uint32_t* weights,
                  std::int64_t pairs, std::int64_t width, std::int16_t cut, std::int32_t* passed) {
    std::int64_t count = 0;
    for (std::int64_t j = 0; j < width; j += 64) {
        std::int32_t sum[64] = {};  // by byte
        for (std::int64_t t = 0; t < 2 * pairs; ++t) {
            const auto weight = static_cast<std::int32_t>(weights[t / 2] >> 8 * (t % 2) & 127);
            const std::uint8_t* bytes = slab + at[t] + j;
            for (int i = 0; i < 64; ++i) sum[i] += weight * bytes[i];
        }
        for (int i = 0; i < 64; ++i) {
            const std::int32_t all = acc[j + i] + sum[16 * (i % 32 / 8) + 8 * (i / 32) + i % 8];
            if ((all < 32767 ? all : 32767) >= cut) passed[count++] = static_cast<std::int32_t>(j) + i;
            acc[j + i] = 0;
        }
    }
    return count;
}

#endif
