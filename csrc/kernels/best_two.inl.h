// best_two.inl.h: the best atom of each of a few short rows, and how high the best and the second best score.
//
//   score[r][j] = bias[j] + sum_t x[r][t] w[j][t],      label[r] = argmax_j,  best[r] = max_j,  second[r] = the next
//
// Rows lie across the lanes: nothing of a row is packed, and a score needs no sum across a register, which is what
// costs where columns are few.
//
// Shapes    x [d][kBestRows]; atoms [groups][d][kBestAtoms], bias [groups][kBestAtoms], where an atom that only fills
//           its group has bias -inf.
// Numerics  float32; variants round differently. The caller's bound covers d + 1 roundings of |bias| + sum |x_t w_t|.
//           Of atoms with one score the lowest is the label, and the second is then equal to the best.
// Cost      2 d flops per score and 5 instructions per register of scores.

constexpr int kBestRegisters = 2, kBestRows = kBestRegisters * kLanes;
constexpr int kBestAtoms = kVectorBytes == 64 ? 8 : 4;  // whose sums the registers hold

void best_two(const float* x, std::int64_t d, const float* atoms, const float* bias, std::int64_t groups,
              std::int32_t* label, float* best, float* second) {
    typedef float Floats __attribute__((vector_size(sizeof(Lanes))));
    typedef std::int32_t Integers __attribute__((vector_size(sizeof(Lanes))));
    Floats high[kBestRegisters], next[kBestRegisters];
    Integers at[kBestRegisters];
#pragma GCC unroll 2
    for (int q = 0; q < kBestRegisters; ++q) {
        high[q] = next[q] = (Floats)lanes_of(-__builtin_inff());
        at[q] = Integers{};
    }
    for (std::int64_t g = 0; g < groups; ++g, atoms += d * kBestAtoms, bias += kBestAtoms) {
        Lanes sum[kBestAtoms][kBestRegisters];
#pragma GCC unroll 8
        for (int j = 0; j < kBestAtoms; ++j)
#pragma GCC unroll 2
            for (int q = 0; q < kBestRegisters; ++q) sum[j][q] = lanes_of(bias[j]);
        for (std::int64_t t = 0; t < d; ++t) {
            Lanes column[kBestRegisters];
#pragma GCC unroll 2
            for (int q = 0; q < kBestRegisters; ++q) column[q] = lanes_at(x + t * kBestRows + q * kLanes);
#pragma GCC unroll 8
            for (int j = 0; j < kBestAtoms; ++j) {
                const Lanes w = lanes_of(atoms[t * kBestAtoms + j]);
#pragma GCC unroll 2
                for (int q = 0; q < kBestRegisters; ++q) sum[j][q] = lanes_fma(column[q], w, sum[j][q]);
            }
        }
#pragma GCC unroll 8
        for (int j = 0; j < kBestAtoms; ++j)
#pragma GCC unroll 2
            for (int q = 0; q < kBestRegisters; ++q) {
                const auto score = (Floats)sum[j][q];
                const Floats lower = score < high[q] ? score : high[q];
                at[q] = score > high[q] ? Integers{} + static_cast<std::int32_t>(g * kBestAtoms + j) : at[q];
                high[q] = score > high[q] ? score : high[q];
                next[q] = next[q] > lower ? next[q] : lower;
            }
    }
#pragma GCC unroll 2
    for (int q = 0; q < kBestRegisters; ++q) {
        __builtin_memcpy(label + q * kLanes, &at[q], sizeof at[q]);
        __builtin_memcpy(best + q * kLanes, &high[q], sizeof high[q]);
        __builtin_memcpy(second + q * kLanes, &next[q], sizeof next[q]);
    }
}
