// coordinate_sweep.inl.h: non-negative least squares by cyclic coordinate descent, many rows at once.
//
//   g = sum_s G[t][s] x[s] - p[t],     x[t] <- max(0, x[t] - g / G[t][t]),     t = 0 .. k - 1
//
// minimises x G x / 2 - p x over x >= 0, row by row: rows share G and nothing else, so they lie side by side in
// vectors.
//
// Shapes    A tile: x, p [k, sweep_rows], row r of the problem in column r; k a multiple of 8, padded with zeros.
//           G in blocks of 8 coordinates: [k / 8, k, 8] numbers G[s][t]. inverse [k] is 1 / G[t][t], or 0: leave x[t].
// Numerics  In T. The gradients of a block of 8 are summed over s in order, with x as the block found it; a change of
//           x[t] is then added, times G, to those behind it in the block. Products rounded before they are added.
//           Returns the violation, sum |g| over x > 0 and |min(g, 0)| over x = 0: as it was when each x[t] was met.
// Cost      2 k^2 flops a row and sweep; G streams from the second cache, x stays in the first.

template <class T>
constexpr int kSweepRows = 128 / static_cast<int>(sizeof(T));  // of a tile: two lines of 64 bytes

// The sums that registers hold beside what they are made of: coordinates, vectors of rows.
constexpr int kSweepTogether = kVectorBytes == 64 ? 8 : 4, kSweepVectors = 2;

// sum [8, rows]: the gradients of a block of 8, but for p.
template <class T>
inline void block_gradients(const T* x, const T* G, std::int64_t k, T* sum) {
    typedef typename Line<T>::Part Vector;
    constexpr int kWidth = Line<T>::kEach, kRows = kSweepRows<T>;
    for (int row = 0; row < kRows; row += kSweepVectors * kWidth)
        for (int first = 0; first < 8; first += kSweepTogether) {
            Vector total[kSweepTogether][kSweepVectors] = {};
            for (std::int64_t s = 0; s < k; ++s) {
                Vector numbers[kSweepVectors];
#pragma GCC unroll 2
                for (int v = 0; v < kSweepVectors; ++v) numbers[v] = load<Vector>(x + s * kRows + row + v * kWidth);
#pragma GCC unroll 8
                for (int t = 0; t < kSweepTogether; ++t)
#pragma GCC unroll 2
                    for (int v = 0; v < kSweepVectors; ++v) {
                        const Vector product = G[s * 8 + first + t] * numbers[v];
                        total[t][v] = total[t][v] + product;
                    }
            }
#pragma GCC unroll 8
            for (int t = 0; t < kSweepTogether; ++t)
                for (int v = 0; v < kSweepVectors; ++v)
                    __builtin_memcpy(sum + (first + t) * kRows + row + v * kWidth, &total[t][v], sizeof(Vector));
        }
}

template <class T>
double coordinate_sweep(T* x, const T* p, const T* G, const T* inverse, std::int64_t k) {
    typedef typename Line<T>::Part Vector;
    constexpr int kWidth = Line<T>::kEach, kRows = kSweepRows<T>;
    T sum[8 * kRows], violation[kRows] = {};
    for (std::int64_t block = 0; block < k; block += 8, G += 8 * k) {
        block_gradients(x, G, k, sum);
        const T* beside = G + block * 8;  // the block with itself
        for (int t = 0; t < 8; ++t)       // each waits for the one before it, so vectors of rows take turns
            for (int row = 0; row < kRows; row += kWidth) {
                T* at = x + (block + t) * kRows + row;
                const Vector before = load<Vector>(at), zero = {};
                const Vector gradient =
                    load<Vector>(sum + t * kRows + row) - load<Vector>(p + (block + t) * kRows + row);
                const Vector step = gradient * inverse[block + t], moved = before - step;
                const Vector after = moved > zero ? moved : zero, change = after - before;
                __builtin_memcpy(at, &after, sizeof after);
                const Vector down = gradient > zero ? gradient : -gradient, open = gradient > zero ? zero : down;
                const Vector total = load<Vector>(violation + row) + (before > zero ? down : open);
                __builtin_memcpy(violation + row, &total, sizeof total);
                for (int u = t + 1; u < 8; ++u) {
                    const Vector product = beside[t * 8 + u] * change,
                                 later = load<Vector>(sum + u * kRows + row) + product;
                    __builtin_memcpy(sum + u * kRows + row, &later, sizeof later);
                }
            }
    }
    double total = 0;
    for (int row = 0; row < kRows; ++row) total += static_cast<double>(violation[row]);
    return total;
}

// N numbers of N rows, turned: N = 16 bytes' worth.
template <class T>
inline void turn(const T* in, std::int64_t in_stride, T* out, std::int64_t out_stride) {
    typedef T Quad __attribute__((vector_size(16)));
    if constexpr (sizeof(T) == 4) {
        typedef std::int32_t Order __attribute__((vector_size(16)));
        const Quad a = load<Quad>(in), b = load<Quad>(in + in_stride);
        const Quad c = load<Quad>(in + 2 * in_stride), d = load<Quad>(in + 3 * in_stride);
        const Quad ab0 = __builtin_shuffle(a, b, Order{0, 4, 1, 5}), ab1 = __builtin_shuffle(a, b, Order{2, 6, 3, 7});
        const Quad cd0 = __builtin_shuffle(c, d, Order{0, 4, 1, 5}), cd1 = __builtin_shuffle(c, d, Order{2, 6, 3, 7});
        const Quad turned[4] = {
            __builtin_shuffle(ab0, cd0, Order{0, 1, 4, 5}), __builtin_shuffle(ab0, cd0, Order{2, 3, 6, 7}),
            __builtin_shuffle(ab1, cd1, Order{0, 1, 4, 5}), __builtin_shuffle(ab1, cd1, Order{2, 3, 6, 7})};
        for (int i = 0; i < 4; ++i) __builtin_memcpy(out + i * out_stride, &turned[i], 16);
    } else {
        typedef std::int64_t Order __attribute__((vector_size(16)));
        const Quad a = load<Quad>(in), b = load<Quad>(in + in_stride);
        const Quad turned[2] = {__builtin_shuffle(a, b, Order{0, 2}), __builtin_shuffle(a, b, Order{1, 3})};
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

// old <- max(0, x + beta (x - old)).
template <class T>
void extrapolate(const T* x, T beta, std::int64_t count, T* old) {
    typedef typename Line<T>::Part Vector;
    constexpr std::int64_t kWidth = Line<T>::kEach;
    std::int64_t p = 0;
    for (; p + kWidth <= count; p += kWidth) {
        const Vector now = load<Vector>(x + p), step = beta * (now - load<Vector>(old + p));
        const Vector ahead = now + step, zero = {}, kept = ahead > zero ? ahead : zero;
        __builtin_memcpy(old + p, &kept, sizeof kept);
    }
    for (; p < count; ++p) {
        const T step = beta * (x[p] - old[p]), ahead = x[p] + step;
        old[p] = ahead > 0 ? ahead : 0;
    }
}
