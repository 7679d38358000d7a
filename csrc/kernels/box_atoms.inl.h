// box_atoms.inl.h: which of many atoms may be the best for some row of a box.
//
//   score_j  = score[j] + above_j        of the middle of the box, with twice its error; k is the atom of the highest
//   lead_j   = score_k - 4 error_k - score_j,           by how much k leads there for sure
//   kept     = { j : lead_j <= min(r |w_k - w_j|, sum_t h_t |w_kt - w_jt|) } and k
//
// r is the radius of a ball around the middle that holds the rows, h_t half the width of the box: how far they can move
// a difference of scores, which are linear in the row.
//
// Shapes    columns [d][stride]: w_jt at t, j; apart2 [m][stride]: at least |w_k - w_j|^2; above [stride]; error [m];
//           stride a multiple of 16, minus infinity in above from m on. score [stride] is used up. which [stride].
//           apart2 null: the box is a point, and half is not read.
// Numerics  float32: radius2 and apart2 are rounded up by the caller; the sum over t is widened here by more than its
//           d + 3 roundings. What is no number is kept.
// Cost      8 instructions per register of atoms, and 3 d where the ball leaves one of them.

std::int64_t box_atoms(const BoxAtoms& atoms, const float* half, float radius2, float* score, std::int32_t* which) {
    f32x16 most = line_of(-__builtin_inff());
    for (std::int64_t j = 0; j < atoms.stride; j += f32x16::kCount) {
        const f32x16 v = line_at(score + j) + line_at(atoms.above + j);
        line_to(score + j, v);
        most = larger(most, v);
    }
    const Lanes top = lanes_of(max_lanes(most));
    std::int64_t k = 0;
    for (std::uint32_t mask = 0; !mask && k < atoms.m; k += mask ? __builtin_ctz(mask) : kLanes)
        mask = lanes_reach(lanes_at(score + k), top);
    k = k < atoms.m ? k : atoms.m - 1;

    // Twice the error of k was added; it is twice as much less for sure.
    const Lanes sure = lanes_of(score[k] - 4.0001f * atoms.error[k]), ball = lanes_of(radius2);
    // A lead whose square float32 does not hold proves nothing beside the ball; nor does a tiny one beside the box.
    const Lanes least = lanes_of(1e-15f), tiny = lanes_of(1e-30f);
    const Lanes wider = lanes_of(1 + static_cast<float>(atoms.d + 16) * 0x1p-21f);
    const float* apart2 = atoms.apart2 ? atoms.apart2 + k * atoms.stride : nullptr;
    std::int64_t count = 0;
    for (std::int64_t j = 0; j < atoms.m; j += kLanes) {
        const Lanes lead = sure - lanes_at(score + j);
        std::uint32_t kept = lanes_reach(least, lead);
        if (apart2) kept |= lanes_reach(ball * lanes_at(apart2 + j), lead * lead);
        if (atoms.m - j < kLanes) kept &= (1u << (atoms.m - j)) - 1;
        const std::uint32_t own = k - j >= 0 && k - j < kLanes ? 1u << (k - j) : 0;
        if (apart2 && (kept & ~own)) {
            Lanes reach = {};
            const float* column = atoms.columns;
            for (std::int64_t t = 0; t < atoms.d; ++t, column += atoms.stride)
                reach = lanes_fma(lanes_abs(lanes_of(column[k]) - lanes_at(column + j)), lanes_of(half[t]), reach);
            kept &= lanes_reach(tiny, lead) | lanes_reach(reach * wider, lead);
        }
        for (kept |= own; kept; kept &= kept - 1) which[count++] = static_cast<std::int32_t>(j) + __builtin_ctz(kept);
    }
    return count;
}
