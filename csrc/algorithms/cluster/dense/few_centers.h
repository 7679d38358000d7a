// few_centers.h: the best of few atoms for each dense row of many columns, with bounds that spare most rows a look.
//
// A row carries `near`, at least its distance to its own atom, and `far`, at most that to every other (Hamerly 2010).
// When atoms have moved by delta_j, near + delta_own and far - max delta hold again; while the first is below the
// second by more than float64 rounds, the label stands and the row is not read. All atoms are scored for the others, by
// engines/product_select/first_two.h; where that is not sure, float64 decides.
//
// What rounding may explain   Distances of Euclidean scores: S_own - S_j >= (far^2 - near^2) / 2, and each S errs by at
// most (d + 16) 2^-53 (|x|^2 + |w|^2). Angles: cos near - cos far >= g^2 / 2 for g = far - near, as both lie in [0,
// pi].
//
// Cost      12 bytes per row that keeps its label; else a reading of the row and 2 m d flops.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "algorithms/cluster/drift.h"
#include "core/buffer.h"
#include "engines/product_select/decide.h"
#include "engines/product_select/first_two.h"
#include "rows/atom.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class FewCenters {
public:
    using T = typename View::value_type;
    static constexpr int64_t kMostAtoms = FirstTwo<T>::kMostAtoms;

    FewCenters(const Rows<View>& rows, Metric metric) : rows_(rows), metric_(metric) {}

    /// Takes the atoms of a pass, their rule and how far they moved, which must outlive it. False where this is not the
    /// way: too many atoms, numbers that float32 does not hold, or a pass before that left much to float64.
    bool pack(const Context& ctx, const std::vector<Atom<T>>& atoms, const ScoreRule& rule, const DriftOrder& drift);

    /// Labels and bounds of all rows; `known` if those of the state are of the pass before, `bounds` if they may be
    /// used. Scores are left out. Returns the multiply-adds spent.
    double run(const Context& ctx, bool known, bool bounds, RowState& state);

private:
    static constexpr double kTooMany = 1.0 / 8;  // share of the rows in float64 from which another way is better
    static constexpr int64_t kRows = 256, kLeast = 64;

    struct alignas(kCacheLine) Worker {
        std::vector<int64_t> queue;
        std::vector<const T*> row;
        std::vector<double> norm2, scores;
        std::vector<typename FirstTwo<T>::Lead> lead;
        typename FirstTwo<T>::Scratch scratch;
        int64_t looked = 0, near = 0;
    };

    double rounding() const { return static_cast<double>(rows_.d() + 16) * 0x1p-52; }
    double distance(int64_t i, double score, double sign) const;
    bool stays(int64_t i, RowState& state) const;
    void look(Worker& w, RowState& state) const;
    void decide(int64_t i, typename FirstTwo<T>::Lead& lead, Worker& w) const;

    const Rows<View>& rows_;
    Metric metric_;
    const std::vector<Atom<T>>* atoms_ = nullptr;
    const ScoreRule* rule_ = nullptr;
    const DriftOrder* drift_ = nullptr;
    double largest_norm2_ = 0;
    FirstTwo<T> two_;
    bool useful_ = true;
    std::vector<Worker> scratch_;
};

template <class View>
bool FewCenters<View>::pack(const Context& ctx, const std::vector<Atom<T>>& atoms, const ScoreRule& rule,
                            const DriftOrder& drift) {
    if (!useful_ || static_cast<int64_t>(atoms.size()) > kMostAtoms) return false;
    atoms_ = &atoms;
    rule_ = &rule;
    drift_ = &drift;
    std::vector<const T*> values;
    std::vector<double> norm2;
    largest_norm2_ = 0;
    for (const Atom<T>& atom : atoms) {
        values.push_back(atom.value.data());
        norm2.push_back(atom.norm2);
        largest_norm2_ = std::max(largest_norm2_, atom.norm2);
    }
    return two_.pack(ctx.kernels, values, rows_.d(), norm2, rule);
}

// Distance to an atom of this score; the sign says which way it may be wrong.
template <class View>
double FewCenters<View>::distance(int64_t i, double score, double sign) const {
    const double norm2 = rows_.norm2(i);
    if (metric_ == Metric::kCosine) {
        const double angle = std::acos(std::clamp(score / std::sqrt(norm2) + sign * rounding(), -1.0, 1.0));
        return sign < 0 ? angle + 1e-15 : angle - 1e-15;
    }
    return std::sqrt(std::max(0.0, norm2 - 2 * score - sign * 4 * rounding() * (norm2 + largest_norm2_)));
}

// Moves the bounds of row i along with the atoms; whether they keep its label.
template <class View>
bool FewCenters<View>::stays(int64_t i, RowState& state) const {
    if (!(state.far[i] >= 0) || !(state.near[i] >= 0)) return false;
    if (!state.pass.empty() && state.pass[i] != 0) return false;  // its bounds are of another way (anchor.h)
    const int32_t mine = drift_->position[state.label[i]];
    const double near = static_cast<double>(state.near[i]) + drift_->drift[mine];
    const double far = static_cast<double>(state.far[i]) - drift_->drift[mine == 0 ? 1 : 0], gap = far - near;
    if (!(gap > 0)) return false;
    if (metric_ == Metric::kCosine) {
        if (!(gap * gap > 4 * rounding())) return false;
    } else if (!(gap * (far + near) > 2 * rounding() * (rows_.norm2(i) + largest_norm2_))) {
        return false;
    }
    state.near[i] = round_up(near);
    state.far[i] = round_down(far);
    return true;
}

template <class View>
double FewCenters<View>::run(const Context& ctx, bool known, bool bounds, RowState& state) {
    const int64_t n = rows_.n(), m = static_cast<int64_t>(atoms_->size());
    state.far.resize(static_cast<std::size_t>(n), -1.0f);
    state.near.resize(static_cast<std::size_t>(n), -1.0f);
    // A chunk ends within some 0.2 s even where every atom goes through float64.
    const int64_t rows = std::clamp<int64_t>(std::min<int64_t>(n / 16, (1 << 28) / (rows_.d() * m)), 16, kRows);
    const int64_t chunks = chunk_count(n, rows);
    scratch_.resize(std::max(scratch_.size(), static_cast<std::size_t>(workers(ctx, chunks))));
    for (Worker& w : scratch_) w.looked = w.near = 0;
    const int32_t zero_label = rule_->zero_label();
    parallel_for(ctx, chunks, [&](int64_t c, int id) {
        Worker& w = scratch_[id];
        w.queue.clear();
        for (int64_t i = c * rows; i < std::min(n, (c + 1) * rows); ++i) {
            if (known && bounds && stays(i, state)) continue;
            if (rows_.norm2(i) > 0) w.queue.push_back(i);
            else state.label[i] = zero_label;
        }
        look(w, state);
    });
    int64_t looked = 0, near = 0;
    for (const Worker& w : scratch_) {
        looked += w.looked;
        near += w.near;
    }
    useful_ = static_cast<double>(near) <= kTooMany * static_cast<double>(n) + static_cast<double>(kLeast);
    return static_cast<double>(looked + near) * static_cast<double>(m) * static_cast<double>(rows_.d());
}

// Labels and bounds of the rows of the queue.
template <class View>
void FewCenters<View>::look(Worker& w, RowState& state) const {
    w.row.clear();
    w.norm2.clear();
    for (const int64_t i : w.queue) {
        w.row.push_back(rows_.values(i));
        w.norm2.push_back(rows_.norm2(i));
    }
    const auto count = static_cast<int64_t>(w.queue.size());
    w.lead.resize(w.queue.size());
    two_.run(w.row.data(), w.norm2.data(), count, w.scratch, w.lead.data());
    w.looked += count;
    for (int64_t r = 0; r < count; ++r) {
        const int64_t i = w.queue[r];
        auto& lead = w.lead[r];
        if (!lead.sure) decide(i, lead, w);
        state.label[i] = lead.atom;
        state.near[i] = round_up(distance(i, lead.least, -1));
        state.far[i] = atoms_->size() > 1 ? round_down(distance(i, lead.others, 1)) : 1e30f;
        if (!state.pass.empty()) state.pass[i] = 0;
    }
}

template <class View>
void FewCenters<View>::decide(int64_t i, typename FirstTwo<T>::Lead& lead, Worker& w) const {
    const auto m = static_cast<int64_t>(atoms_->size());
    const auto row = [this](int64_t j) { return (*atoms_)[j].value.data(); };
    w.scores.resize(static_cast<std::size_t>(m));
    AtomTable<T, decltype(row)>(rows_.kernels(), rows_.d(), *rule_, row).run(rows_.values(i), 0, m, w.scores.data());
    const auto best = std::max_element(w.scores.begin(), w.scores.end());
    lead.atom = static_cast<int32_t>(best - w.scores.begin());
    lead.least = *best;
    *best = -HUGE_VAL;
    lead.others = *std::max_element(w.scores.begin(), w.scores.end());
    ++w.near;
}

}  // namespace latom
