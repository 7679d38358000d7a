// sparse_two.inl.h: the best of some atoms for a sparse row, and the two highest scores.
//
//   score[j] = factor[j] sum_p x[p] Y[column[p]][j] + bias[j],     label = argmax_j,  best = max_j,  second = the next
//
// Atoms stand column by column, so that a term of the row meets all of them in a few lines.
//
// Shapes    x, column [nnz]; Y [d, stride], factor and bias [stride], stride a multiple of 16; a bias of minus infinity
//           takes an atom out.
// Numerics  float32; variants add in different orders. The caller's bound covers nnz roundings of sums of |x_p Y_pj|,
//           and two more for factor and bias. Of atoms with one score the lowest is the label, and the second is then
//           equal to the best.
// Cost      2 nnz stride flops, and some 40 instructions per row.

// Sums of N registers of atoms; S of each, so that none waits for the one before.
template <int N, int S, class T, class I>
inline void sparse_slab(const T* x, const I* column, std::int64_t nnz, const float* Y, std::int64_t stride,
                        Lanes* out) {
    Lanes sum[S][N] = {};
    const auto add = [&](std::int64_t p, Lanes* to) {
        const float* row = Y + static_cast<std::int64_t>(column[p]) * stride;
        const Lanes value = lanes_of(static_cast<float>(x[p]));
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) to[i] = lanes_fma(value, lanes_at(row + i * kLanes), to[i]);
    };
    std::int64_t p = 0;
    for (; p + S <= nnz; p += S) {
#pragma GCC unroll 4
        for (int s = 0; s < S; ++s) add(p + s, sum[s]);
    }
    for (; p < nnz; ++p) add(p, sum[0]);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
        out[i] = sum[0][i];
#pragma GCC unroll 4
        for (int s = 1; s < S; ++s) out[i] = out[i] + sum[s][i];
    }
}

template <int kBy, class V, int... K>
inline V turned(V v, Places<K...>) {
    return (V)__builtin_shufflevector(v, v, ((K + kBy) % kLanes)...);
}
// The highest, or lowest, of all lanes.
template <int kBy = kLanes / 2>
inline float highest(BestFloats v) {
    if constexpr (kBy == 0) {
        return v[0];
    } else {
        const BestFloats other = turned<kBy>(v, typename PlacesTo<kLanes>::Type{});
        return highest<kBy / 2>(v > other ? v : other);
    }
}
template <int kBy = kLanes / 2>
inline std::int32_t lowest(BestIntegers v) {
    if constexpr (kBy == 0) {
        return v[0];
    } else {
        const BestIntegers other = turned<kBy>(v, typename PlacesTo<kLanes>::Type{});
        return lowest<kBy / 2>(v < other ? v : other);
    }
}

struct SparseSoFar {
    BestFloats high, next;
    BestIntegers at;
};

template <int N, int S, class T, class I>
inline void sparse_best(const T* x, const I* column, std::int64_t nnz, const float* Y, std::int64_t stride,
                        const float* factor, const float* bias, std::int64_t j, BestIntegers lane,
                        SparseSoFar& so_far) {
    Lanes sum[N];
    sparse_slab<N, S>(x, column, nnz, Y + j, stride, sum);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i, j += kLanes) {
        const auto score = (BestFloats)lanes_fma(sum[i], lanes_at(factor + j), lanes_at(bias + j));
        const BestFloats lower = score < so_far.high ? score : so_far.high;
        so_far.at = score > so_far.high ? lane + static_cast<std::int32_t>(j) : so_far.at;
        so_far.high = score > so_far.high ? score : so_far.high;
        so_far.next = so_far.next > lower ? so_far.next : lower;
    }
}

template <class T, class I>
void sparse_two(const T* x, const I* column, std::int64_t nnz, const float* Y, std::int64_t stride, const float* factor,
                const float* bias, std::int32_t* label, float* best, float* second) {
    BestIntegers lane;
    for (int l = 0; l < kLanes; ++l) lane[l] = l;
    const auto nothing = (BestFloats)lanes_of(-__builtin_inff());
    SparseSoFar so_far{nothing, nothing, lane};
    std::int64_t j = 0;
    if constexpr (kVectorBytes == 64)
        for (; j + 8 * kLanes <= stride; j += 8 * kLanes)
            sparse_best<8, 2>(x, column, nnz, Y, stride, factor, bias, j, lane, so_far);
    for (; j + 4 * kLanes <= stride; j += 4 * kLanes)
        sparse_best<4, 2>(x, column, nnz, Y, stride, factor, bias, j, lane, so_far);
    for (; j + 2 * kLanes <= stride; j += 2 * kLanes)
        sparse_best<2, 4>(x, column, nnz, Y, stride, factor, bias, j, lane, so_far);
    for (; j < stride; j += kLanes) sparse_best<1, 4>(x, column, nnz, Y, stride, factor, bias, j, lane, so_far);
    *best = highest(so_far.high);
    const auto at_best = so_far.high == (BestFloats)lanes_of(*best);
    *label = lowest(at_best ? so_far.at : BestIntegers{} + 0x7fffffff);
    const auto it = at_best & (so_far.at == (BestIntegers{} + *label));
    *second = highest(it ? so_far.next : so_far.high);
}
