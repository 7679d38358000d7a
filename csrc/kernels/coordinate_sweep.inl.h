// coordinate_sweep.inl.h: non-negative least squares by cyclic coordinate descent, many rows at once.
//
//   g = sum_s G[t][s] x[s] - p[t],     x[t] <- max(0, x[t] - g / G[t][t]),     t = 0 .. k - 1
//
// minimizes x G x / 2 - p x over x >= 0, row by row: rows share G and nothing else, so they lie side by side in
// vectors.
//
// Shapes    A tile: x, p [k, sweep_rows], row r of the problem in column r. G in blocks of 8 coordinates: [k / 8, k, 8]
//           numbers G[s][t]. inverse [k] is 1 / G[t][t], or 0: leave x[t]. Zeros fill the last block; 64 are behind G.
// Numerics  In T. The gradients of a block of 8 are summed over s in order, with x as the block found it; a change of
//           x[t] is then added, times G, to those behind it in the block. Products rounded before they are added.
//           Returns the violation, sum |g| over x > 0 and |min(g, 0)| over x = 0: as it was when each x[t] was met.
// Cost      2 k^2 flops per row and sweep; G streams from the second cache, x stays in the first.

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
