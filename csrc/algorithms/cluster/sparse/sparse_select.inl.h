// sparse_select.inl.h: the member functions of SparseSelect, in the order in which a pass calls them; those of the
// screen are in sparse_screen.inl.h.
#pragma once

namespace latom {

// What rule and bounds need of the atoms.
template <class View>
void SparseSelect<View>::take(const std::vector<Atom<T>>& atoms, const std::vector<double>& drift) {
    atoms_ = &atoms;
    decision_.clear();
    for (const auto& atom : atoms) decision_.add(metric_, atom.norm2);
    zero_label_ = decision_.zero_label();
    largest_norm_ = 1;
    if (metric_ == Metric::kEuclidean) {
        double largest = 0;
        for (const auto& atom : atoms) largest = std::max(largest, atom.norm2);
        if (largest > 0) largest_norm_ = std::sqrt(largest);
    }
    drift_.build(atoms.size(), drift);
}

template <class View>
void SparseSelect<View>::prepare(const Context& ctx, const std::vector<Atom<T>>& atoms,
                                 const std::vector<double>& drift) {
    const auto m = static_cast<int64_t>(atoms.size());
    kernels_ = ctx.kernels;
    take(atoms, drift);
    few_ = switches_.few && FewAtoms<View>::takes(m, rows_.d());
    if (few_) return all_.prepare(ctx, atoms, rows_.d());
    // A first pass knows no scores to hold a group's bound against, and few atoms are soon looked at one by one.
    const int64_t group = drift.empty() ? 1 : switches_.group ? switches_.group : m < kManyAtoms ? 1 : kGroup;
    if (switches_.screen) index_.build(ctx, atoms, drift_.order, rows_.d(), rows_.non_negative(), group);

    scale_.clear();
    bias_.clear();
    group_scale_.clear();
    group_bias_.clear();
    if (metric_ == Metric::kEuclidean) {
        scale_.resize(static_cast<std::size_t>(m));
        bias_.resize(static_cast<std::size_t>(m));
        for (int64_t j = 0; j < m; ++j) {
            const double norm = std::sqrt(atoms[drift_.order[j]].norm2) / largest_norm_;
            scale_[j] = static_cast<float>(norm);
            bias_[j] = static_cast<float>(-0.5 * norm * norm);
            if (j % group == 0) {
                group_scale_.push_back(scale_[j]);
                group_bias_.push_back(bias_[j]);
            }
            group_scale_.back() = std::max(group_scale_.back(), scale_[j]);
            group_bias_.back() = std::max(group_bias_.back(), bias_[j]);
        }
    }
}

// Screen units keep every number within [-2, 2]: cosines, or scores over largest_norm * max(largest_norm, ||x||).
template <class View>
typename SparseSelect<View>::Units SparseSelect<View>::units(int64_t i) const {
    const double norm = std::sqrt(rows_.norm2(i));
    if (metric_ == Metric::kCosine) return {1 / norm, 1.0f, 0.0f};
    const double larger = std::max(largest_norm_, norm);
    return {1 / (largest_norm_ * larger), static_cast<float>(norm / larger),
            static_cast<float>(largest_norm_ / larger)};
}

// Distance to an atom whose score is at most `screen`, in screen units: a lower bound on the distance.
template <class View>
double SparseSelect<View>::distance(int64_t i, double screen) const {
    if (metric_ == Metric::kCosine) return std::acos(std::clamp(screen, -1.0, 1.0));
    const double norm2 = rows_.norm2(i), larger = std::max(largest_norm_, std::sqrt(norm2));
    return std::sqrt(std::max(0.0, norm2 - 2 * screen * largest_norm_ * larger));
}

// Positions that a row must look at, and a lower bound on the distance to the atoms beyond them.
template <class View>
DriftOrder::Span SparseSelect<View>::span(int64_t i, bool known, const RowState& state) const {
    if (!known || !switches_.drift || state.far[i] < 0) return {static_cast<int64_t>(atoms_->size()), HUGE_VAL};
    // Under cosine the score itself is compared; Euclidean distances cancel, relative to the larger norm.
    const double slack = metric_ == Metric::kCosine ? detail::kDecisionSlack : detail::kScreenSlack;
    return drift_.span(state.far[i], distance(i, state.own[i] * units(i).to_screen - slack),
                       drift_.position[state.label[i]]);
}

template <class View>
void SparseSelect<View>::set_zero(int64_t i, RowState& state) const {
    state.label[i] = zero_label_;
    state.own[i] = decision_(0.0, zero_label_);
}

template <class View>
SearchPlan SparseSelect<View>::plan(const Context& ctx, const std::vector<Atom<T>>& atoms,
                                    const std::vector<double>& drift, bool known, const RowState& state) {
    take(atoms, drift);
    few_ = false;  // scores are kept up from pass to pass
    SearchPlan plan;
    plan.order = drift_.order;
    plan.width.assign(static_cast<std::size_t>(rows_.n()), 0);
    plan.label = known ? state.label : std::vector<int32_t>(plan.width.size(), -1);
    plan.own = state.own;
    each_row(ctx, [&](int64_t i) {
        if (rows_.norm2(i) > 0) plan.width[i] = static_cast<int32_t>(span(i, known, state).width);
    });
    return plan;
}

template <class View>
double SparseSelect<View>::adopt(const Context& ctx, const Found& found, bool known, RowState& state) const {
    std::vector<double> products(state.label.size(), 0.0);
    each_row(ctx, [&](int64_t i) {
        if (!(rows_.norm2(i) > 0)) return set_zero(i, state);
        const auto [width, unseen] = span(i, known, state);
        products[i] = static_cast<double>(width) * static_cast<double>(rows_.size(i));
        double far = unseen;
        if (width > 0) {
            if (found.label[i] < 0 || found.label[i] >= static_cast<int64_t>(atoms_->size()))
                throw std::invalid_argument("Lloyd::adopt: labels must be of centers");
            state.label[i] = found.label[i];
            state.own[i] = found.own[i];
            far = std::min(far, distance(i, found.others[i] * units(i).to_screen + detail::kScreenSlack));
        }
        state.far[i] = round_down(far);
    });
    return std::accumulate(products.begin(), products.end(), 0.0);
}

template <class View>
double SparseSelect<View>::run(const Context& ctx, const std::vector<int64_t>& visit, bool known, RowState& state) {
    if (few_) return all_.run(ctx, rows_, decision_, state);
    const auto n = static_cast<int64_t>(visit.size());
    // Blocks share the work of scoring; they are small enough for a few per thread and an answer to Ctrl-C.
    const double count = static_cast<double>(n), m = static_cast<double>(atoms_->size());
    const double products_per_row = static_cast<double>(rows_.stored()) / count * m + 1;
    const auto wanted = static_cast<int64_t>(std::min(count / 32, (1 << 30) / products_per_row));
    const int64_t rows = std::clamp<int64_t>(wanted, 16, kBlockRows);
    const int64_t chunks = chunk_count(n, rows);
    std::vector<Worker> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    std::vector<int64_t> products(static_cast<std::size_t>(chunks));
    parallel_for(ctx, chunks, [&](int64_t c, int id) {
        Worker& w = scratch[id];
        w.products = 0;
        const int64_t end = std::min(n, (c + 1) * rows);
        for (int64_t from = c * rows; from < end; from += kScreenRows) {
            const std::size_t first = w.queue.size();
            for (int64_t r = from; r < std::min(end, from + kScreenRows); ++r) {
                if (r + 8 < end) prefetch(visit[r + 8], state);
                enqueue(w, visit[r], known, state);
            }
            screen(w, first, state);
        }
        settle(w, state);
        products[c] = w.products;
    });
    return std::accumulate(products.begin(), products.end(), 0.0);
}

template <class View>
void SparseSelect<View>::prefetch(int64_t i, const RowState& state) const {
    rows_.prefetch(i);
    __builtin_prefetch(&state.label[i]);
    __builtin_prefetch(&state.own[i]);
    __builtin_prefetch(&state.far[i]);
}

// Finds how many positions the row must look at, and queues it unless there are none.
template <class View>
void SparseSelect<View>::enqueue(Worker& w, int64_t i, bool known, RowState& state) const {
    if (!(rows_.norm2(i) > 0)) return set_zero(i, state);
    const auto [width, unseen] = span(i, known, state);
    if (width == 0) {
        state.far[i] = round_down(unseen);
        return;
    }
    Queued row{};
    row.i = i;
    row.width = width;
    row.unseen = unseen;
    row.mine = known ? drift_.position[state.label[i]] : -1;
    row.others = -HUGE_VALF;
    row.screened = switches_.screen && rows_.size(i) <= kMaxTerms;
    if (row.screened) quantize(w, row, state);
    w.queue.push_back(row);
}

// Looks for the rows queued since `first`, tile by tile over positions, so that a tile's part of the index stays in
// cache.
template <class View>
void SparseSelect<View>::screen(Worker& w, std::size_t first, RowState& state) const {
    int64_t widest = 0;
    for (std::size_t r = first; r < w.queue.size(); ++r) widest = std::max(widest, w.queue[r].width);
    w.acc.resize(static_cast<std::size_t>(index_.tile));
    for (int64_t from = 0; from * index_.group < widest; from += index_.tile)
        for (std::size_t r = first; r < w.queue.size(); ++r) {
            Queued& row = w.queue[r];
            const int64_t position = from * index_.group, end = position + index_.tile * index_.group;
            if (row.width <= position) continue;
            if (row.screened) look(w, row, static_cast<int32_t>(r), from);
            else keep_all(w, row, static_cast<int32_t>(r), position, std::min(row.width, end));
            if (w.pairs.size() >= kMaxPairs) decide(w, state);
        }
    refine(w, state);
    w.tails.clear();
    w.used = 0;
}

// Scores what is left and takes down what each row of the queue has learnt.
template <class View>
void SparseSelect<View>::settle(Worker& w, RowState& state) const {
    decide(w, state);
    for (const Queued& row : w.queue) {
        const double others = static_cast<double>(row.others) + detail::kScreenSlack;
        state.far[row.i] = round_down(std::min(distance(row.i, others), row.unseen));
    }
    w.queue.clear();
}

// The plain way: every atom is scored in float64.
template <class View>
void SparseSelect<View>::keep_all(Worker& w, const Queued& row, int32_t index, int64_t from, int64_t to) const {
    for (int64_t j = from; j < to; ++j)
        if (j != row.mine) w.pairs.push_back({drift_.order[j], index, HUGE_VALF, 0});
    w.products += (to - from) * rows_.size(row.i);
}

// Scores the collected pairs atom by atom and lets the best win: the highest score, then the lowest atom.
template <class View>
void SparseSelect<View>::decide(Worker& w, RowState& state) const {
    // The bar may have risen since a pair was collected.
    std::erase_if(w.pairs, [&](const Pair& pair) {
        Queued& row = w.queue[pair.row];
        if (pair.bound >= row.bar) return false;
        row.others = std::max(row.others, pair.bound);
        return true;
    });
    std::sort(w.pairs.begin(), w.pairs.end(), [](const Pair& a, const Pair& b) { return a.atom < b.atom; });
    const Atom<T>* loaded = nullptr;
    const T* dense = nullptr;
    for (Pair& pair : w.pairs) {
        const Atom<T>& atom = (*atoms_)[pair.atom];
        if (&atom != loaded) dense = w.scratch.load(atom, rows_.d());
        loaded = &atom;
        pair.score = decision_(rows_.dot(w.queue[pair.row].i, dense), pair.atom);
    }
    w.scratch.clear();
    for (const Pair& pair : w.pairs) {
        Queued& row = w.queue[pair.row];
        double& own = state.own[row.i];
        int32_t& label = state.label[row.i];
        double loser = pair.score;
        if (row.mine < 0) {  // the first score of a row that had none
            row.mine = drift_.position[pair.atom];
            loser = -HUGE_VAL;
            own = pair.score;
            label = pair.atom;
        } else if (pair.score > own || (pair.score == own && pair.atom < label)) {
            row.mine = drift_.position[pair.atom];
            loser = own;
            own = pair.score;
            label = pair.atom;
        }
        row.others = std::max(row.others, static_cast<float>(loser * units(row.i).to_screen));
    }
    w.pairs.clear();
}

}  // namespace latom
