// dot.inl.h: float64 dot products that decide.
//
//   dense_dot   sum_p x[p] * y[p]              sparse_dot   sum_p x[p] * y[column[p]]
//
// Shapes    x [d] or [nnz], y [d] (the atom as a dense vector), column [nnz] within [0, d).
// Numerics  term p goes to partial sum p mod 8; ((0+4)+(2+6)) + ((1+5)+(3+7)) at the end. Products of float32 are
//           exact in float64. float64 products are rounded before they are added. Same bits in every variant.
// Cost      2 nnz flops; sparse_dot reads one line of y a term at worst.

template <class T, class At>
inline double dot8(const T* x, std::int64_t count, At y) {
    double sum[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    std::int64_t p = 0;
    for (; p + 8 <= count; p += 8)
        for (int lane = 0; lane < 8; ++lane) {
            const double product = static_cast<double>(x[p + lane]) * static_cast<double>(y(p + lane));
            sum[lane] += product;
        }
    for (int lane = 0; p < count; ++p, ++lane) {
        const double product = static_cast<double>(x[p]) * static_cast<double>(y(p));
        sum[lane] += product;
    }
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

template <class T>
double dense_dot(const T* x, const T* y, std::int64_t d) {
    return dot8(x, d, [y](std::int64_t p) { return y[p]; });
}

template <class T, class I>
double sparse_dot(const T* x, const I* column, std::int64_t nnz, const T* y) {
    return dot8(x, nnz, [y, column](std::int64_t p) { return y[column[p]]; });
}
