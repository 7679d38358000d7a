// few_columns.h: the best atom of each dense row of few columns: scores in float32, near ties in float64.
//
// Rows of few columns cost more to pack, to queue and to keep bounds for than to score. The kernel
// (kernels/best_two.inl.h) has rows across its lanes and gives the best atom and the two highest scores. The best is
// the answer where it leads by more than both may be wrong; other rows meet all atoms in float64.
//
// The first pass takes rows as they come. Later ones have them in blocks of neighbors (neighbor_blocks.h), which look
// only at atoms that are the best somewhere in their box (Pelleg & Moore 1999; Kanungo et al. 2002). Scores are linear
// in the row, so for the middle o of a block, all rows of which are within r of it and within h_t in column t, and the
// atom k that is the best there,
//
//   score_k(x) - score_j(x) >= score_k(o) - score_j(o) - min(r |w_k - w_j|, sum_t h_t |w_kt - w_jt|)
//
// rules out j where that is more than rounding explains. A block that one atom is left for needs no look at its rows.
//
// Euclidean scores are taken from a point o amid the atoms, which changes all scores of a row alike: data far from the
// origin would leave float32 nothing to tell atoms apart by. With x' = x - o, w' = factor (w - o) and their bias b',
//
//   |score_j - S'_j| <= e_j = gamma (|x'| |w'_j| + |b'_j|) + t + f,      gamma = 1.01 (d + 10) 2^-24
//
// which counts the rounding of x', w' and b' to float32 and of d products and sums, in whatever order; t is for numbers
// below what float32 holds, f = (d + 16) 2^-52 (|x| |w_j| + |b_j|) for the float64 scores that decide. The kernel adds
// e_j to each score. The atom j of the highest is the answer where it leads by more than 2 e_j.
//
// Cost      of the first pass 2 n m d flops and one reading of X; of a later one the blocks that a border of clusters
//           crosses, with the atoms that meet there, and 2 m d flops per block.
// Memory    that of the blocks; m d numbers for the atoms, and m^2 for the distances between them.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "algorithms/cluster/dense/moving_sums.h"
#include "algorithms/cluster/dense/neighbor_blocks.h"
#include "algorithms/cluster/drift.h"
#include "core/buffer.h"
#include "engines/product_select/decide.h"
#include "kernels/short_dot.h"
#include "rows/atom.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class FewColumns {
public:
    using T = typename View::value_type;
    static constexpr int64_t kMostColumns = 64;  // by measurement

    /// `blocks`, as LloydSwitches has it: 0 where rows do not stay the same from pass to pass.
    FewColumns(const Rows<View>& rows, int blocks) : rows_(rows), may_block_(blocks) {}

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
    static constexpr int64_t kMostNumbers = 1 << 14;  // of all atoms together: the second cache holds them
    static constexpr double kTooMany = 1.0 / 16;      // share of the rows in float64 from which bounds are better
    static constexpr double kLargest = 1e18;          // length whose products float32 holds
    static constexpr int64_t kBlockRows = 2048, kBlockAtoms = 2048;  // fewer rows, or more atoms, are not put in blocks
    static constexpr int64_t kChunk = 1024;                          // rows
    // Costs in multiply-adds, by measurement: per score, to tell whether it is among the best two; per number, to read
    // and lay it out; per row, and per number of it, to put it in a block; per atom and row, to hold boxes against it.
    static constexpr double kPick = 4, kRead = 10, kBlockRow = 3000, kBlockNumber = 300, kBoxAtom = 2;
    static constexpr int64_t kTried = 1 << 15, kPiece = 256;  // rows that are tried in blocks, so many at a place
    static constexpr int64_t kLine = 16;                      // numbers
    static constexpr int64_t kBoxes = 16;                     // blocks whose middles are scored together

    struct alignas(kCacheLine) Scratch {
        AlignedVector<float> columns, bias, best, second, middles, above;
        std::vector<int32_t> label, which;
        std::vector<double> scores;  // [m]
        std::vector<float> error;    // [m], and the largest
        double error_most = 0, held = -1;
        std::vector<RowMove> moves;
        int64_t chosen = 0;  // of `which`; 0: all atoms
        int64_t near = 0, scored = 0;
    };
    void widen(double longest, Scratch& s) const;
    int32_t decide(int64_t i, Scratch& s) const;
    bool blocks_pay(const Context& ctx, const RowState& state);
    double share_left(const Context& ctx, const RowState& state);
    void prepare_blocks(const Context& ctx, const RowState& state);
    void prepare_atoms(const Context& ctx);
    bool choose_atoms(int64_t b, int64_t from, int64_t to, Scratch& s) const;
    void run_rows(int64_t from, int64_t to, bool known, RowState& state, Scratch& s) const;
    void run_blocks(int64_t from, int64_t to, RowState& state, Scratch& s);
    template <class Row>
    void settle(int64_t count, double longest, const float* columns, Row row, Scratch& s) const;

    const Rows<View>& rows_;
    int may_block_;
    const KernelTable* kernels_ = nullptr;
    int64_t m_ = 0, padded_ = 0;
    ScoreRule rule_;
    std::vector<T> value_;             // [m, d]
    std::vector<T> origin_;            // [d], or empty: o
    AlignedVector<float> atoms_;       // [m, d]: w'
    std::vector<float> bias_;          // [m]: b'
    std::vector<float> slope_, base_;  // [m]: e_j is at most slope |x'| + base
    AlignedVector<float> turned_;      // [d, padded]: w', for blocks
    AlignedVector<float> apart2_;      // [m, padded]: |w'_j - w'_k|^2 at most
    std::vector<int32_t> all_;         // [m]: 0, 1, ...
    bool useful_ = true, labels_hold_ = false;
    int64_t passes_ = 0;  // with labels known before
    double worth_ = -1;   // what blocks spare per row and pass; below 0: not tried yet
    NeighborBlocks<View> blocks_;
    std::vector<Scratch> scratch_;
};

}  // namespace latom

#include "algorithms/cluster/dense/few_columns.inl.h"
