// sparse_select.h: the best atom of each sparse row, and a bound on all others.
//
// For a row whose present atom scores `own`, an atom can win only if its upper bound reaches `own`. Three tests, each
// with a proof, leave few atoms to score in float64:
//
//   drift     the row carries `far`, a lower bound on its distance to every atom but its own. An atom that moved by
//             delta is still at least far - delta away, so only atoms with delta >= far - distance(own) can win. Atoms
//             stand in order of falling delta: these are a prefix. An empty prefix skips the row.
//   screen    8-bit integer upper bounds for that prefix (kernels/accumulate.inl.h); with many atoms first on
//             groups of eight by their largest entries, then on the atoms of the few groups whose bound is high.
//   residual  what the screen drops from a row (LloydSwitches::drop) is bounded by its norm, since atoms have length 1.
//
// Distances are angles under cosine and Euclidean distances otherwise: both obey the triangle inequality. All bounds
// hold for signed data. They discard only atoms that are worse by more than the rounding of every number involved, so
// ties reach float64, where the lowest index wins.
//
// Survivors are collected over a block of rows and scored atom by atom: each atom is laid out as a dense vector once.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "algorithms/cluster/drift.h"
#include "algorithms/cluster/sparse/few_atoms.h"
#include "core/buffer.h"
#include "engines/product_select/score_rule.h"
#include "engines/sparse_select/quantized_index.h"
#include "latom/cluster.h"
#include "rows/atom.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class SparseSelect {
public:
    using T = typename View::value_type;

    SparseSelect(const Rows<View>& rows, Metric metric, const LloydSwitches& switches)
        : rows_(rows), metric_(metric), switches_(switches) {}

    /// Takes the atoms for a pass; drift [m] is how far each moved since the last one, empty before the first.
    void prepare(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<double>& drift);

    /// Labels, scores and bounds of the rows `visit` (in any order). `known` if the state's labels and scores hold for
    /// these atoms. Returns the multiply-adds spent.
    double run(const Context& ctx, const std::vector<int64_t>& visit, bool known, RowState& state);

    /// What run() would look at, for another device; adopt() takes what that has found, and returns the multiply-adds of
    /// the plan.
    SearchPlan plan(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<double>& drift, bool known,
                    const RowState& state);
    double adopt(const Context& ctx, const Found& found, bool known, RowState& state) const;

    /// Whether the last pass scored all rows anew, so that their scores need not be kept up.
    bool scores_all() const { return few_; }
    /// Whether the last pass left no scores, and those of all rows with the atoms of their labels in their place.
    bool leaves_scores() const { return few_ && all_.leaves_scores(); }
    void add_scores(const Context& ctx, RowState& state) const { all_.score_own(ctx, rows_, decision_, state); }

private:
    static constexpr int64_t kBlockRows = 4096;   // at most so many rows have their survivors scored together
    static constexpr int64_t kScreenRows = 1024;  // rows screened together: their quantized terms stay in L2
    static constexpr int64_t kGroup = 8;          // atoms of a group, as kernels take them
    static constexpr int64_t kManyAtoms = 4096;   // from here on groups rule out more than they cost
    static constexpr std::size_t kMaxPairs = 1 << 17;
    static constexpr int64_t kMaxTerms = 130000;  // longer rows could overflow the integer sums

    struct Pair {
        int32_t atom;
        int32_t row;  // within the block's queue
        float bound;  // upper bound in screen units
        double score;
    };
    struct Tail {  // a tail term's list, and how far the tiles have come in it
        int64_t begin, at, end;
        int32_t p;
    };
    struct Queued {  // a row of the block that looks at atoms
        int64_t i;
        int64_t width;  // positions to look at
        double unseen;  // lower bound on the distance to the others
        bool screened;
        int32_t mine;      // position of its atom, whose score is known; -1 before the first pass
        int64_t heads[3];  // positive head terms in [0, 1), negative ones in [1, 2) of the block's lines and weights
        int64_t tails[2];
        float step, shift;  // upper bound of an atom: (acc * step + shift) * scale + bias_scale * bias
        float bias_scale;
        float spread;  // upper bound less lower bound
        float bar;     // an atom whose upper bound is lower cannot win
        float others;  // highest upper bound among the atoms that are not scored
    };
    struct alignas(kCacheLine) Worker {
        AlignedVector<float> a;
        AlignedVector<int8_t> p;
        std::vector<int32_t> lines, negative_lines;
        std::vector<uint8_t> weights, negative_weights;
        std::vector<Tail> tails;
        AlignedVector<int32_t> acc;
        float block[QuantizedIndex::kMaxTile / 64];  // largest bound of each 64 groups
        std::vector<std::uint64_t> refined;          // group << 32 | row of the queue
        std::vector<Pair> pairs;
        std::vector<Queued> queue;
        AtomScratch<T> scratch;
        std::size_t used = 0;  // of lines and weights
        int64_t products = 0;
    };
    struct Units {  // screen units of a row: score = decision * to_screen
        double to_screen;
        float step_scale, bias_scale;
    };

    template <class F>
    void each_row(const Context& ctx, F f) const {
        constexpr int64_t kRows = 4096;
        parallel_for(ctx, chunk_count(rows_.n(), kRows), [&](int64_t c, int) {
            for (int64_t i = c * kRows; i < std::min(rows_.n(), (c + 1) * kRows); ++i) f(i);
        });
    }
    void take(const std::vector<Atom<T>>& atoms, const std::vector<double>& drift);
    Units units(int64_t i) const;
    DriftOrder::Span span(int64_t i, bool known, const RowState& state) const;
    void set_zero(int64_t i, RowState& state) const;
    double distance(int64_t i, double screen) const;
    void prefetch(int64_t i, const RowState& state) const;
    void enqueue(Worker& w, int64_t i, bool known, RowState& state) const;
    void quantize(Worker& w, Queued& row, const RowState& state) const;
    void set_bounds(Queued& row, const RowError& error, double dropped2, const RowState& state) const;
    void look(Worker& w, Queued& row, int32_t index, int64_t from) const;
    void refine(Worker& w, RowState& state) const;
    void prefetch_group(const Worker& w, std::uint64_t key) const;
    void keep(Worker& w, const Queued& row, int32_t index, int64_t position, float bound) const;
    void group_sums(Worker& w, const Queued& row, int64_t group, int32_t* acc) const;
    float group_bound(const Worker& w, const Queued& row, int64_t from, int64_t j) const;
    void keep_all(Worker& w, const Queued& row, int32_t index, int64_t from, int64_t to) const;
    void decide(Worker& w, RowState& state) const;
    void screen(Worker& w, std::size_t first, RowState& state) const;
    void settle(Worker& w, RowState& state) const;

    const Rows<View>& rows_;
    Metric metric_;
    LloydSwitches switches_;
    const KernelTable* kernels_ = nullptr;
    const std::vector<Atom<T>>* atoms_ = nullptr;
    ScoreRule decision_;
    DriftOrder drift_;
    bool few_ = false;
    FewAtoms<View> all_;
    QuantizedIndex index_;
    std::vector<float> scale_, bias_;              // by position, in screen units; empty under cosine
    std::vector<float> group_scale_, group_bias_;  // the largest of each group
    double largest_norm_ = 1;
    int32_t zero_label_ = 0;  // the answer for a row of norm 0
};

}  // namespace latom

#include "algorithms/cluster/sparse/sparse_screen.inl.h"
#include "algorithms/cluster/sparse/sparse_select.inl.h"
