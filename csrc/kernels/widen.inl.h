// widen.inl.h: half precision as float32; exact, subnormal numbers, infinity and NaN included.
//
// Cost      one pass.

void widen_bf16(const std::uint16_t* x, std::int64_t count, float* out) {
    for (std::int64_t p = 0; p < count; ++p) {
        const std::uint32_t bits = static_cast<std::uint32_t>(x[p]) << 16;
        __builtin_memcpy(out + p, &bits, 4);
    }
}

// The 15 bits of exponent and mantissa, moved into a float32, are its value times 2^-112; infinity and NaN keep theirs.
void widen_f16(const std::uint16_t* x, std::int64_t count, float* out) {
    for (std::int64_t p = 0; p < count; ++p) {
        const std::uint32_t half = x[p], sign = (half & 0x8000u) << 16, rest = (half & 0x7fffu) << 13;
        float magnitude;
        __builtin_memcpy(&magnitude, &rest, 4);
        magnitude *= 0x1p112f;
        std::uint32_t bits;
        __builtin_memcpy(&bits, &magnitude, 4);
        bits = (half & 0x7c00u) == 0x7c00u ? (rest | 0x7f800000u) : bits;
        bits |= sign;
        __builtin_memcpy(out + p, &bits, 4);
    }
}
