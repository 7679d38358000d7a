// quantised_index.h: an inverted index of the atoms in 8-bit integers, for kernels/quantised_screen.inl.h.
//
// Atoms are scaled to length 1 and stand in the order of `order`: position 0 is the one that moved most, so that the
// atoms a row has to look at are always a prefix. A term that at least one atom in kHeadShare holds ("head") is one
// contiguous run of bytes over all positions; any other ("tail") is a list of (position, value) in rising position.
//
//   c_jt  =  sigma_t (q_jt + e),  |e| <= 1/2,  q in [-127, 127];  e = 0 where c_jt = 0
//
// Memory    head: at most kHeadShare bytes an entry of the atoms; tail: 5 bytes an entry; 8 bytes a column.
// Cost      three passes over the atoms' entries.
#pragma once

#include <cstdint>
#include <vector>

#include "algorithms/cluster/atoms.h"
#include "core/buffer.h"
#include "latom/context.h"

namespace latom {

struct QuantisedIndex {
    static constexpr int64_t kHeadShare = 32;

    struct Term {
        float sigma;   // 0 for a term that no atom holds
        int32_t line;  // head: its number; tail: ~number
    };
    struct List {
        int64_t begin;
        int32_t count;
    };

    int64_t stride = 0;                     // bytes from one head term to the next
    bool non_negative = true;
    std::vector<Term> terms;                // [d]
    AlignedVector<int8_t> slab;             // [heads, stride] in the kernel's line layout
    std::vector<List> tails;
    std::vector<int32_t> tail_position;
    std::vector<int8_t> tail_value;

    template <class T>
    void build(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<int32_t>& order, int64_t d);
};

}  // namespace latom
