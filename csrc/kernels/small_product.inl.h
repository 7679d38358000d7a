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

// Less than eight rows go together as well: the sums of a row alone would wait for each other.
template <int R, Triangle kTriangle, class T>
inline void product_of_rest(const T* X, std::int64_t rows, std::int64_t d, const T* F, std::int64_t width, T* out) {
    if (rows == R) product_rows<R, kTriangle>(X, d, F, width, out);
    else if constexpr (R > 1) product_of_rest<R - 1, kTriangle>(X, rows, d, F, width, out);
}

template <Triangle kTriangle, class T>
inline void product_in_eights(const T* X, std::int64_t rows, std::int64_t d, const T* F, std::int64_t width, T* out) {
    for (; rows >= 8; rows -= 8, X += 8 * d, out += 8 * width) product_rows<8, kTriangle>(X, d, F, width, out);
    product_of_rest<7, kTriangle>(X, rows, d, F, width, out);
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
