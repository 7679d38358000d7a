// interleave.inl.h: rows of cells as one stream, column by column.
//
//   out[t * width + c] = rows[c * stride + t]        c < width, t < cells
//
// Shapes    width is even, stride at least cells rounded up to a multiple of 4.
// Cost      one read and one write per cell.

// of 4.
void interleave(const std::uint32_t* rows, std::int64_t width, std::int64_t stride, std::int64_t cells,
                std::uint32_t* out) {
    typedef std::uint32_t u32x4 __attribute__((vector_size(16)));
    typedef std::uint64_t u64x2 __attribute__((vector_size(16)));
    std::int64_t t = 0;
    for (; t + 4 <= cells; t += 4)
        for (std::int64_t c = 0; c + 2 <= width; c += 2) {
            u32x4 a, b;
            __builtin_memcpy(&a, rows + c * stride + t, sizeof a);
            __builtin_memcpy(&b, rows + (c + 1) * stride + t, sizeof b);
            const u64x2 low = (u64x2)__builtin_shufflevector(a, b, 0, 4, 1, 5);
            const u64x2 high = (u64x2)__builtin_shufflevector(a, b, 2, 6, 3, 7);
            for (int i = 0; i < 2; ++i) {
                __builtin_memcpy(out + (t + i) * width + c, (const std::uint64_t*)&low + i, 8);
                __builtin_memcpy(out + (t + 2 + i) * width + c, (const std::uint64_t*)&high + i, 8);
            }
        }
    for (; t < cells; ++t)
        for (std::int64_t c = 0; c < width; ++c) out[t * width + c] = rows[c * stride + t];
}
