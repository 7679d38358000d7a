// dot.inl.h: float64 dot products that decide.
//
//   dense_dot   sum_p x[p] * y[p]              sparse_dot   sum_p x[p] * y[column[p]]
//   dense_dots  dense_dot of several pairs (x[i], y[i]), four at a time
//   sparse_scores   sparse_dot of one x with all rows of Y, given as its columns Y [d, stride]: out [stride]
//   add_scaled  sum[p] += factor * x[p]: each column by itself, product and sum rounded separately
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

typedef double f64x8 __attribute__((vector_size(64)));

template <class T>
inline f64x8 wide8(const T* p) {
    typedef T Narrow __attribute__((vector_size(8 * sizeof(T))));
    Narrow v;
    __builtin_memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, f64x8);
}

inline f64x8 add_product(f64x8 sum, f64x8 x, f64x8 y, double) {
    const f64x8 product = x * y;
    return sum + product;
}

#if defined(__AVX512F__)
inline f64x8 wide8(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
// Products of float32 are exact in float64, so a fused multiply-add gives the same bits.
inline f64x8 add_product(f64x8 sum, f64x8 x, f64x8 y, float) { return _mm512_fmadd_pd(x, y, sum); }
#else
inline f64x8 add_product(f64x8 sum, f64x8 x, f64x8 y, float) { return add_product(sum, x, y, 0.0); }
#endif

// N products side by side: a single one waits for each addition.
template <int N, class T>
inline void dots8(const T* const* x, const T* const* y, std::int64_t d, double* out) {
    f64x8 sum[N] = {};
    std::int64_t p = 0;
    for (; p + 8 <= d; p += 8)
        for (int i = 0; i < N; ++i) sum[i] = add_product(sum[i], wide8(x[i] + p), wide8(y[i] + p), T{});
    for (int lane = 0; p < d; ++p, ++lane)
        for (int i = 0; i < N; ++i) {
            const double product = static_cast<double>(x[i][p]) * static_cast<double>(y[i][p]);
            sum[i][lane] += product;
        }
    for (int i = 0; i < N; ++i) {
        const f64x8 s = sum[i];
        out[i] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
}

template <class T>
void dense_dots(const T* const* x, const T* const* y, std::int64_t count, std::int64_t d, double* out) {
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4) dots8<4>(x + i, y + i, d, out + i);
    for (; i < count; ++i) dots8<1>(x + i, y + i, d, out + i);
}

template <class T>
void add_scaled(const T* x, double factor, std::int64_t d, double* sum) {
    for (std::int64_t p = 0; p < d; ++p) {
        const double product = factor * static_cast<double>(x[p]);
        sum[p] += product;
    }
}

// Atoms side by side that the registers hold eight partial sums of; stride is a multiple of 8.
#if defined(__AVX512F__)
constexpr int kSlabLines = 3;
#else
constexpr int kSlabLines = 1;
#endif

template <int N, class T, class I>
inline void slab_scores(const T* x, const I* column, std::int64_t nnz, const T* Y, std::int64_t stride, double* out) {
    f64x8 sum[8][N] = {};
    const auto add = [&](std::int64_t p, int lane) {
        const T* row = Y + static_cast<std::int64_t>(column[p]) * stride;
        const f64x8 value = f64x8{} + static_cast<double>(x[p]);
        for (int i = 0; i < N; ++i) sum[lane][i] = add_product(sum[lane][i], value, wide8(row + 8 * i), T{});
    };
    std::int64_t p = 0;
    for (; p + 8 <= nnz; p += 8) {
#pragma GCC unroll 8
        for (int lane = 0; lane < 8; ++lane) add(p + lane, lane);
    }
#pragma GCC unroll 8
    for (int lane = 0; lane < 7; ++lane)
        if (p + lane < nnz) add(p + lane, lane);
    for (int i = 0; i < N; ++i) {
        const f64x8 total = ((sum[0][i] + sum[4][i]) + (sum[2][i] + sum[6][i])) +
                            ((sum[1][i] + sum[5][i]) + (sum[3][i] + sum[7][i]));
        __builtin_memcpy(out + 8 * i, &total, sizeof total);
    }
}

template <class T, class I>
void sparse_scores(const T* x, const I* column, std::int64_t nnz, const T* Y, std::int64_t stride, double* out) {
    std::int64_t j = 0;
    for (; j + 8 * kSlabLines <= stride; j += 8 * kSlabLines)
        slab_scores<kSlabLines>(x, column, nnz, Y + j, stride, out + j);
    for (; j < stride; j += 8) slab_scores<1>(x, column, nnz, Y + j, stride, out + j);
}
