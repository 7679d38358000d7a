// gather.inl.h: a weighted sum of gathered rows.
//
//   out[c] += sum_p value[p] * W[index[p] * stride + c]
//
// Shapes    index, value [count], out [width]; index [count, ahead) is read as well: what later calls will gather.
// Numerics  in T, p by p in stored order, products rounded before they are added. Same bits in every variant, and
//           however the columns are cut into calls.
// Cost      2 width flops a term; width numbers read. Sums stay in registers, a tile of columns at a time.

#if defined(__AVX512F__)
constexpr int kGatherLines = 8;  // of 64 bytes: as many sums as the registers hold beside their products
#elif defined(__AVX2__)
constexpr int kGatherLines = 4;
#else
constexpr int kGatherLines = 2;
#endif
constexpr int kGatherAhead = 16;  // terms; by measurement

template <int N, class T, class I>
inline void gather_tile(const I* index, const T* value, std::int64_t count, std::int64_t ahead, const T* W,
                        std::int64_t stride, T* out) {
    constexpr std::int64_t kLine = Line<T>::kCount;
    Line<T> sum[N];
    for (int i = 0; i < N; ++i) sum[i] = line_at(out + i * kLine);
    for (std::int64_t p = 0; p < count; ++p) {
        if (p + kGatherAhead < ahead) {
            const T* later = W + static_cast<std::int64_t>(index[p + kGatherAhead]) * stride;
            for (int i = 0; i < N; ++i) __builtin_prefetch(later + i * kLine);
        }
        const T* row = W + static_cast<std::int64_t>(index[p]) * stride;
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) {
            const Line<T> product = line_at(row + i * kLine) * value[p];
            sum[i] = sum[i] + product;
        }
    }
    for (int i = 0; i < N; ++i) line_to(out + i * kLine, sum[i]);
}

template <class T, class I>
void gather_add(const I* index, const T* value, std::int64_t count, std::int64_t ahead, const T* W, std::int64_t stride,
                std::int64_t width, T* out) {
    constexpr std::int64_t kLine = 64 / sizeof(T), kTile = kGatherLines * kLine;
    std::int64_t c = 0;
    for (; c + kTile <= width; c += kTile)
        gather_tile<kGatherLines>(index, value, count, ahead, W + c, stride, out + c);
    if constexpr (kGatherLines > 4)
        for (; c + 4 * kLine <= width; c += 4 * kLine) gather_tile<4>(index, value, count, ahead, W + c, stride, out + c);
    for (; c + 2 * kLine <= width; c += 2 * kLine) gather_tile<2>(index, value, count, ahead, W + c, stride, out + c);
    for (; c + kLine <= width; c += kLine) gather_tile<1>(index, value, count, ahead, W + c, stride, out + c);
    for (; c < width; ++c) {
        T sum = out[c];
        for (std::int64_t p = 0; p < count; ++p) {
            const T product = value[p] * W[static_cast<std::int64_t>(index[p]) * stride + c];
            sum = sum + product;
        }
        out[c] = sum;
    }
}
