// product_screen.inl.h: scores of a tile of dense rows with a panel of atoms, in low precision, and which may matter.
//
//   score[r][c] = factor[c] sum_t x[r][t] w[t][c] + row_bias[r] bias[c],        hit[r] = { c : score[r][c] >= limit[r]
//   }
//
// Shapes    a tile has kTileRows rows, a panel kPanelAtoms atoms. Columns are packed `depth` together: x [d / depth]
//           [kTileRows][depth], w [d / depth][kPanelAtoms][depth], so that both are read as one stream. float32: depth
//           1; int16 and bfloat16: depth 2; int8: depth 4.
// Numerics  float32 accumulation, a column (bfloat16: a pair of columns) at a time. Variants may round differently: the
//           caller's bound covers d roundings of sums of |x_t w_t|, and two more for factor and bias.
//           int16 is in units of 2^-15; its sums are exact where |x| |w| < 2, as by Cauchy-Schwarz none of them leaves
//           32 bits, and each is rounded once, to float32. int8 is exact where d <= 2^16, and rounded once.
//           Instructions multiply unsigned rows with signed atoms: x holds q + 128, and a panel starts with a line of
//           -128 sum_t w[t][c], from which the sums start.
// Cost      2 d flops per score; a step loads kPanelAtoms + kTileRows numbers for their product, and fetches a line at
//           scale.next for the caller's next panel: memory would be idle.
//
// screen_pairs is of a panel whose atoms are rows themselves, and a tile whose rows are atoms, too. A product counts
// for both:
//
//   back[r][c] = tile_factor[r] sum_t x[r][t] w[t][c] + row_bias[c] tile_bias[r],
//   back_hit[r] = { c : back[r][c] >= bar[c] - e[c] },
//   e = 1.00001 (rounding[c] length + row_length[c] residual + bias_error[c] magnitude) + 1e-30
//
// A tile holds as many sums as the registers do; the panel is two registers wide.

constexpr int kAhead = 4;  // steps; by measurement

struct Float32Step {
    static constexpr bool kStart = false;  // sums start from a line of the panel
    using Cell = float;
    using Sum = Lanes;
    Lanes atoms(const Cell* w) const { return lanes_at(w); }
    Lanes row(const Cell* x) const { return lanes_of(*x); }
    Lanes add(Lanes sum, Lanes x, Lanes w) const { return lanes_fma(x, w, sum); }
    Lanes product(Lanes sum) const { return sum; }
};

#if defined(__SSE2__)
struct Int16Step {  // a cell is a pair of neighboring columns
    static constexpr bool kStart = false;
    using Cell = std::uint32_t;
    using Sum = Pairs;
    Pairs atoms(const Cell* w) const { return pairs_at(w); }
    Pairs row(const Cell* x) const { return pairs_of(*x); }
    Pairs add(Pairs sum, Pairs x, Pairs w) const { return pairs_add(sum, x, w); }
    Lanes product(Pairs sum) const { return pairs_as_float(sum) * 0x1p-30f; }
};
#endif

#if defined(__AVX512VNNI__)
struct Int8Step : Int16Step {  // a cell is four neighboring columns
    static constexpr bool kStart = true;
    Pairs add(Pairs sum, Pairs x, Pairs w) const {
        return (Pairs)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
    }
    Lanes product(Pairs sum) const { return pairs_as_float(sum); }
};
#endif

#if defined(__AVX512BF16__)
struct BFloat16Step {
    static constexpr bool kStart = false;
    using Cell = std::uint32_t;
    using Sum = Lanes;
    Lanes atoms(const Cell* w) const { return _mm512_loadu_ps(w); }
    Lanes row(const Cell* x) const { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(*x))); }
    Lanes add(Lanes sum, Lanes x, Lanes w) const {
        return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(w));
    }
    Lanes product(Lanes sum) const { return sum; }
};
#endif

// sum[r] = the products of row r with the panel, as they are before product().
template <class Step>
__attribute__((always_inline)) inline void tile_sums(const void* tile, const void* panel, std::int64_t cells,
                                                     const void* fetched, typename Step::Sum (&sum)[kTileRows][2]) {
    const auto* x = static_cast<const typename Step::Cell*>(tile);
    const auto* w = static_cast<const typename Step::Cell*>(panel);
    const auto* next = static_cast<const char*>(fetched);
    const Step step{};
    for (auto& row : sum) row[0] = row[1] = typename Step::Sum{};
    if constexpr (Step::kStart) {
        const auto left = step.atoms(w), right = step.atoms(w + kLanes);
        for (auto& row : sum) row[0] = left, row[1] = right;
        w += kPanelAtoms;
    }
    for (std::int64_t t = 0; t < cells; ++t, x += kTileRows, w += kPanelAtoms) {
        __builtin_prefetch(w + kAhead * kPanelAtoms);  // each step reads two new cache lines of atoms
        __builtin_prefetch(w + kAhead * kPanelAtoms + kLanes);
        __builtin_prefetch(next + t * 64, 0, 2);  // into the second cache
        const auto left = step.atoms(w), right = step.atoms(w + kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < kTileRows; ++r) {
            const auto value = step.row(x + r);
            sum[r][0] = step.add(sum[r][0], value, left);
            sum[r][1] = step.add(sum[r][1], value, right);
        }
    }
}

template <class Step>
std::uint32_t screen_tile(const void* tile, const void* panel, std::int64_t cells, const PanelScale& scale,
                          const TileLimit& limits, float* score, std::uint32_t* hit) {
    const Step step{};
    typename Step::Sum sum[kTileRows][2];
    tile_sums<Step>(tile, panel, cells, scale.next, sum);
    std::uint32_t rows = 0;
#pragma GCC unroll 16
    for (int r = kTileRows - 1; r >= 0; --r) {  // from the last, whose bit moves up
        const Lanes limit = lanes_of(limits.limit[r]), row_bias = lanes_of(limits.row_bias[r]);
        Lanes v[2];
        for (int half = 0; half < 2; ++half) {
            v[half] = lanes_fma(row_bias, lanes_at(scale.bias + half * kLanes),
                                step.product(sum[r][half]) * lanes_at(scale.factor + half * kLanes));
            if (limits.magnitude) v[half] = lanes_abs(v[half]);
            lanes_to(score + r * kPanelAtoms + half * kLanes, v[half]);
        }
        hit[r] = lanes_reach_two(v[0], v[1], limit, limit);
        rows = rows + rows + (hit[r] != 0);
    }
    return rows;
}

template <class Step>
PairHits screen_pairs(const void* tile, const void* panel, std::int64_t cells, const PanelScale& scale,
                      const TileLimit& limits, const BackLimit& back_limits, float* score, std::uint32_t* hit,
                      float* back, std::uint32_t* back_hit) {
    const Step step{};
    typename Step::Sum sum[kTileRows][2];
    tile_sums<Step>(tile, panel, cells, scale.next, sum);
    const BackLimit as_rows = back_limits;  // copies, which no store to score can change
    const PanelScale as_atoms = scale;
    const TileLimit tile_limits = limits;
    Lanes panel_limit[2];
    for (int half = 0; half < 2; ++half) {
        const int from = half * kLanes;
        const Lanes error = lanes_at(as_rows.rounding + from) * lanes_of(as_rows.length) +
                            lanes_at(as_rows.row_length + from) * lanes_of(as_rows.residual) +
                            lanes_at(as_rows.bias_error + from) * lanes_of(as_rows.magnitude);
        panel_limit[half] = lanes_at(as_rows.bar + from) - (error * (1 + 1e-5f) + 1e-30f);
    }
    PairHits rows{0, 0};
#pragma GCC unroll 16
    for (int r = kTileRows - 1; r >= 0; --r) {
        const Lanes limit = lanes_of(tile_limits.limit[r]), row_bias = lanes_of(tile_limits.row_bias[r]),
                    tile_factor = lanes_of(as_rows.tile_factor[r]), tile_bias = lanes_of(as_rows.tile_bias[r]);
        Lanes v[2], u[2];
        for (int half = 0; half < 2; ++half) {
            const int from = half * kLanes;
            const Lanes product = step.product(sum[r][half]);
            v[half] = lanes_fma(row_bias, lanes_at(as_atoms.bias + from), product * lanes_at(as_atoms.factor + from));
            u[half] = lanes_fma(tile_bias, lanes_at(as_rows.row_bias + from), product * tile_factor);
            lanes_to(score + r * kPanelAtoms + from, v[half]);
            lanes_to(back + r * kPanelAtoms + from, u[half]);
        }
        hit[r] = lanes_reach_two(v[0], v[1], limit, limit);
        back_hit[r] = lanes_reach_two(u[0], u[1], panel_limit[0], panel_limit[1]);
        rows.tile = rows.tile + rows.tile + (hit[r] != 0);
        rows.back = rows.back + rows.back + (back_hit[r] != 0);
    }
    return rows;
}
