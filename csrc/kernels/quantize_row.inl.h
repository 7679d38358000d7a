// quantize_row.inl.h: a sparse row in 8-bit integers, so that sums of products bound its scores with atoms from above.
//
//   <u, c_j>  =  sum_t u_t c_jt  ~  Delta sum_t p_t q_jt,      c_jt ~ sigma_t q_jt,   a_t = u_t sigma_t ~ Delta p_t
//
// q in [-127, 127] is an atom's entry in units of its term's sigma_t = max_j |c_jt| / 127; p in [-127, 127] is the
// row's entry in units of the row's Delta = max_t |a_t| / 127.
//
// Signed data, p and q rounded to nearest: c_jt = sigma_t (q_jt + e), |e| <= 1/2, e = 0 where c_jt = 0, and
// a_t = Delta p_t + r_t, so
//
//   <u, c_j> - Delta sum p q  =  sum_t a_t e_jt + sum_t r_t q_jt  <=  1/2 sum |a_t| + 127 sum |r_t|
// Rows and atoms without negative entries, p and q rounded up: Delta p_t >= a_t >= 0 and sigma_t q_jt >= c_jt >= 0, so
//   <u, c_j> <= Delta sum p q  <=  <u, c_j> + sum |a_t| + 127 sum |r_t|
// Then what an atom does not hold adds no error to its bound, and most atoms hold little of a row.
// A term whose p is set to zero ("dropped") keeps a_t as its residual r_t and is covered by the sums. Rounding of these
// float32 sums is covered by the caller's slack.
//
// Shapes    a [count, a multiple of 16] is read; p [count] is written, rounded up or to nearest. Terms with |p| <= drop
//           become 0.
// Cost      two passes.

// The lowest byte of each number.
inline void store_bytes(const i32x16& v, std::int8_t* p) {
    for (int i = 0; i < v.kParts; ++i) {
        typedef std::int8_t Bytes __attribute__((vector_size(kVectorBytes / 4)));
        const Bytes bytes = __builtin_convertvector(v.part[i], Bytes);
        __builtin_memcpy(p + i * v.kEach, &bytes, sizeof bytes);
    }
}

RowError quantize_row(const float* a, std::int64_t count, bool round_up, int drop, std::int8_t* p) {
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
