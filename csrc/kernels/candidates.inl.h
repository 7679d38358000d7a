// candidates.inl.h: the bounds of screened scores that may matter, kept as three rows: lower, upper, position.
//
//   collect      of the rows of a tile: appends atom c where bit c of hit[r] is set and upper >= tau[r], for
//                e = 1.00001 (rounding[r] length[c] + row_length[r] residual[c] + row_bias[r] magnitude[c]) + 2.5e-7
//                |s| + 1e-30, lower = s - e, upper = s + e, s = score[r][c]
//   collect_back the same for the atoms of a panel that are rows themselves: `to` is of these, `atoms` of the tile's
//                rows; row first + r where bit c of hit[r] is set is a candidate of c
//   drop_below   removes those with upper < bar, in place
//
// Shapes    score [tile_rows, panel_atoms]; length, residual, magnitude [panel_atoms]; the three rows of `collect` have
//           room for panel_atoms beyond what is there, those of drop_below are read up to the next multiple of 16.
// Cost      some 30 instructions per row with hits of AVX-512, however many; elsewhere some 15 per hit.

inline std::int32_t collect_row(const float* score, std::uint32_t hits, float rounding, float row_length,
                                float row_bias, float tau, const AtomError& atoms, std::int32_t first, float* lower,
                                float* upper, std::int32_t* position) {
    std::int32_t count = 0;
#if defined(__AVX512F__)
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
#pragma GCC unroll 2
    for (int from = 0; from < kPanelAtoms; from += kLanes) {
        const Lanes s = lanes_at(score + from);
        Lanes e = lanes_of(rounding) * lanes_at(atoms.length + from) +
                  lanes_of(row_length) * lanes_at(atoms.residual + from) +
                  lanes_of(row_bias) * lanes_at(atoms.magnitude + from);
        e = e * (1 + 1e-5f) + lanes_abs(s) * 2.5e-7f + 1e-30f;
        const __mmask16 mask =
            _mm512_mask_cmp_ps_mask(static_cast<__mmask16>(hits >> from), s + e, lanes_of(tau), _CMP_GE_OQ);
        _mm512_storeu_ps(lower + count, _mm512_maskz_compress_ps(mask, s - e));
        _mm512_storeu_ps(upper + count, _mm512_maskz_compress_ps(mask, s + e));
        _mm512_storeu_si512(position + count, _mm512_maskz_compress_epi32(
                                                  mask, _mm512_add_epi32(lanes, _mm512_set1_epi32(first + from))));
        count += __builtin_popcount(mask);
    }
#else
    for (; hits; hits &= hits - 1) {
        const int c = __builtin_ctz(hits);
        const float s = score[c];
        const float error = rounding * atoms.length[c] + row_length * atoms.residual[c] + row_bias * atoms.magnitude[c];
        const float e = error * (1 + 1e-5f) + __builtin_fabsf(s) * 2.5e-7f + 1e-30f;
        lower[count] = s - e;
        upper[count] = s + e;
        position[count] = first + c;
        count += s + e >= tau;
    }
#endif
    return count;
}

std::uint32_t collect(std::uint32_t rows, const std::uint32_t* hit, std::uint32_t valid, const float* score,
                      const AtomError& atoms, std::int32_t first, const RowCandidates& to) {
    std::uint32_t full = 0;
    for (; rows; rows &= rows - 1) {
        const int r = __builtin_ctz(rows);
        const std::int64_t place = r * to.capacity + to.filled[r];
        to.filled[r] += collect_row(score + r * kPanelAtoms, hit[r] & valid, to.rounding[r], to.length[r], to.bias[r],
                                    to.tau[r], atoms, first, to.lower + place, to.upper + place, to.position + place);
        full |= static_cast<std::uint32_t>(to.filled[r] >= to.full[r]) << r;
    }
    return full;
}

// Hits are few, and no two of them need be of one list.
std::uint32_t collect_back(std::uint32_t rows, const std::uint32_t* hit, std::uint32_t valid, const float* score,
                           const AtomError& atoms, std::int32_t first, const RowCandidates& to) {
    std::uint32_t full = 0;
    for (; rows; rows &= rows - 1) {
        const int r = __builtin_ctz(rows);
        for (std::uint32_t hits = hit[r] & valid; hits; hits &= hits - 1) {
            const int c = __builtin_ctz(hits);
            const float s = score[r * kPanelAtoms + c];
            const float error =
                to.rounding[c] * atoms.length[r] + to.length[c] * atoms.residual[r] + to.bias[c] * atoms.magnitude[r];
            const float e = error * (1 + 1e-5f) + __builtin_fabsf(s) * 2.5e-7f + 1e-30f;
            if (!(s + e >= to.tau[c])) continue;
            const std::int64_t place = c * to.capacity + to.filled[c]++;
            to.lower[place] = s - e;
            to.upper[place] = s + e;
            to.position[place] = first + r;
            full |= static_cast<std::uint32_t>(to.filled[c] >= to.full[c]) << c;
        }
    }
    return full;
}

std::int64_t drop_below(float bar, std::int64_t count, float* lower, float* upper, std::int32_t* position) {
    std::int64_t kept = 0;
#if defined(__AVX512F__)
    for (std::int64_t i = 0; i < count; i += 16) {
        const __m512 ends = _mm512_loadu_ps(upper + i), starts = _mm512_loadu_ps(lower + i);
        const __m512i places = _mm512_loadu_si512(position + i);
        const __mmask16 whole = static_cast<__mmask16>(count - i >= 16 ? 0xffff : (1 << (count - i)) - 1);
        const __mmask16 mask = _mm512_mask_cmp_ps_mask(whole, ends, _mm512_set1_ps(bar), _CMP_GE_OQ);
        _mm512_storeu_ps(upper + kept, _mm512_maskz_compress_ps(mask, ends));
        _mm512_storeu_ps(lower + kept, _mm512_maskz_compress_ps(mask, starts));
        _mm512_storeu_si512(position + kept, _mm512_maskz_compress_epi32(mask, places));
        kept += __builtin_popcount(mask);
    }
#else
    for (std::int64_t i = 0; i < count; ++i) {
        const bool stays = upper[i] >= bar;
        lower[kept] = lower[i];
        upper[kept] = upper[i];
        position[kept] = position[i];
        kept += stays;
    }
#endif
    return kept;
}
