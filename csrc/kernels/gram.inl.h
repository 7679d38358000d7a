// gram.inl.h: the products of all pairs of columns.
//
//   gram            G[a][b] += sum_i V[i][a] V[i][b]      for b >= a, and some pairs beside them
//
// Shapes    V [rows, k], its rows `stride` apart; wide [rows, width] is scratch, G [width, width]; width a multiple
//           of 16.
// Numerics  float64, row by row in order. Products of float32 are exact; those of float64 are rounded before they are
//           added. Same bits in every variant.
// Cost      rows k^2 multiply-adds; rows are widened once, so that columns are read as whole lines.

// The sums that registers hold beside what they are made of: columns, vectors of columns.
constexpr int kGramTogether = kVectorBytes == 64 ? 8 : 4, kGramVectors = 2;

template <class T>
void gram(const T* V, std::int64_t rows, std::int64_t stride, std::int64_t k, std::int64_t width, double* wide,
          double* G) {
    constexpr int kWidth = kWide, kColumns = kGramVectors * kWidth;
    for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t c = 0; c < k; ++c) wide[i * width + c] = static_cast<double>(V[i * stride + c]);
        for (std::int64_t c = k; c < width; ++c) wide[i * width + c] = 0;
    }
    for (std::int64_t a = 0; a < k; a += kGramTogether)
        for (std::int64_t b = a / kColumns * kColumns; b < width; b += kColumns) {
            Wide sum[kGramTogether][kGramVectors];
#pragma GCC unroll 8
            for (int t = 0; t < kGramTogether; ++t)
                for (int v = 0; v < kGramVectors; ++v) sum[t][v] = load<Wide>(G + (a + t) * width + b + v * kWidth);
            for (std::int64_t i = 0; i < rows; ++i) {
                const double* row = wide + i * width;
                Wide numbers[kGramVectors];
#pragma GCC unroll 2
                for (int v = 0; v < kGramVectors; ++v) numbers[v] = load<Wide>(row + b + v * kWidth);
#pragma GCC unroll 8
                for (int t = 0; t < kGramTogether; ++t)
#pragma GCC unroll 2
                    for (int v = 0; v < kGramVectors; ++v)
                        sum[t][v] = add_product(sum[t][v], spread<Wide>(row[a + t]), numbers[v], T{});
            }
#pragma GCC unroll 8
            for (int t = 0; t < kGramTogether; ++t)
                for (int v = 0; v < kGramVectors; ++v)
                    __builtin_memcpy(G + (a + t) * width + b + v * kWidth, &sum[t][v], sizeof sum[t][v]);
        }
}
