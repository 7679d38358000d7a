// quantised_index.h: an inverted index of the atoms in 8-bit integers, for kernels/quantised_screen.inl.h.
//
// Atoms are scaled to length 1 and stand in the order of `order` (big movers first), so that those a row looks at are a
// prefix. A term that at least one atom in kHeadShare holds ("head") is contiguous bytes over the positions of a tile;
// any other ("tail") is a list of (position, value) in rising position.
//
//   c_jt ~ sigma_t q_jt, q in [-127, 127], 0 where c_jt = 0; rounded up if no atom has a negative entry, else to nearest
//
// Memory    head: at most kHeadShare bytes an entry of the atoms; tail: 5 bytes an entry; 8 bytes a column.
// Cost      three passes over the atoms' entries.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "algorithms/cluster/atoms.h"
#include "core/buffer.h"
#include "latom/context.h"

namespace latom {

struct QuantisedIndex {
    static constexpr int64_t kHeadShare = 64;

    struct Term {
        float sigma;   // 0 for a term that no atom holds
        int32_t line;  // head: its number; tail: ~number
    };
    struct List {
        int64_t begin;
        int32_t count;
    };

    /// Positions of a tile: at least kMinTile, more if few terms are heads, so that the frequent ones fit in L2.
    static constexpr int64_t kMinTile = 256, kMaxTile = 4096, kTileBytes = 1 << 20;

    int64_t tile = kMinTile, heads = 0;
    bool non_negative = true;
    std::vector<Term> terms;                // [d]
    AlignedVector<int8_t> slab;             // [tiles, heads, tile] in the kernel's line layout; the last tile is narrower
    std::vector<List> tails;
    std::vector<int32_t> tail_position;
    std::vector<int8_t> tail_value;

    /// Bytes from one head term to the next in the tile that starts at position `from`.
    int64_t stride(int64_t from) const { return std::min(tile, width_ - from); }
    const int8_t* tile_data(int64_t from) const { return slab.data() + from * heads; }

    template <class T>
    void build(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order, int64_t d);

private:
    int64_t width_ = 0;  // positions, rounded up to 64
};

}  // namespace latom
