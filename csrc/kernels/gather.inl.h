// gather.inl.h: a weighted sum of gathered rows.
//
//   out[c] += sum_p value[p] * W[index[p] * stride + c]
//
// Shapes    index, value [count], out [width]; index [count, ahead) is read as well: what later calls will gather.
// Numerics  in T, p by p in stored order, products rounded before they are added. Same bits in every variant, and
//           however the columns are cut into calls.
// Cost      2 width flops per term; width numbers read. Sums stay in registers, one tile of columns at a time. Columns
//           that do not fill a register are summed in one that begins earlier and overlaps: both give the same sums.

constexpr int kGatherRegisters = 8;  // of sums; as many again are left for products
constexpr int kGatherAhead = 16;     // terms; by measurement

// N registers of columns; the last begins at column `last`, with the sums so far in `tail`.
template <int N, class V, class T, class I>
inline void gather_tile(const I* index, const T* value, std::int64_t count, std::int64_t ahead, const T* W,
                        std::int64_t stride, std::int64_t last, V tail, T* out) {
    constexpr std::int64_t kEach = sizeof(V) / sizeof(T);
    V sum[N];
    for (int i = 0; i < N - 1; ++i) sum[i] = load<V>(out + i * kEach);
    sum[N - 1] = tail;
    for (std::int64_t p = 0; p < count; ++p) {
        if (p + kGatherAhead < ahead) {
            const T* later = W + static_cast<std::int64_t>(index[p + kGatherAhead]) * stride;
            for (std::int64_t c = 0; c < (N - 1) * kEach; c += 64 / sizeof(T)) __builtin_prefetch(later + c);
            __builtin_prefetch(later + last + kEach - 1);
        }
        const T* row = W + static_cast<std::int64_t>(index[p]) * stride;
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) {
            const V product = load<V>(row + (i < N - 1 ? i * kEach : last)) * value[p];
            sum[i] = sum[i] + product;
        }
    }
    for (int i = 0; i < N; ++i) __builtin_memcpy(out + (i < N - 1 ? i * kEach : last), &sum[i], sizeof(V));
}

template <class V, class T, class I>
inline void gather_columns(const I* index, const T* value, std::int64_t count, std::int64_t ahead, const T* W,
                           std::int64_t stride, std::int64_t width, T* out) {
    constexpr std::int64_t kEach = sizeof(V) / sizeof(T);
    const V tail = load<V>(out + width - kEach);  // before a tile changes it
    std::int64_t c = 0;
    while (c < width) {
        const auto tile = [&](auto constant) {
            constexpr int N = constant.kValue;
            const bool whole = c + N * kEach <= width;
            const std::int64_t last = whole ? (N - 1) * kEach : width - kEach - c;
            gather_tile<N>(index, value, count, ahead, W + c, stride, last, whole ? load<V>(out + c + last) : tail,
                           out + c);
            c += N * kEach;
        };
        const std::int64_t registers = (width - c + kEach - 1) / kEach;
        if (registers >= kGatherRegisters) tile(Constant<kGatherRegisters>{});
        else if (registers >= 4) tile(Constant<4>{});
        else if (registers >= 2) tile(Constant<2>{});
        else tile(Constant<1>{});
    }
}

// By the longest vectors that the columns fill.
template <int kBytes = kVectorBytes, class T, class I>
void gather_add(const I* index, const T* value, std::int64_t count, std::int64_t ahead, const T* W, std::int64_t stride,
                std::int64_t width, T* out) {
    if constexpr (kBytes > static_cast<int>(sizeof(T))) {
        typedef T V __attribute__((vector_size(kBytes)));
        if (width >= kBytes / static_cast<int>(sizeof(T)))
            gather_columns<V>(index, value, count, ahead, W, stride, width, out);
        else gather_add<kBytes / 2>(index, value, count, ahead, W, stride, width, out);
    } else if (width > 0) {
        gather_columns<T>(index, value, count, ahead, W, stride, width, out);
    }
}
