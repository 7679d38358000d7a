// small_product.inl.h: the product of two matrices that the cache holds.
//
//   out [rows, width] = X [rows, d] F [d, width]        width whole lines of 64 bytes
//
// Numerics  in T, term by term in order; products are rounded before they are added. Same bits in every variant.
// Cost      2 rows d width flops.

template <int R, class T>
inline void product_rows(const T* X, std::int64_t d, const T* F, std::int64_t width, T* out) {
    typedef typename Line<T>::Part Vector;
    for (std::int64_t c = 0; c < width; c += Line<T>::kEach) {
        Vector sum[R] = {};
        for (std::int64_t j = 0; j < d; ++j) {
            const Vector numbers = load<Vector>(F + j * width + c);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) {
                const Vector product = X[r * d + j] * numbers;
                sum[r] = sum[r] + product;
            }
        }
        for (int r = 0; r < R; ++r) __builtin_memcpy(out + r * width + c, &sum[r], sizeof sum[r]);
    }
}

template <class T>
void small_product(const T* X, std::int64_t rows, std::int64_t d, const T* F, std::int64_t width, T* out) {
    std::int64_t i = 0;
    for (; i + 8 <= rows; i += 8) product_rows<8>(X + i * d, d, F, width, out + i * width);
    for (; i < rows; ++i) product_rows<1>(X + i * d, d, F, width, out + i * width);
}
