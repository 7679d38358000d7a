// gram.inl.h: the products of all pairs of columns.
//
//   G[a][b] += sum_i V[i][a] V[i][b]      for b >= a, and some pairs beside them
//
// Shapes    V [rows, k], its rows `stride` apart; wide [rows, width] is scratch, G [width, width]; width a multiple of 16.
// Numerics  float64, row by row in order. Products of float32 are exact; those of float64 are rounded before they are
//           added. Same bits in every variant.
// Cost      rows k^2 multiply-adds; rows are widened once, so that columns are read as whole lines.

#if defined(__AVX512F__)
constexpr int kGramLines = 2, kGramTogether = 8;  // sums that registers hold: lines of 8 columns, columns
#elif defined(__AVX2__)
constexpr int kGramLines = 1, kGramTogether = 4;
#else
constexpr int kGramLines = 1, kGramTogether = 2;
#endif

template <class T>
void gram(const T* V, std::int64_t rows, std::int64_t stride, std::int64_t k, std::int64_t width, double* wide, double* G) {
    constexpr int kColumns = 8 * kGramLines;
    for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t c = 0; c < k; ++c) wide[i * width + c] = static_cast<double>(V[i * stride + c]);
        for (std::int64_t c = k; c < width; ++c) wide[i * width + c] = 0;
    }
    for (std::int64_t a = 0; a < k; a += kGramTogether)
        for (std::int64_t b = a / kColumns * kColumns; b < width; b += kColumns) {
            f64x8 sum[kGramTogether][kGramLines];
            for (int t = 0; t < kGramTogether; ++t) __builtin_memcpy(sum[t], G + (a + t) * width + b, sizeof sum[t]);
            for (std::int64_t i = 0; i < rows; ++i) {
                const double* row = wide + i * width;
                f64x8 line[kGramLines];
                __builtin_memcpy(line, row + b, sizeof line);
#pragma GCC unroll 8
                for (int t = 0; t < kGramTogether; ++t) {
                    const f64x8 value = f64x8{} + row[a + t];
#pragma GCC unroll 2
                    for (int l = 0; l < kGramLines; ++l) sum[t][l] = add_product(sum[t][l], value, line[l], T{});
                }
            }
            for (int t = 0; t < kGramTogether; ++t) __builtin_memcpy(G + (a + t) * width + b, sum[t], sizeof sum[t]);
        }
}
