// transpose.inl.h: the transpose of a small matrix.
//
//   out[j * out_stride + i] = in[i * in_stride + j]        i < rows, j < columns
//
// Cost      one read and one write per number; blocks of 16 bytes by 16 bytes are turned in registers.

// N numbers of N rows, turned: N = 16 bytes' worth.
template <class T>
inline void turn(const T* in, std::int64_t in_stride, T* out, std::int64_t out_stride) {
    typedef T Quad __attribute__((vector_size(16)));
    if constexpr (sizeof(T) == 4) {
        const Quad a = load<Quad>(in), b = load<Quad>(in + in_stride);
        const Quad c = load<Quad>(in + 2 * in_stride), d = load<Quad>(in + 3 * in_stride);
        const Quad ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const Quad cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        const Quad turned[4] = {
            __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7),
            __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5), __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7)};
        for (int i = 0; i < 4; ++i) __builtin_memcpy(out + i * out_stride, &turned[i], 16);
    } else {
        const Quad a = load<Quad>(in), b = load<Quad>(in + in_stride);
        const Quad turned[2] = {__builtin_shufflevector(a, b, 0, 2), __builtin_shufflevector(a, b, 1, 3)};
        for (int i = 0; i < 2; ++i) __builtin_memcpy(out + i * out_stride, &turned[i], 16);
    }
}

// out [columns, out_stride] = in [rows, in_stride] turned.
template <class T>
void transpose(const T* in, std::int64_t rows, std::int64_t in_stride, std::int64_t columns, T* out,
               std::int64_t out_stride) {
    constexpr std::int64_t kQuad = 16 / sizeof(T);
    const std::int64_t whole_rows = rows / kQuad * kQuad, whole = columns / kQuad * kQuad;
    for (std::int64_t i = 0; i < whole_rows; i += kQuad)
        for (std::int64_t j = 0; j < whole; j += kQuad)
            turn(in + i * in_stride + j, in_stride, out + j * out_stride + i, out_stride);
    for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = i < whole_rows ? whole : 0; j < columns; ++j)
            out[j * out_stride + i] = in[i * in_stride + j];
}
