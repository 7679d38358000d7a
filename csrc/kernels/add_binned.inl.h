// add_binned.inl.h: sums of scaled rows in integers, whose bits do not depend on the order of the rows.
//
//   v = factor x_t,   k_0 = round(v / u_0),   k_l = round((v - k_0 u_0 - ... - k_{l-1} u_{l-1}) / u_l)
//   sum_l[t] += k_l
//
// with units u_l = 2^-32 u_{l-1}, powers of two (core/bin_grid.h chooses u_0 so that |v| <= 2^31 u_0). So no k_l is
// beyond 2^31: the sum of 2^31 rows fits in 64 bits, integers add up exactly in any order, and what a row leaves out is
// at most half of the last unit.
//
//   add_binned       rows x [count], each [d], with factors [count]: sum [levels, d]
//   scatter_binned   one row of nnz entries at columns: sum [d, levels]; where touched is not null, touched[t / 8] = 1
//                    for each column t: the flags are written while the sums are on their way from memory
//
// Adding magic_l = 1.5 2^52 u_l rounds v to a multiple of u_l and leaves k_l in the low bits of the result: subtracting
// the bits of magic_l gives k_l, subtracting magic_l gives k_l u_l, exactly.
//
// Numerics  The product is rounded once; everything after it is exact. Same bits in every variant.
//
// Cost      3 + 4 levels instructions per vector of 8 numbers; the sums of a few columns stay in registers while rows
//           pass.

template <int L>
inline void bin(Wide v, const double* magic, Line<std::int64_t>::Part* sum) {
    typedef Line<std::int64_t>::Part Integers;
#pragma GCC unroll 3
    for (int l = 0; l < L; ++l) {
        const auto large = spread<Wide>(magic[l]);
        const Wide rounded = v + large;
        sum[l] = sum[l] + ((Integers)rounded - (Integers)large);
        if (l + 1 < L) v = v - (rounded - large);
    }
}

template <int L, class T>
inline void add_binned_levels(const T* const* x, const double* factor, std::int64_t count, std::int64_t d,
                              const double* magic, std::int64_t* sum) {
    typedef Line<std::int64_t>::Part Integers;
    std::int64_t t = 0;
    for (; t + kWide <= d; t += kWide) {
        Integers own[L];
#pragma GCC unroll 3
        for (int l = 0; l < L; ++l) own[l] = load<Integers>(sum + l * d + t);
        for (std::int64_t i = 0; i < count; ++i) bin<L>(wide(x[i] + t) * factor[i], magic, own);
#pragma GCC unroll 3
        for (int l = 0; l < L; ++l) __builtin_memcpy(sum + l * d + t, &own[l], sizeof own[l]);
    }
#if defined(__AVX512F__) && defined(__AVX512VL__)
    if (t < d) {
        const auto some = static_cast<__mmask8>((1 << (d - t)) - 1);
        Integers own[L];
#pragma GCC unroll 3
        for (int l = 0; l < L; ++l) own[l] = (Integers)_mm512_maskz_loadu_epi64(some, sum + l * d + t);
        for (std::int64_t i = 0; i < count; ++i) bin<L>(wide_some(x[i] + t, d - t) * factor[i], magic, own);
#pragma GCC unroll 3
        for (int l = 0; l < L; ++l) _mm512_mask_storeu_epi64(sum + l * d + t, some, (__m512i)own[l]);
    }
#else
    for (; t < d; ++t)
        for (std::int64_t i = 0; i < count; ++i) {
            double v = static_cast<double>(x[i][t]) * factor[i];
            for (int l = 0; l < L; ++l) {
                const double rounded = v + magic[l];
                std::int64_t bits, large;
                __builtin_memcpy(&bits, &rounded, 8);
                __builtin_memcpy(&large, magic + l, 8);
                sum[l * d + t] += bits - large;
                v -= rounded - magic[l];
            }
        }
#endif
}

template <class T>
void add_binned(const T* const* x, const double* factor, std::int64_t count, std::int64_t d, const double* magic,
                int levels, std::int64_t* sum) {
    if (levels == 2) add_binned_levels<2>(x, factor, count, d, magic, sum);
    else add_binned_levels<3>(x, factor, count, d, magic, sum);
}

template <int L, bool kFlags, class T, class I>
inline void scatter_binned_levels(const T* x, const I* column, std::int64_t nnz, double factor, const double* magic,
                                  std::int64_t* sum, char* touched) {
    typedef Line<std::int64_t>::Part Integers;
    const auto place = [&](std::int64_t p) {
        const auto t = static_cast<std::int64_t>(column[p]);
        if constexpr (kFlags) touched[t >> 3] = 1;
        return sum + t * L;
    };
    std::int64_t p = 0;
    while (p < nnz && x[p] == x[0]) ++p;
    if (p == nnz && nnz > 0) {  // rows of one number, as codes and counts have: the same integers for all columns
        Integers own[L] = {};
        bin<L>(spread<Wide>(static_cast<double>(x[0]) * factor), magic, own);
        std::int64_t level[L];
        int parts = 0, only = 0;
        for (int l = 0; l < L; ++l) {
            level[l] = own[l][0];
            if (level[l] != 0) ++parts, only = l;
        }
        if (parts <= 1) {  // whole numbers
            const std::int64_t all = level[only];
            for (p = 0; p < nnz; ++p) place(p)[only] += all;
        } else if constexpr (L == 2) {
            typedef std::int64_t Pair __attribute__((vector_size(16)));
            const Pair all = {level[0], level[1]};
            for (p = 0; p < nnz; ++p) {
                std::int64_t* at = place(p);
                const Pair added = load<Pair>(at) + all;
                __builtin_memcpy(at, &added, sizeof added);
            }
        } else {
            for (p = 0; p < nnz; ++p) {
                std::int64_t* at = place(p);
#pragma GCC unroll 3
                for (int l = 0; l < L; ++l) at[l] += level[l];
            }
        }
        return;
    }
    p = 0;
    for (; p + kWide <= nnz; p += kWide) {
        Integers own[L] = {};
        bin<L>(wide(x + p) * factor, magic, own);
        if constexpr (L == 2) {  // both levels of a column in one addition
            typedef std::int64_t Pair __attribute__((vector_size(16)));
#pragma GCC unroll 8
            for (int lane = 0; lane < kWide; ++lane) {
                std::int64_t* at = place(p + lane);
                const Pair added = load<Pair>(at) + Pair{own[0][lane], own[1][lane]};
                __builtin_memcpy(at, &added, sizeof added);
            }
        } else {
#pragma GCC unroll 8
            for (int lane = 0; lane < kWide; ++lane) {
                std::int64_t* at = place(p + lane);
#pragma GCC unroll 3
                for (int l = 0; l < L; ++l) at[l] += own[l][lane];
            }
        }
    }
    for (; p < nnz; ++p) {
        double v = static_cast<double>(x[p]) * factor;
        std::int64_t* at = place(p);
        for (int l = 0; l < L; ++l) {
            const double rounded = v + magic[l];
            std::int64_t bits, large;
            __builtin_memcpy(&bits, &rounded, 8);
            __builtin_memcpy(&large, magic + l, 8);
            at[l] += bits - large;
            v -= rounded - magic[l];
        }
    }
}

template <class T, class I>
void scatter_binned(const T* x, const I* column, std::int64_t nnz, double factor, const double* magic, int levels,
                    std::int64_t* sum, char* touched) {
    const auto flagged = levels == 2 ? scatter_binned_levels<2, true, T, I> : scatter_binned_levels<3, true, T, I>;
    const auto plain = levels == 2 ? scatter_binned_levels<2, false, T, I> : scatter_binned_levels<3, false, T, I>;
    (touched ? flagged : plain)(x, column, nnz, factor, magic, sum, touched);
}
