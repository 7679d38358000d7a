// best_two.inl.h: the best of some atoms for each of a few short rows, and how high the best and the second best score.
//
//   score[r][j] = bias[j] + sum_t x[t][r] w[j][t],      label[r] = argmax_j,  best[r] = max_j,  second[r] = the next
//                                                       over the atoms j in `which`
//
// Rows lie across the lanes: nothing of a row is packed, and a score needs no sum across a register, which is what
// costs where columns are few. Atoms stand as they are, so that each group of rows may have a choice of its own.
//
// Shapes    x [d][kBestRows]; atoms [m][d], bias [m]; which [count], count > 0.
// Numerics  float32; variants round differently. The caller's bound covers d + 1 roundings of |bias| + sum |x_t w_t|.
//           Of atoms with one score the first in `which` is the label, and the second is then equal to the best.
// Cost      2 d flops per score and 5 instructions per register of scores.

constexpr int kBestRegisters = 4, kBestRows = kBestRegisters * kLanes;
constexpr int kBestAtoms = kVectorBytes == 64 ? 4 : 2;  // whose sums the registers hold

typedef float BestFloats __attribute__((vector_size(sizeof(Lanes))));
typedef std::int32_t BestIntegers __attribute__((vector_size(sizeof(Lanes))));
struct BestSoFar {
    BestFloats high[kBestRegisters], next[kBestRegisters];
    BestIntegers at[kBestRegisters];
};

template <int N>
inline void best_of(const float* x, std::int64_t d, const float* atoms, const float* bias, const std::int32_t* which,
                    BestSoFar& so_far) {
    const float* w[N];
    Lanes sum[N][kBestRegisters];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
        w[j] = atoms + which[j] * d;
#pragma GCC unroll 4
        for (int q = 0; q < kBestRegisters; ++q) sum[j][q] = lanes_of(bias[which[j]]);
    }
    for (std::int64_t t = 0; t < d; ++t) {
        Lanes column[kBestRegisters];
#pragma GCC unroll 4
        for (int q = 0; q < kBestRegisters; ++q) column[q] = lanes_at(x + t * kBestRows + q * kLanes);
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) {
            const Lanes v = lanes_of(w[j][t]);
#pragma GCC unroll 4
            for (int q = 0; q < kBestRegisters; ++q) sum[j][q] = lanes_fma(column[q], v, sum[j][q]);
        }
    }
#pragma GCC unroll 4
    for (int q = 0; q < kBestRegisters; ++q) {
        BestFloats high = so_far.high[q], next = so_far.next[q];
        BestIntegers at = so_far.at[q];
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) {
            const auto score = (BestFloats)sum[j][q];
            const BestFloats lower = score < high ? score : high;
            at = score > high ? BestIntegers{} + which[j] : at;
            high = score > high ? score : high;
            next = next > lower ? next : lower;
        }
        so_far.high[q] = high;
        so_far.next[q] = next;
        so_far.at[q] = at;
    }
}

void best_two(const float* x, std::int64_t d, const float* atoms, const float* bias, const std::int32_t* which,
              std::int64_t count, std::int32_t* label, float* best, float* second) {
    BestSoFar so_far;
#pragma GCC unroll 4
    for (int q = 0; q < kBestRegisters; ++q) {
        so_far.high[q] = so_far.next[q] = (BestFloats)lanes_of(-__builtin_inff());
        so_far.at[q] = BestIntegers{} + which[0];
    }
    std::int64_t j = 0;
    for (; j + kBestAtoms <= count; j += kBestAtoms) best_of<kBestAtoms>(x, d, atoms, bias, which + j, so_far);
    for (; j < count; ++j) best_of<1>(x, d, atoms, bias, which + j, so_far);
    __builtin_memcpy(label, so_far.at, sizeof so_far.at);
    __builtin_memcpy(best, so_far.high, sizeof so_far.high);
    __builtin_memcpy(second, so_far.next, sizeof so_far.next);
}
