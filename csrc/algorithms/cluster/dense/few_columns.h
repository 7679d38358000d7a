// few_columns.h: the best atom of each dense row of few columns, pass after pass over the same rows.
//
// The first pass takes rows as they come (engines/product_select/column_screen.h). Later ones have them in blocks of
// neighbors (neighbor_blocks.h), which look only at atoms that are the best somewhere in their box (Pelleg & Moore
// 1999; Kanungo et al. 2002). Scores are linear in the row, so for the middle o of a block, all rows of which are
// within r of it and within h_t in column t, and the atom k that is the best there,
//
//   score_k(x) - score_j(x) >= score_k(o) - score_j(o) - min(r |w_k - w_j|, sum_t h_t |w_kt - w_jt|)
//
// rules out j where that is more than rounding explains. A block that one atom is left for needs no look at its rows.
//
// Cost      of the first pass 2 n m d flops and one reading of X; of a later one the blocks that a border of clusters
//           crosses, with the atoms that meet there, and 2 m d flops per block.
// Memory    that of the blocks; m d numbers for the atoms, and m^2 for the distances between them.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "algorithms/cluster/dense/moving_sums.h"
#include "algorithms/cluster/dense/neighbor_blocks.h"
#include "algorithms/cluster/drift.h"
#include "core/buffer.h"
#include "engines/product_select/column_screen.h"
#include "rows/atom.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class FewColumns {
public:
    using T = typename View::value_type;

    /// `blocks`, as LloydSwitches has it: 0 where rows do not stay the same from pass to pass.
    FewColumns(const Rows<View>& rows, int blocks) : rows_(rows), may_block_(blocks), screen_(rows) {}

    /// Takes the atoms of a pass; false where this is not the way: too many columns, numbers that float32 does not
    /// hold, or a pass before this one that left much to float64.
    bool pack(const Context& ctx, const std::vector<Atom<T>>& atoms, const ScoreRule& rule);

    /// Labels of all rows; `known` if those of the state are of the pass before. Returns the multiply-adds spent.
    double run(const Context& ctx, bool known, RowState& state);
    /// Scores of all rows with the atoms of their labels, as of the last pass.
    void score_own(const Context& ctx, RowState& state) const;

    /// The rows whose label the last pass changed, if it knew labels before; one list per thread.
    std::vector<const std::vector<RowMove>*> moves() const {
        std::vector<const std::vector<RowMove>*> all;
        for (const Scratch& s : scratch_) all.push_back(&s.moves);
        return all;
    }
    /// Others have changed labels.
    void forget_labels() { labels_hold_ = false; }

private:
    static constexpr double kTooMany = 1.0 / 16;                     // share of near ties from which bounds are better
    static constexpr int64_t kBlockRows = 2048, kBlockAtoms = 2048;  // fewer rows, or more atoms, are not put in blocks
    static constexpr int64_t kChunk = 1024;                          // rows
    // Costs in multiply-adds, by measurement: per score, to tell whether it is among the best two; per number, to read
    // and lay it out; per row, and per number of it, to put it in a block; per atom and row, to hold boxes against it.
    static constexpr double kPick = 4, kRead = 10, kBlockRow = 3000, kBlockNumber = 300, kBoxAtom = 2;
    static constexpr int64_t kTried = 1 << 15, kPiece = 256;  // rows that are tried in blocks, so many at a place
    static constexpr int64_t kBoxes = 16;                     // blocks whose middles are scored together

    struct Scratch : ColumnScreen<View>::Scratch {
        AlignedVector<float> middles;
        std::vector<int32_t> chosen_atoms;
        int64_t chosen = 0;  // of them; 0: all atoms
        std::vector<RowMove> moves;
    };
    bool blocks_pay(const Context& ctx, const RowState& state);
    double share_left(const Context& ctx, const RowState& state);
    void prepare_blocks(const Context& ctx, const RowState& state);
    void prepare_atoms(const Context& ctx);
    bool choose_atoms(int64_t b, int64_t from, int64_t to, Scratch& s) const;
    void run_rows(int64_t from, int64_t to, bool known, RowState& state, Scratch& s) const;
    void run_blocks(int64_t from, int64_t to, RowState& state, Scratch& s);

    const Rows<View>& rows_;
    int may_block_;
    const KernelTable* kernels_ = nullptr;
    ColumnScreen<View> screen_;
    int64_t m_ = 0;
    AlignedVector<float> apart2_;  // [m, padded of the screen]: |w'_j - w'_k|^2 at most
    bool useful_ = true, labels_hold_ = false;
    int64_t passes_ = 0;  // with labels known before
    double worth_ = -1;   // what blocks spare per row and pass; below 0: not tried yet
    NeighborBlocks<View> blocks_;
    std::vector<Scratch> scratch_;
};

}  // namespace latom

#include "algorithms/cluster/dense/few_columns.inl.h"
