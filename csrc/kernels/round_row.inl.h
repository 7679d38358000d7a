// round_row.inl.h: a row scaled and rounded to float32, int16, bfloat16 or int8, with the error that this makes; and
// half precision widened to float32.
//
//   out_t = round(scale x_t),     result = sum (scale x_t - out_t)^2,     length2 = sum out_t^2
//
// The caller's scale is a power of two that brings the row's length to about 1, so scale x_t is exact and cannot
// overflow (but see int8). Where another scale makes it overflow, or a number is not finite, the result is infinite or
// NaN. Of float32 and bfloat16, numbers below 2^-60 become 0: products of what is left cannot underflow, which hardware
// flushes to zero. What was dropped counts as residual. An int16 counts units of 2^-15 and ends at 1 - 2^-15, of either
// sign; an int8 units of 1, and ends at 127. The scale of an int8 is no power of two: that scale x_t of float32 is
// itself rounded does not count as residual.
//
// Numerics  round to nearest even; the residuals of int16 and bfloat16 are exact in float32. Squares are summed in 16
//           float32 partial sums over 256 columns, those in float64: an error below 1e-6. Same bits in every variant.
// Cost      one pass.

inline u32x16 round_bits(const u32x16& bits, float) { return bits; }
inline u32x16 round_bits(const u32x16& bits, std::uint16_t) {
    return (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
}

inline void store16(const u32x16& bits, float* out) { line_to(out, bits_as<float>(bits)); }
inline void store16(const u32x16& bits, std::uint16_t* out) {
    typedef std::uint16_t Halves __attribute__((vector_size(kVectorBytes / 2)));
    const u32x16 upper = bits >> 16;
    for (int i = 0; i < upper.kParts; ++i) {
        const Halves halves = __builtin_convertvector(upper.part[i], Halves);
        __builtin_memcpy(out + i * upper.kEach, &halves, sizeof halves);
    }
}

inline void store16(const i32x16& numbers, std::int8_t* out) {
    typedef std::int8_t Bytes __attribute__((vector_size(kVectorBytes / 4)));
    for (int i = 0; i < numbers.kParts; ++i) {
        const Bytes bytes = __builtin_convertvector(numbers.part[i], Bytes);
        __builtin_memcpy(out + i * numbers.kEach, &bytes, sizeof bytes);
    }
}

// scale x as float32, and what that leaves out.
inline f32x16 scaled16(const float* x, double scale, f32x16& rest) {
    rest = f32x16{};
    return line_at(x) * static_cast<float>(scale);
}
inline f32x16 scaled16(const double* x, double scale, f32x16& rest) {
    float rounded[16], left[16];
    for (int lane = 0; lane < 16; ++lane) {
        const double exact = x[lane] * scale;
        rounded[lane] = static_cast<float>(exact);
        left[lane] = static_cast<float>(exact - static_cast<double>(rounded[lane]));
    }
    rest = line_at(left);
    return line_at(rounded);
}

template <class T>
inline f32x16 round16(const T* x, double scale, std::int16_t* out, f32x16& kept) {
    f32x16 rest;
    const f32x16 v = scaled16(x, scale, rest), all = v * 32768.0f, most = line_of(32767.0f);
    const f32x16 units = nearest_integer(larger(where_less(most, all, most, all), -most));
    store16(bits_as<std::uint32_t>(convert<std::int32_t>(units)) << 16, reinterpret_cast<std::uint16_t*>(out));
    kept = units * 0x1p-15f;
    const f32x16 residual = (v - kept) + rest;
    return residual * residual;
}

template <class T>
inline f32x16 round16(const T* x, double scale, std::int8_t* out, f32x16& kept) {
    f32x16 rest;
    const f32x16 v = scaled16(x, scale, rest), most = line_of(127.0f);
    kept = nearest_integer(larger(where_less(most, v, most, v), -most));
    store16(convert<std::int32_t>(kept), out);
    const f32x16 residual = (v - kept) + rest;
    return residual * residual;
}

template <class T, class Out>
inline f32x16 round16(const T* x, double scale, Out* out, f32x16& kept) {
    f32x16 rest;
    const f32x16 v = scaled16(x, scale, rest);
    u32x16 bits = round_bits(bits_as<std::uint32_t>(v), Out{});
    bits = where_less(bits_as<std::int32_t>(bits & 0x7fffffffu), line_of(0x21800000), u32x16{}, bits);  // 2^-60
    store16(bits, out);
    kept = bits_as<float>(bits);
    const f32x16 residual = (v - kept) + rest;
    return residual * residual;
}

template <class T, class Out>
double round_row(const T* x, std::int64_t d, double scale, Out* out, double* length2) {
    double total = 0, length = 0;
    for (std::int64_t from = 0; from < d; from += 256) {
        const std::int64_t to = from + 256 < d ? from + 256 : d;
        f32x16 sum = {}, squares = {}, kept;
        std::int64_t p = from;
        for (; p + 16 <= to; p += 16) {
            sum = sum + round16(x + p, scale, out + p, kept);
            squares = squares + kept * kept;
        }
        if (p < to) {
            T rest[16] = {};
            Out rounded[16];
            for (int lane = 0; lane < to - p; ++lane) rest[lane] = x[p + lane];
            sum = sum + round16(rest, scale, rounded, kept);
            squares = squares + kept * kept;
            for (int lane = 0; lane < to - p; ++lane) out[p + lane] = rounded[lane];
        }
        total += static_cast<double>(sum_lanes(sum));
        length += static_cast<double>(sum_lanes(squares));
    }
    *length2 = length;
    return total;
}
