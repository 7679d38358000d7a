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

// float64 numbers of a register.
typedef f64x8::Part Wide;
constexpr int kWide = f64x8::kEach;

inline Wide add_product(Wide sum, Wide x, Wide y, double) {
    const Wide product = x * y;
    return sum + product;
}
// Products of float32 are exact in float64, so a fused multiply-add gives the same bits.
inline Wide add_product(Wide sum, Wide x, Wide y, float) {
#if defined(__AVX512F__)
    return _mm512_fmadd_pd(x, y, sum);
#elif defined(__FMA__)
    return _mm256_fmadd_pd(x, y, sum);
#else
    return add_product(sum, x, y, 0.0);
#endif
}

// N products side by side: a single one waits for each addition. kSame: all y are one row, read and widened once.
template <int N, bool kSame, class T>
inline void dots8(const T* const* x, const T* const* y, std::int64_t d, double* out) {
    f64x8 sum[N] = {};
    std::int64_t p = 0;
    for (; p + 8 <= d; p += 8)
#pragma GCC unroll 4
        for (int q = 0; q < f64x8::kParts; ++q) {
            const std::int64_t at = p + q * kWide;
            const Wide first = wide(y[0] + at);
#pragma GCC unroll 4
            for (int i = 0; i < N; ++i)
                sum[i].part[q] =
                    add_product(sum[i].part[q], wide(x[i] + at), kSame || i == 0 ? first : wide(y[i] + at), T{});
        }
    for (int i = 0; i < N; ++i) {
        if (p < d) {
            double partial[8];
            line_to(partial, sum[i]);
            for (std::int64_t last = p; last < d; ++last) {
                const double product = static_cast<double>(x[i][last]) * static_cast<double>(y[i][last]);
                partial[last - p] += product;
            }
            sum[i] = line_at(partial);
        }
        out[i] = sum_lanes(sum[i]);
    }
}

template <class T>
void dense_dots(const T* const* x, const T* const* y, std::int64_t count, std::int64_t d, double* out) {
    constexpr int kTogether = kVectorBytes > 16 ? 4 : 2;  // whose sums the registers hold
    std::int64_t i = 0;
    for (; i + kTogether <= count; i += kTogether) {
        bool same = true;
        for (int j = 1; j < kTogether; ++j) same &= y[i + j] == y[i];
        if (same) dots8<kTogether, true>(x + i, y + i, d, out + i);
        else dots8<kTogether, false>(x + i, y + i, d, out + i);
    }
    for (; i < count; ++i) dots8<1, true>(x + i, y + i, d, out + i);
}

template <class T>
void add_scaled(const T* x, double factor, std::int64_t d, double* sum) {
    for (std::int64_t p = 0; p < d; ++p) {
        const double product = factor * static_cast<double>(x[p]);
        sum[p] += product;
    }
}

// Registers of atoms side by side that there is room for eight partial sums of; stride is a multiple of 8.
constexpr int kSlabParts = kVectorBytes == 64 ? 3 : 1;

template <int N, class T, class I>
inline void slab_scores(const T* x, const I* column, std::int64_t nnz, const T* Y, std::int64_t stride, double* out) {
    Wide sum[8][N] = {};
    const auto add = [&](std::int64_t p, int lane) {
        const T* row = Y + static_cast<std::int64_t>(column[p]) * stride;
        const auto value = spread<Wide>(static_cast<double>(x[p]));
        for (int i = 0; i < N; ++i) sum[lane][i] = add_product(sum[lane][i], value, wide(row + kWide * i), T{});
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
        const Wide total =
            ((sum[0][i] + sum[4][i]) + (sum[2][i] + sum[6][i])) + ((sum[1][i] + sum[5][i]) + (sum[3][i] + sum[7][i]));
        __builtin_memcpy(out + kWide * i, &total, sizeof total);
    }
}

template <class T, class I>
void sparse_scores(const T* x, const I* column, std::int64_t nnz, const T* Y, std::int64_t stride, double* out) {
    std::int64_t j = 0;
    for (; j + kWide * kSlabParts <= stride; j += kWide * kSlabParts)
        slab_scores<kSlabParts>(x, column, nnz, Y + j, stride, out + j);
    if constexpr (kSlabParts > 2)
        for (; j + 2 * kWide <= stride; j += 2 * kWide) slab_scores<2>(x, column, nnz, Y + j, stride, out + j);
    for (; j < stride; j += kWide) slab_scores<1>(x, column, nnz, Y + j, stride, out + j);
}
