// lloyd.cpp: the state of a k-means run and its two steps.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "algorithms/cluster/center_scratch.h"
#include "algorithms/cluster/center_step.h"
#include "algorithms/cluster/center_sums.h"
#include "algorithms/cluster/dense/dense_select.h"
#include "algorithms/cluster/dense/moving_sums.h"
#include "algorithms/cluster/row_move.h"
#include "algorithms/cluster/sparse/sparse_select.h"
#include "core/grouped.h"
#include "latom/cluster.h"
#include "rows/every_view.h"
#include "rows/rows.h"

namespace latom {
namespace {

// Sums in blocks of fixed size, then over the blocks: the same bits for any number of threads.
template <class F>
double block_sum(const Context& ctx, int64_t n, F term) {
    constexpr int64_t kRows = 4096;
    std::vector<double> sums(static_cast<std::size_t>(chunk_count(n, kRows)), 0.0);
    parallel_for(ctx, static_cast<int64_t>(sums.size()), [&](int64_t c, int) {
        double own = 0;
        for (int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i) own += term(i);
        sums[c] = own;
    });
    return std::accumulate(sums.begin(), sums.end(), 0.0);
}

template <class View>
class LloydRun final : public Lloyd<typename View::value_type> {
public:
    using T = typename View::value_type;

    LloydRun(const Context& ctx, const Rows<View>& rows, const double* weights, Metric metric,
             const LloydSwitches& switches)
        : rows_(rows),
          metric_(metric),
          switches_(switches),
          select_(rows_, metric, switches),
          sums_(ctx, rows_, weights, metric),
          moving_(rows_, weights, metric, sums_.grid(), sums_.weight_grid()) {
        const auto count = static_cast<std::size_t>(n());
        state_.label.assign(count, 0);
        if constexpr (Rows<View>::sparse) {
            state_.own.assign(count, 0.0);
            state_.far.assign(count, -1.0f);
        }
        zero_rows_ =
            static_cast<int64_t>(block_sum(ctx, n(), [&](int64_t i) { return rows_.norm2(i) > 0 ? 0.0 : 1.0; }));
    }

    int64_t n() const override { return rows_.n(); }
    int64_t d() const override { return rows_.d(); }
    int64_t m() const override { return static_cast<int64_t>(atoms_.size()); }
    int64_t zero_rows() const override { return zero_rows_; }
    const std::vector<int32_t>& labels() const override { return state_.label; }

    void set_centers(const Context& ctx, const Rows<DenseView<T>>& centers, bool normalize) override {
        take_centers(ctx, centers, normalize);
    }
    void set_centers(const Context& ctx, const Rows<CsrView<T, int32_t>>& centers, bool normalize) override {
        take_centers(ctx, centers, normalize);
    }
    void set_centers(const Context& ctx, const Rows<CsrView<T, int64_t>>& centers, bool normalize) override {
        take_centers(ctx, centers, normalize);
    }

    AssignStats assign(const Context& ctx, bool objective) override {
        if (atoms_.empty()) throw std::logic_error("Lloyd::assign: set_centers must come first");
        planned_ = false;
        AssignStats stats;
        select_.prepare(ctx, atoms_, drift_);
        if (!assign_few(ctx, stats)) {
            const bool followed = moving_.known();
            moving_.forget();  // an interrupt leaves labels that the sums are not of
            const std::vector<int32_t> before =
                assigned_ ? state_.label : std::vector<int32_t>(state_.label.size(), -1);
            if constexpr (Rows<View>::sparse) stats.products = select_.run(ctx, by_label_, assigned_, state_);
            else stats.products = select_.run(ctx, assigned_, objective && !by_sums_, state_);
            stats.changed = count_changed(ctx, n(), before.data(), state_.label.data());
            scored_ = !select_.leaves_scores();
            if (assigned_ && followed && 2 * stats.changed < n()) follow_moves(ctx, before);
        }
        assigned_ = true;
        drift_.assign(atoms_.size(), 0.0);
        if (objective) stats.objective = objective_now(ctx);
        return stats;
    }

    SearchPlan plan(const Context& ctx) override {
        SearchPlan plan;
        if constexpr (Rows<View>::sparse) {
            known_ = assigned_ && !select_.scores_all();
            plan = select_.plan(ctx, atoms_, drift_, known_, state_);
            planned_ = !plan.order.empty();
        }
        if (plan.order.empty()) throw std::logic_error("Lloyd::plan: of CSR rows with centers");
        return plan;
    }

    AssignStats adopt(const Context& ctx, const Found& found, bool objective) override {
        if (!planned_) throw std::logic_error("Lloyd::adopt: plan must come first");
        planned_ = false;
        AssignStats stats;
        if constexpr (Rows<View>::sparse) {
            const auto before = assigned_ ? state_.label : std::vector<int32_t>(state_.label.size(), -1);
            stats.products = select_.adopt(ctx, found, known_, state_);
            stats.changed = count_changed(ctx, n(), before.data(), state_.label.data());
        }
        assigned_ = scored_ = true;
        drift_.assign(atoms_.size(), 0.0);
        if (objective) stats.objective = objective_now(ctx);
        return stats;
    }

    UpdateStats update(const Context& ctx) override {
        if (!assigned_) throw std::logic_error("Lloyd::update: assign must come first");
        UpdateStats stats;
        std::vector<int64_t> begin;
        if (by_sums_) {
            follow_labels(ctx);
            stats.relocated = relocate(ctx, [&](int64_t j) { return moving_.size(j); });
        } else {
            begin = sort_by_label(ctx);
            stats.relocated = relocate(ctx, [&](int64_t j) { return begin[j + 1] - begin[j]; });
            if (stats.relocated) begin = sort_by_label(ctx);
        }
        replace_centers(ctx, begin, stats, [&](int64_t j, const ClusterSum<View>& sum, double total, Scratch& scratch) {
            scratch.take(rows_.kernels(), sum);
            const double shift = replace(j, total, scratch);
            if constexpr (Rows<View>::sparse) score_own(j, begin[j], begin[j + 1], scratch.atom);
            return shift;
        });
        return stats;
    }

    UpdateStats blend(const Context& ctx, std::vector<double>& counts) override {
        if (!assigned_) throw std::logic_error("Lloyd::blend: assign must come first");
        UpdateStats stats;
        const auto add = [&](int64_t j, const ClusterSum<View>& sum, double total, Scratch& scratch) {
            if (!(total > 0)) return 0.0;
            scratch.take(rows_.kernels(), sum);
            scratch.add(atoms_[j], counts[j]);
            return replace(j, counts[j] += total, scratch);
        };
        if (by_sums_) follow_labels(ctx);
        replace_centers(ctx, by_sums_ ? std::vector<int64_t>() : sort_by_label(ctx), stats, add);
        return stats;
    }

    double inertia(const Context& ctx) const override {
        score_rows(ctx);
        return block_sum(ctx, n(), [&](int64_t i) { return weight(i) * cost(i); });
    }

    std::vector<double> scores(const Context& ctx) const override {
        std::vector<double> out(static_cast<std::size_t>(n()));
        score_rows(ctx);
        block_sum(ctx, n(), [&](int64_t i) {
            out[i] = metric_ == Metric::kCosine ? cosine(i) : -cost(i);
            return 0.0;
        });
        return out;
    }

    Centers<T> centers() const override {
        Centers<T> out;
        out.indptr.push_back(0);
        for (const auto& atom : atoms_) {
            out.indices.insert(out.indices.end(), atom.column.begin(), atom.column.end());
            out.values.insert(out.values.end(), atom.value.begin(), atom.value.end());
            out.indptr.push_back(static_cast<int64_t>(out.values.size()));
        }
        return out;
    }

private:
    // A pass over rows of few columns, where that is the way.
    bool assign_few([[maybe_unused]] const Context& ctx, [[maybe_unused]] AssignStats& stats) {
        if constexpr (!Rows<View>::sparse) {
            if (!select_.few()) return false;
            const bool followed = moving_.known();
            moving_.forget();  // an interrupt leaves labels that the sums are not of
            stats.products = select_.run(ctx, assigned_, false, state_);
            scored_ = false;
            stats.changed = n();
            if (assigned_) {
                const auto moves = select_.few_columns().moves();
                stats.changed = 0;
                for (const auto* some : moves) stats.changed += static_cast<int64_t>(some->size());
                if (followed && 2 * stats.changed < n()) moving_.move(ctx, moves);
            }
            return true;
        }
        return false;
    }
    // Scores of all rows with the centers of the last assign(), which may have left them out.
    void score_rows(const Context& ctx) const {
        if (!scored_) select_.add_scores(ctx, state_);
        scored_ = true;
    }
    void follow_moves(const Context& ctx, const std::vector<int32_t>& before) {
        constexpr int64_t kRows = 1 << 16;
        std::vector<std::vector<RowMove>> moves(static_cast<std::size_t>(chunk_count(n(), kRows)));
        parallel_for(ctx, static_cast<int64_t>(moves.size()), [&](int64_t c, int) {
            for (int64_t i = c * kRows; i < std::min(n(), (c + 1) * kRows); ++i)
                if (state_.label[i] != before[i]) moves[c].push_back({i, before[i], state_.label[i]});
        });
        std::vector<const std::vector<RowMove>*> some;
        for (const auto& list : moves) some.push_back(&list);
        moving_.move(ctx, some);
    }
    void follow_labels(const Context& ctx) {
        if (!moving_.known()) moving_.make(ctx, state_.label);
    }
    double objective_now(const Context& ctx) {
        if (!by_sums_) return inertia(ctx);
        follow_labels(ctx);
        if (squares_ < 0) squares_ = block_sum(ctx, n(), [&](int64_t i) { return weight(i) * rows_.norm2(i); });
        const double sum = moving_.objective(ctx, atoms_, squares_);
        return sum < 0 ? inertia(ctx) : sum;
    }
    void relabel(int64_t i, int32_t label) {
        state_.label[i] = label;
        if (!state_.far.empty()) state_.far[i] = -1;  // the bound left out another atom
    }

    double weight(int64_t i) const { return sums_.weight(i); }
    double cosine(int64_t i) const {
        return rows_.norm2(i) > 0 ? std::clamp(state_.own[i] / std::sqrt(rows_.norm2(i)), -1.0, 1.0) : 0.0;
    }
    double cost(int64_t i) const {
        if (metric_ == Metric::kCosine) return 1.0 - cosine(i);
        return std::max(0.0, rows_.norm2(i) - 2 * state_.own[i]);
    }
    // A row at its center up to rounding gains nothing from a cluster of its own.
    bool misfits(int64_t i) const {
        if (metric_ == Metric::kCosine) return weight(i) > 0 && rows_.norm2(i) > 0 && cost(i) > 1e-12;
        return weight(i) > 0 && cost(i) > 1e-12 * rows_.norm2(i);
    }

    using Scratch = CenterScratch<View>;

    // next(j, sum, weight, scratch) replaces center j, whose rows have changed, and returns how far it moved, squared.
    template <class Next>
    void replace_centers(const Context& ctx, const std::vector<int64_t>& begin, UpdateStats& stats, const Next& next) {
        planned_ = false;
        std::vector<Scratch> scratch(static_cast<std::size_t>(workers(ctx, m())));
        std::vector<double> shift(static_cast<std::size_t>(m()), 0.0);
        const auto changed = [&](int64_t j, const ClusterSum<View>& sum, double total, int worker) {
            shift[j] = next(j, sum, total, scratch[worker]);
        };
        if (by_sums_) moving_.each_changed(ctx, changed);
        else sums_.update(ctx, state_.label, by_label_, begin, changed);
        for (const double s : shift) {
            stats.moved += s > 0;
            stats.shift += s;
        }
    }

    template <class Centers>
    Atom<T> atom_of(const Centers& centers, int64_t j) const {
        Atom<T> atom;
        if constexpr (!Rows<View>::sparse) atom.value.assign(static_cast<std::size_t>(d()), T{0});
        centers.each(j, [&](int64_t t, T v) {
            if constexpr (!Rows<View>::sparse) {
                atom.value[t] = v;
            } else if (v != T{0}) {
                atom.column.push_back(static_cast<int32_t>(t));
                atom.value.push_back(v);
            }
        });
        atom.norm2 = self_dot(rows_.kernels(), atom);
        return atom;
    }

    template <class Centers>
    void take_centers(const Context& ctx, const Centers& centers, bool normalize) {
        if (centers.d() != d() || centers.n() < 1)
            fail(ctx, "centers must be one or more rows of " + std::to_string(d()) + " columns",
                 std::to_string(centers.n()) + " x " + std::to_string(centers.d()),
                 "Pass centers of the features of X.");
        atoms_.assign(static_cast<std::size_t>(centers.n()), {});
        for (int64_t j = 0; j < m(); ++j) {
            Atom<T>& atom = atoms_[j] = atom_of(centers, j);
            if (normalize && atom.norm2 > 0) {
                const double inverse = 1 / std::sqrt(atom.norm2);
                for (T& v : atom.value) v = static_cast<T>(v * inverse);
                atom.norm2 = self_dot(rows_.kernels(), atom);
            }
        }
        assigned_ = planned_ = false;
        by_sums_ = !Rows<View>::sparse && objective_by_sums(d(), m());
        if (by_sums_) moving_.reset(m());
        else sums_.reset(m());
        drift_.clear();
        std::fill(state_.far.begin(), state_.far.end(), -1.0f);
        state_.second.clear();
        if (!by_sums_) by_label_.resize(static_cast<std::size_t>(n()));
        std::iota(by_label_.begin(), by_label_.end(), int64_t{0});
    }

    // Rows in order of their label, and within a label of their index; returns where each label begins [m + 1].
    std::vector<int64_t> sort_by_label(const Context& ctx) {
        return group_rows(ctx, n(), m(), state_.label.data(), by_label_);
    }

    // size_of(j): the rows of cluster j.
    template <class Size>
    int64_t relocate(const Context& ctx, Size size_of) {
        std::vector<int64_t> size(atoms_.size());
        for (int64_t j = 0; j < m(); ++j) size[j] = size_of(j);
        if (std::find(size.begin(), size.end(), 0) == size.end()) return 0;
        score_rows(ctx);
        const std::vector<RowMove> moves = fill_empty_clusters(
            state_.label, std::move(size), [this](int64_t i) { return misfits(i); },
            [this](int64_t i) { return weight(i) * cost(i); });
        for (const RowMove& move : moves) relabel(move.row, move.to);
        if (moves.empty()) return 0;
        if (by_sums_) moving_.move(ctx, {&moves});
        if constexpr (!Rows<View>::sparse) select_.few_columns().forget_labels();
        return static_cast<int64_t>(moves.size());
    }

    // New center j from what scratch holds, a sum of weight `total`. Returns the squared distance that it moved.
    double replace(int64_t j, double total, Scratch& scratch) {
        Atom<T> next;
        if (!center_of_sum(rows_.kernels(), metric_, scratch.column, scratch.value, total, Rows<View>::sparse, next))
            return 0;
        return move_to(j, std::move(next), scratch.atom);
    }
    double move_to(int64_t j, Atom<T>&& next, AtomScratch<T>& scratch) {
        const CenterMove move = measure_move(metric_, atoms_[j], next, d(), scratch);
        if (move.shift2 > 0) drift_[j] = move.drift;
        atoms_[j] = std::move(next);
        return move.shift2;
    }

    // Scores of the rows by_label_[from, to) with center j, while it is at hand. (With unmoved centers too: relocated
    // rows have a new one.) Dense rows are scored in the next pass, which reads them anyway.
    void score_own(int64_t j, int64_t from, int64_t to, AtomScratch<T>& scratch) {
        if (select_.scores_all()) return;
        const Atom<T>& atom = atoms_[j];
        const T* dense = scratch.load(atom, d());
        const double inverse = atom.norm2 > 0 ? 1 / std::sqrt(atom.norm2) : 0.0;
        for (int64_t r = from; r < to; ++r) {
            const int64_t i = by_label_[r];
            const double dot = rows_.norm2(i) > 0 ? rows_.dot(i, dense) : 0.0;
            state_.own[i] = metric_ == Metric::kCosine ? dot * inverse : dot + -0.5 * atom.norm2;
        }
        scratch.clear();
    }

    Rows<View> rows_;
    Metric metric_;
    LloydSwitches switches_;
    std::conditional_t<Rows<View>::sparse, SparseSelect<View>, DenseSelect<View>> select_;
    CenterSums<View> sums_;
    MovingSums<View> moving_;  // in their place where `by_sums_`
    bool by_sums_ = false;
    double squares_ = -1;  // sum of w |x|^2; negative: not known yet
    std::vector<Atom<T>> atoms_;
    mutable RowState state_;         // scores are filled in when they are asked for
    std::vector<int64_t> by_label_;  // rows by label as of the last update: neighbors share terms
    std::vector<double> drift_;      // since the last assignment
    bool assigned_ = false, planned_ = false;
    bool known_ = false;          // the plan knew labels and scores
    mutable bool scored_ = true;  // the state has the scores of the last assignment
    int64_t zero_rows_ = 0;
};

}  // namespace

template <class View>
std::unique_ptr<Lloyd<typename View::value_type>> make_lloyd(const Context& ctx, const Rows<View>& X,
                                                             const double* weights, Metric metric,
                                                             const LloydSwitches& switches) {
    return std::make_unique<LloydRun<View>>(ctx, X, weights, metric, switches);
}

#define LATOM_INSTANTIATE(View)                                                                                    \
    template std::unique_ptr<Lloyd<View::value_type>> make_lloyd(const Context&, const Rows<View>&, const double*, \
                                                                 Metric, const LloydSwitches&);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
