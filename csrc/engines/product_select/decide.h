// decide.h: the driver of product-select: screen rows in low precision, decide what is left in float64.
//
//   screen_rows    loads rows into a block, raises their thresholds to what is known, passes over the atoms' panels,
//   and
//                  drops what the final thresholds rule out (row_block.h has the bound)
//   settle_rows    hands each row to decide(r), or to overflowed(r) where too many atoms were within the bound: then a
//                  finer screen or all atoms in float64 must answer
//   AtomTable      float64 scores (score_rule.h, kernels/dot.inl.h) of scattered pairs, or of one row with a run of
//   atoms
//
// Top-k, dense k-means and seeding differ in what they raise thresholds to and in what they keep of the scores; the
// rest is here.
#pragma once

#include <algorithm>
#include <utility>

#include "engines/product_select/pair_dots.h"
#include "engines/product_select/row_block.h"
#include "engines/product_select/score_rule.h"

namespace latom {

/// Which panels rows look at: [first, last), or for the rows of a tile those before end[tile].
struct PanelRange {
    int64_t first = 0, last = 0;
    const int64_t* end = nullptr;
};

/// The second half of a screen, for a block that has been loaded. raise(r) may call block.raise(r, score).
template <class T, class Raise>
void screen_loaded(RowBlock<T>& block, const AtomPanels<T>& panels, const PanelRange& range, Raise raise) {
    for (int64_t r = 0; r < block.count(); ++r) raise(r);
    block.scan(panels, range.first, range.last, range.end);
    block.finish();
}

/// rows [count] with their squared norms. raise(r) may call block.raise(r, score) with a score that k atoms are known
/// to reach, or that the caller will not do without.
template <class T, class Raise>
void screen_rows(RowBlock<T>& block, const AtomPanels<T>& panels, const std::vector<const T*>& rows,
                 const std::vector<double>& norm2, const typename RowBlock<T>::Query& query, const PanelRange& range,
                 Raise raise) {
    block.load(panels, rows.data(), norm2.data(), static_cast<int64_t>(rows.size()), query);
    screen_loaded(block, panels, range, raise);
}

template <class T, class Decide, class Overflowed>
void settle_rows(const RowBlock<T>& block, Decide decide, Overflowed overflowed) {
    for (int64_t r = 0; r < block.count(); ++r) {
        if (block.overflowed(r)) overflowed(r);
        else decide(r);
    }
}

/// Float64 scores with atoms of d numbers; row(j) is atom j. Refers to the rule, which must outlive it.
template <class T, class Row>
class AtomTable {
public:
    AtomTable(const KernelTable* kernels, int64_t d, const ScoreRule& rule, Row row)
        : kernels_(kernels), d_(d), rule_(rule), row_(row) {}

    /// out(p, score, dot) for the pairs (x, j) = pair(p), p in [0, count): in order, the next on their way meanwhile.
    template <class Pair, class Out>
    void pairs(std::size_t count, Pair pair, Out out) const {
        detail::pair_dots<T>(
            kernels_, count, d_,
            [&](std::size_t p) {
                const auto [x, j] = pair(p);
                return std::pair<const T*, const T*>(x, row_(j));
            },
            [&](std::size_t p, double dot) { out(p, rule_(dot, pair(p).second), dot); });
    }

    /// Scores of x with atoms [from, to) into out [from, to): four runs of neighbors at once, long streams that the
    /// processor loads ahead.
    void run(const T* x, int64_t from, int64_t to, double* out) const {
        const auto dots = kernels_->template of<T>().dense_dots;
        const T *atoms[4], *rows[4] = {x, x, x, x};
        const int64_t run = chunk_count(to - from, 4);
        double dot[4];
        for (int64_t j = from; j < from + run; ++j) {
            int64_t count = 0;
            for (; count < 4 && j + count * run < to; ++count) atoms[count] = row_(j + count * run);
            dots(atoms, rows, count, d_, dot);
            for (int64_t i = 0; i < count; ++i) out[j + i * run] = rule_(dot[i], j + i * run);
        }
    }

private:
    const KernelTable* kernels_;
    int64_t d_;
    const ScoreRule& rule_;
    Row row_;
};

}  // namespace latom
