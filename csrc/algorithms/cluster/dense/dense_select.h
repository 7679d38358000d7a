// dense_select.h: the best atom of each dense row, and a bound on all others.
//
// A row carries `near`, an upper bound on its distance to its own atom, and `far`, a lower bound on that to every other
// when it last looked at all (algorithms/cluster/anchor.h): while the two keep its label it is not looked at. Else, if
// its own atom has moved, that is scored, which may do; and if not, the row looks at the atoms that have gone far enough
// to matter, which stand first. They go through the low-precision screen (engines/product_select/row_block.h), which
// leaves those that may beat its own, and most often none; float64 decides. Where a row looks at all, the screen leaves
// its two best atoms: the bound on the second is the next `far`. The scores with its own atom and with last time's
// runner-up are a threshold from the start: few others ever reach float64. Rows that look at like numbers of atoms share
// a tile.
//
// The screen has 16 bits where d is not small; it gives way to float32 where it left too much. Where the processor has
// 8 bits, which take half the time, and some rows show that they leave little, they go first. Elsewhere, where few
// directions hold most of the rows, short rows (short_rows.h) do: with both thresholds known, they leave few atoms,
// which bfloat16 and then float64 decide. Rows that keep too many go through the long screen after all.
//
// Rows of few columns go another way (few_columns.h), with no bounds at all, and so do rows where atoms are few
// (few_centers.h), with bounds of their own.
#pragma once

#include <functional>
#include <memory>
#include <numeric>

#include "algorithms/cluster/anchor.h"
#include "algorithms/cluster/dense/few_centers.h"
#include "algorithms/cluster/dense/few_columns.h"
#include "algorithms/cluster/dense/short_rows.h"
#include "algorithms/cluster/drift.h"
#include "core/buffer.h"
#include "engines/product_select/decide.h"
#include "engines/product_select/rounded_rows.h"
#include "latom/cluster.h"
#include "rows/atom.h"

namespace latom {

template <class View>
class DenseSelect {
public:
    using T = typename View::value_type;

    DenseSelect(const Rows<View>& rows, Metric metric, const LloydSwitches& switches)
        : rows_(rows),
          metric_(metric),
          switches_(switches),
          float32_(rows.d() < kLowColumns),
          anchor_(rows.d()),
          few_columns_(rows, switches.blocks),
          few_centers_(rows, metric),
          short_(rows) {}

    /// Takes the atoms for a pass; drift [m] is how far each moved since the last one, empty before the first.
    void prepare(const Context& ctx, const std::vector<Atom<T>>& atoms, const std::vector<double>& drift);

    /// Labels, scores and bounds of all rows, in their order, in which memory is fastest. `known` if the state's labels
    /// hold (its scores may be those of earlier atoms), `scores` if those of all rows are wanted. Returns the
    /// multiply-adds spent.
    double run(const Context& ctx, bool known, bool scores, RowState& state);

    /// Whether the last pass left out scores, and those of all rows with the atoms of their labels in their place.
    bool leaves_scores() const { return left_out_; }
    void add_scores(const Context& ctx, RowState& state) const;
    /// Whether rows of few columns go their own way in this pass: then it says what it changed.
    bool few() const { return few_; }
    FewColumns<View>& few_columns() { return few_columns_; }
    const FewColumns<View>& few_columns() const { return few_columns_; }

private:
    static constexpr int64_t kBlockRows = 256;
    // Up to 72 (36) atoms, where vectors have 16 (8) numbers, float32 and its bounds are faster, by measurement.
    static bool few_centers(const KernelTable* kernels, int64_t m) { return 4 * m <= 9 * kernels->panel_atoms; }
    static constexpr int64_t kFewAtoms = 16;      // below, scoring all costs less than rounding the row
    static constexpr double kTooMany = 1.0 / 64;  // share of the atoms in float64 from which the screen was too coarse
    static constexpr int64_t kMostColumns = 1 << 20;
    static constexpr int64_t kShortAtoms = 1024, kShortRows = 4096;  // below, short rows are not worth making
    static constexpr int64_t kCoarseAtoms = 24;                      // below, 8 bits are not tried
    static constexpr int64_t kScore = 24;  // a float64 score costs what they save on so many atoms
    static constexpr double kCandidate =
        16;  // atoms that the long screen takes in the time of a candidate of the short one

    struct Queued {
        int64_t i, width;
        bool all;                   // it looks at all, for a new `far`
        bool scored;                // its own atom has been
        double floor = -HUGE_VAL;   // that scores at least this
        double bar = -HUGE_VAL;     // atoms that score less are of no interest
        double second = -HUGE_VAL;  // score of last time's runner-up, if it looks at all
    };
    struct Pair {
        int64_t i;
        int32_t atom;
        double score;
        int32_t row = 0;  // of the queue
    };
    struct alignas(kCacheLine) Worker {
        std::vector<Queued> queue, sorted;
        std::vector<std::size_t> place;  // where rows of so many panels go
        std::vector<Pair> pairs;
        std::vector<const T*> rows;
        std::vector<double> norm2;
        std::vector<int64_t> end;  // of each tile, in panels
        RowBlock<T> block;
        RowBlock<float> short_block;
        typename ShortRows<View>::Scratch closer;
        std::vector<double> scores;                       // [m], of a row that overflowed
        std::vector<std::pair<double, int32_t>> hopeful;  // bound of the score, atom
        int64_t short_looked = 0, candidates = 0, overflowed = 0;
        int64_t coarse_looked = 0, coarse_left = 0;
        int64_t queued = 0, looked = 0, scored = 0;
        int64_t paired = 0;  // scores with atoms that rows knew
    };

    double near(int64_t i, double score) const { return distance(i, score, -1); }
    double far(int64_t i, double score) const { return distance(i, score, 1); }
    double distance(int64_t i, double score, int sign) const;
    double rounding() const { return static_cast<double>(rows_.d() + 16) * 2.3e-16; }
    bool bounded(int64_t i, const RowState& state) const {
        return switches_.drift && state.far[i] >= 0 && anchor_.knows(state.pass[i]);
    }
    bool stays(int64_t i, double near, RowState& state) const;
    void queue(Worker& w, int64_t i, double near, bool scored, RowState& state) const;
    void keep(const Queued& row, double others, RowState& state) const;
    void score_late(Worker& w, int64_t i, RowState& state) const;
    void settle(const Queued& row, int32_t label, double score, double others, RowState& state) const;
    void sort_out(Worker& w, int64_t from, int64_t to, bool known, bool scores, RowState& state) const;
    void score_pairs(Worker& w) const;
    void plan(const RowState& state);
    template <class U>
    int64_t scan(Worker& w, const AtomPanels<U>& panels, RowBlock<U>& block) const;
    void sort_by_width(Worker& w) const;
    void screen(Worker& w, bool known, RowState& state);
    void screen_coarse(Worker& w, bool known, RowState& state);
    bool too_coarse(double scored, double left, double looked) const { return 2 * (left + scored * kScore) > looked; }
    bool try_coarse(RowState& state);
    void load(Worker& w, const AtomPanels<T>& panels);
    void screen_short(Worker& w, RowState& state) const;
    bool decide_short(Worker& w, int64_t r, RowState& state) const;
    void decide(Worker& w, int64_t r, bool known, RowState& state) const;
    void score_all(Worker& w, const Queued& row, RowState& state) const;
    double score(int64_t i, int32_t j) const { return decision_(rows_.dot(i, (*atoms_)[j].value.data()), j); }
    auto table() const {
        const auto row = [this](int64_t j) { return (*atoms_)[j].value.data(); };
        return AtomTable<T, decltype(row)>(kernels_, rows_.d(), decision_, row);
    }

    const Rows<View>& rows_;
    Metric metric_;
    LloydSwitches switches_;
    bool float32_;
    const KernelTable* kernels_ = nullptr;
    const std::vector<Atom<T>>* atoms_ = nullptr;
    ScoreRule decision_;
    DriftOrder drift_;  // of the last step
    Anchor anchor_;
    std::vector<double> norm2_;
    std::unique_ptr<AtomPanels<T>> panels_, coarse_;
    RoundedRows<T> rounded_;  // for the screen that comes first
    FewColumns<View> few_columns_;
    FewCenters<View> few_centers_;
    bool few_ = false, few_atoms_ = false;  // they answer this pass
    bool left_out_ = false;                 // scores
    ShortRows<View> short_;
    bool shorten_ = true, try_coarse_ = true;  // they have not been found to be no use
    double largest_norm2_ = 0;
    std::vector<Worker> scratch_;
};

}  // namespace latom

#include "algorithms/cluster/dense/dense_decide.inl.h"
#include "algorithms/cluster/dense/dense_select.inl.h"
