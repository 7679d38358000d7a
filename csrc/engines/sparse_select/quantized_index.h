// quantized_index.h: an inverted index of the atoms in 8-bit integers, for kernels/accumulate.inl.h.
//
// Atoms are scaled to length 1 and stand in the order of `order` (big movers first), so that those a row looks at are a
// prefix. Neighbors are held together in groups of eight, or of one (where little can be ruled out by groups):
//
//   maxima   for each group the largest of its entries (and, for signed data, of their negatives): contiguous bytes
//   over
//            the groups of a tile, [tiles, lines, tile]. Their sums bound all atoms of a group at once.
//   values   in groups of eight, every atom's entries, group by group: [groups, heads, 8]
//
//   c_jt ~ sigma_t q_jt, q in [-127, 127], 0 where c_jt = 0; rounded up if neither atoms nor rows have a negative
//   entry, else to nearest
//
// A term that fewer than one atom in head_share holds ("tail") is a list of (position, value) in rising position
// instead.
//
// Memory    heads: at most head_share bytes an entry of the atoms, some 9/8 of it in groups (twice, 5/4, if signed);
// tails: 5 bytes; 8 bytes a column. Cost      two passes over the atoms' entries.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "latom/context.h"
#include "rows/atom.h"

namespace latom {

struct QuantizedIndex {
    /// Rarer terms are lists; by measurement.
    static constexpr int64_t head_share(int64_t group) { return group == 1 ? 64 : 128; }
    /// Groups of a tile: at least kMinTile, more if few terms are heads, so that the frequent ones fit in L2.
    static constexpr int64_t kMinTile = 512, kMaxTile = 4096, kTileBytes = 1 << 20;

    struct Term {
        float sigma;   // 0 for a term that no atom holds
        int32_t line;  // head: its number; tail: ~number
    };
    struct List {
        int64_t begin;
        int32_t count;
    };

    bool round_up = true;
    int64_t group = 1, groups = 0, heads = 0, tile = kMinTile;  // group: atoms a group
    int signs = 1;  // lines a head term has among the maxima: 2 for signed data, the second of negated entries
    std::vector<Term> terms;  // [d]
    AlignedVector<int8_t> values, maxima;
    std::vector<List> tails;
    std::vector<int32_t> tail_position;
    std::vector<int8_t> tail_value;

    /// Bytes from one line to the next in the tile of maxima that starts at group `from`.
    int64_t stride(int64_t from) const { return std::min(tile, width_ - from); }
    const int8_t* tile_data(int64_t from) const { return maxima.data() + from * heads * signs; }
    const int8_t* group_data(int64_t g) const { return values.data() + g * heads * group; }

    template <class T>
    void build(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order, int64_t d,
               bool non_negative_rows, int64_t atoms_a_group);

private:
    template <class T>
    bool count_terms(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order,
                     int64_t d);
    void lay_out(const Context& ctx, int64_t m);
    template <class T>
    void fill(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order, int64_t d);

    int64_t width_ = 0;  // groups, rounded up to 64
};

}  // namespace latom
