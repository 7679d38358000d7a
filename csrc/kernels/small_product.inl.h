// small_product.inl.h: the product of two matrices that the cache holds.
//
//   out [rows, width] = X [rows, d] F [d, width]        width whole lines of 64 bytes
//
//   triangular_product                                  F upper triangular (F[j][c] = 0 for j > c) or lower: zeros that
//                                                       are known are left out, by whole lines
//
// Numerics  in T, term by term in order; products are rounded before they are added. Same bits in every variant.
// Cost      2 rows d width flops, of a triangle half of it.

enum class Triangle { kNone, kUpper, kLower };

template <int R, Triangle kTriangle = Triangle::kNone, class T>
inline void product_rows(const T* X, std::int64_t d, const T* F, std::int64_t width, T* out) {
    typedef typename Line<T>::Part Vector;
    for (std::int64_t c = 0; c < width; c += Line<T>::kEach) {
        Vector sum[R] = {};
        const std::int64_t first = kTriangle == Triangle::kLower ? c : 0, end = c + Line<T>::kEach;
        const std::int64_t last = kTriangle == Triangle::kUpper && end < d ? end : d;
        for (std::int64_t j = first; j < last; ++j) {
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

template <Triangle kTriangle, class T>
inline void product_in_eights(const T* X, std::int64_t rows, std::int64_t d, const T* F, std::int64_t width, T* out) {
    std::int64_t i = 0;
    for (; i + 8 <= rows; i += 8) product_rows<8, kTriangle>(X + i * d, d, F, width, out + i * width);
    for (; i < rows; ++i) product_rows<1, kTriangle>(X + i * d, d, F, width, out + i * width);
}

template <class T>
void small_product(const T* X, std::int64_t rows, std::int64_t d, const T* F, std::int64_t width, T* out) {
    product_in_eights<Triangle::kNone>(X, rows, d, F, width, out);
}

template <class T>
void triangular_product(const T* X, std::int64_t rows, std::int64_t d, const T* F, std::int64_t width, bool upper,
                        T* out) {
    if (upper) product_in_eights<Triangle::kUpper>(X, rows, d, F, width, out);
    else product_in_eights<Triangle::kLower>(X, rows, d, F, width, out);
}
