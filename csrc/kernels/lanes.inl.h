// lanes.inl.h: a register of float32, and of pairs of int16, for the screen of dense rows and what follows it.
//
// A tile of kTileRows rows with a panel of kPanelAtoms atoms, two registers wide, has as many sums as the registers
// hold.

#if defined(__AVX512F__)
constexpr int kTileRows = 14;
typedef __m512 Lanes;
inline Lanes lanes_of(float v) { return _mm512_set1_ps(v); }
inline Lanes lanes_at(const float* p) { return _mm512_loadu_ps(p); }
inline void lanes_to(float* p, Lanes v) { _mm512_storeu_ps(p, v); }
inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
inline Lanes lanes_abs(Lanes v) { return _mm512_abs_ps(v); }
typedef std::int32_t Pairs __attribute__((vector_size(64)));
inline Pairs pairs_at(const std::uint32_t* p) { return (Pairs)_mm512_loadu_si512(p); }
inline Pairs pairs_of(std::uint32_t v) { return (Pairs)_mm512_set1_epi32(static_cast<int>(v)); }
inline Lanes pairs_as_float(Pairs v) { return _mm512_cvtepi32_ps((__m512i)v); }
#if defined(__AVX512VNNI__)
inline Pairs pairs_add(Pairs sum, Pairs a, Pairs b) {
    return (Pairs)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}
#else
inline Pairs pairs_add(Pairs sum, Pairs a, Pairs b) { return sum + (Pairs)_mm512_madd_epi16((__m512i)a, (__m512i)b); }
#endif
inline std::uint32_t lanes_reach(Lanes v, Lanes limit) { return _mm512_cmp_ps_mask(v, limit, _CMP_NLT_UQ); }
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int kTileRows = 6;
typedef __m256 Lanes;
inline Lanes lanes_of(float v) { return _mm256_set1_ps(v); }
inline Lanes lanes_at(const float* p) { return _mm256_loadu_ps(p); }
inline void lanes_to(float* p, Lanes v) { _mm256_storeu_ps(p, v); }
inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
inline Lanes lanes_abs(Lanes v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }
typedef __m256i Pairs;
inline Pairs pairs_at(const std::uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline Pairs pairs_of(std::uint32_t v) { return _mm256_set1_epi32(static_cast<int>(v)); }
inline Lanes pairs_as_float(Pairs v) { return _mm256_cvtepi32_ps(v); }
inline Pairs pairs_add(Pairs sum, Pairs a, Pairs b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
inline std::uint32_t lanes_reach(Lanes v, Lanes limit) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(v, limit, _CMP_NLT_UQ)));
}
#else
constexpr int kTileRows = 6;
typedef float Lanes __attribute__((vector_size(16)));
inline Lanes lanes_of(float v) { return Lanes{} + v; }
inline Lanes lanes_at(const float* p) {
    Lanes v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
inline void lanes_to(float* p, Lanes v) { __builtin_memcpy(p, &v, sizeof v); }
inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c) { return a * b + c; }
inline Lanes lanes_abs(Lanes v) { return v < 0.0f ? -v : v; }
#if defined(__SSE2__)
typedef __m128i Pairs;
inline Pairs pairs_at(const std::uint32_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline Pairs pairs_of(std::uint32_t v) { return _mm_set1_epi32(static_cast<int>(v)); }
inline Lanes pairs_as_float(Pairs v) { return _mm_cvtepi32_ps(v); }
inline Pairs pairs_add(Pairs sum, Pairs a, Pairs b) { return _mm_add_epi32(sum, _mm_madd_epi16(a, b)); }
#else
typedef std::int32_t Pairs __attribute__((vector_size(16)));
inline Pairs pairs_at(const std::uint32_t* p) {
    Pairs v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
inline Pairs pairs_of(std::uint32_t v) { return Pairs{} + static_cast<std::int32_t>(v); }
inline Lanes pairs_as_float(Pairs v) { return __builtin_convertvector(v, Lanes); }
inline Pairs pairs_add(Pairs sum, Pairs a, Pairs b) {
    return sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
}
#endif
inline std::uint32_t lanes_reach(Lanes v, Lanes limit) {
    std::uint32_t mask = 0;
    for (int lane = 0; lane < 4; ++lane) mask |= static_cast<std::uint32_t>(!(v[lane] < limit[lane])) << lane;
    return mask;
}
#endif

constexpr int kLanes = sizeof(Lanes) / sizeof(float);
constexpr int kPanelAtoms = 2 * kLanes;

// Where v reaches v_limit, and behind these bits where w reaches w_limit.
inline std::uint32_t lanes_reach_two(Lanes v, Lanes w, Lanes v_limit, Lanes w_limit) {
#if defined(__AVX512BW__)
    return _cvtmask32_u32(
        _mm512_kunpackw(_mm512_cmp_ps_mask(w, w_limit, _CMP_NLT_UQ), _mm512_cmp_ps_mask(v, v_limit, _CMP_NLT_UQ)));
#else
    return lanes_reach(v, v_limit) | lanes_reach(w, w_limit) << kLanes;
#endif
}
