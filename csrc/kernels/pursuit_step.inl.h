// pursuit_step.inl.h: screened correlations after a step of matching pursuit, and the largest of each block of atoms.
//
//   weave_row      pairs[j] = row[j] in the lower half, or, where `odd`, in the upper half beside what is in the lower
//   pursuit_pairs  out[j] = start[j] - unit sum over p, both halves, of factor[p] * pairs[p][j]
//   pursuit_row    out[j] -= factor row[j]
//   both           block[b] = the largest out[j], or |out[j]|, of the b-th kPursuitBlock atoms
//
// Shapes    width is a multiple of kPursuitBlock; start, out, row and each of pairs [width]. out may be start. Halves
//           are int16, cells of factor as those of pairs.
// Numerics  pursuit_pairs sums integers, exact while sum |factor| < 2^16, and rounds at its end; variants may round
//           differently: the caller's bound covers three float32 roundings. NaN is never the largest, and stays NaN:
//           it marks places that must not be taken. Minus infinity where all are.
// Cost      pursuit_pairs 4 flops per pair and atom, in one instruction for 16 atoms; the pairs read once.

constexpr int kPursuitLanes = 8;  // registers of sums side by side, as one alone waits for each addition

inline Lanes larger_lanes(Lanes a, Lanes b) { return a > b ? a : b; }  // b where a is NaN

void weave_row(const std::int16_t* row, bool odd, std::int64_t width, std::uint32_t* pairs) {
    if (odd)
        for (std::int64_t j = 0; j < width; ++j)
            pairs[j] |= static_cast<std::uint32_t>(static_cast<std::uint16_t>(row[j])) << 16;
    else
        for (std::int64_t j = 0; j < width; ++j) pairs[j] = static_cast<std::uint16_t>(row[j]);
}

// next(i, at): lane i of the results at `at`, which it also stores.
template <class Next>
inline void largest_of_blocks(std::int64_t width, bool magnitudes, float* block, Next next) {
    constexpr int kStep = kPursuitLanes * kLanes;
    for (std::int64_t at = 0; at < width; at += kPursuitBlock) {
        Lanes most = lanes_of(-__builtin_inff());
        for (int part = 0; part < kPursuitBlock; part += kStep) next(at + part, magnitudes, most);
        block[at / kPursuitBlock] = fold_vector(most, [](auto a, auto b) { return a > b ? a : b; });
    }
}

void pursuit_pairs(const float* start, const std::uint32_t* const* pairs, const std::uint32_t* factor,
                   std::int64_t count, float unit, std::int64_t width, bool magnitudes, float* out, float* block) {
    largest_of_blocks(width, magnitudes, block, [=](std::int64_t at, bool absolute, Lanes& most) {
        Pairs sum[kPursuitLanes] = {};
        for (std::int64_t p = 0; p < count; ++p) {
            const std::uint32_t* row = pairs[p] + at;
            const Pairs f = pairs_of(factor[p]);
#pragma GCC unroll 8
            for (int i = 0; i < kPursuitLanes; ++i) sum[i] = pairs_add(sum[i], f, pairs_at(row + i * kLanes));
        }
#pragma GCC unroll 8
        for (int i = 0; i < kPursuitLanes; ++i) {
            const Lanes v = lanes_fma(lanes_of(-unit), pairs_as_float(sum[i]), lanes_at(start + at + i * kLanes));
            lanes_to(out + at + i * kLanes, v);
            most = larger_lanes(absolute ? lanes_abs(v) : v, most);
        }
    });
}

void pursuit_row(const std::int16_t* row, float factor, std::int64_t width, bool magnitudes, float* out, float* block) {
    typedef std::int16_t Shorts __attribute__((vector_size(kLanes * 2)));
    typedef std::int32_t Whole __attribute__((vector_size(kLanes * 4)));
    largest_of_blocks(width, magnitudes, block, [=](std::int64_t at, bool absolute, Lanes& most) {
#pragma GCC unroll 8
        for (int i = 0; i < kPursuitLanes; ++i) {
            const Whole g = __builtin_convertvector(load<Shorts>(row + at + i * kLanes), Whole);
            const Lanes v = lanes_fma(lanes_of(-factor), pairs_as_float((Pairs)g), lanes_at(out + at + i * kLanes));
            lanes_to(out + at + i * kLanes, v);
            most = larger_lanes(absolute ? lanes_abs(v) : v, most);
        }
    });
}
