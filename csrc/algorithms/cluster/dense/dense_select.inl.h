// dense_select.inl.h: the member functions of DenseSelect that prepare a pass and find out which rows look at what.
#pragma once

namespace latom {

// Distance to an atom of this score, widened by the rounding of float64: down for the others, up for its own.
template <class View>
double DenseSelect<View>::distance(int64_t i, double score, int sign) const {
    const double norm2 = rows_.norm2(i), error = sign * rounding();
    if (metric_ == Metric::kCosine) return std::acos(std::clamp(score / std::sqrt(norm2) + error, -1.0, 1.0));
    return std::sqrt(std::max(0.0, norm2 - 2 * (score + error * (norm2 + largest_norm2_))));
}

// Whether row i, at most `near` from its own atom, keeps that without a look; its bounds are moved along then. They are
// of true distances: between `near` and `far` must be what float64 scores may be wrong by (few_centers.h).
template <class View>
bool DenseSelect<View>::stays(int64_t i, double near, RowState& state) const {
    const int32_t mine = state.label[i];
    const double far = state.far[i], now = far - anchor_.others(mine), gap = now - near;
    if (!(gap > 0)) return false;
    if (metric_ == Metric::kCosine) {
        if (!(gap * gap > 4 * rounding())) return false;
    } else if (!(gap * (now + near) > 4 * rounding() * (rows_.norm2(i) + largest_norm2_))) {
        return false;
    }
    if (anchor_.width() > 0) {
        if (2 * gap < far - near) return false;  // it looks again
        state.far[i] = round_down(now);
        state.pass[i] = anchor_.pass();
    }
    state.near[i] = round_up(near);
    return true;
}

// Queues a row that knows its bounds and is at most `near` from its own atom, as its score tells or did once.
template <class View>
void DenseSelect<View>::queue(Worker& w, int64_t i, double near, bool scored, RowState& state) const {
    state.near[i] = round_up(near);
    const double norm2 = rows_.norm2(i), far = state.far[i], error = rounding() * (norm2 + largest_norm2_);
    const bool cosine = metric_ == Metric::kCosine;
    const auto score = [&](double distance) {  // of an atom that far away
        return cosine ? std::sqrt(norm2) * std::cos(std::min(distance, 3.141592653589793))
                      : 0.5 * (norm2 - distance * distance);
    };
    const double slack = cosine ? 2 * rounding() * std::sqrt(norm2) : error;
    Queued row{i, static_cast<int64_t>(atoms_->size()), anchor_.all(), scored};
    row.floor = scored ? state.own[i] : score(near) - slack;
    if (!row.all) {
        const double widened = cosine ? near + 2 * std::sqrt(rounding()) : std::sqrt(near * near + 4 * error);
        row.width = std::max(anchor_.width(), anchor_.must(far - widened, state.label[i]));
        row.bar = anchor_.width() > 0 ? std::min(row.floor, score(far) - slack) : row.floor;
    }
    w.queue.push_back(row);
}

// The score that it did without.
template <class View>
void DenseSelect<View>::score_late(Worker& w, int64_t i, RowState& state) const {
    state.own[i] = score(i, state.label[i]);
    ++w.paired;
}

template <class View>
void DenseSelect<View>::prepare(const Context& ctx, const std::vector<Atom<T>>& atoms,
                                const std::vector<double>& drift) {
    kernels_ = ctx.kernels;
    atoms_ = &atoms;
    decision_.clear();
    for (const auto& atom : atoms) decision_.add(metric_, atom.norm2);
    const auto m = static_cast<int64_t>(atoms.size());
    norm2_.clear();
    norm2_.reserve(atoms.size());
    std::vector<const T*> rows;
    rows.reserve(atoms.size());
    largest_norm2_ = 0;
    for (const auto& atom : atoms) {
        norm2_.push_back(atom.norm2);
        rows.push_back(atom.value.data());
        largest_norm2_ = std::max(largest_norm2_, atom.norm2);
    }
    panels_.reset();
    coarse_.reset();
    short_.drop_atoms();
    few_ = switches_.screen && switches_.few && few_columns_.pack(ctx, atoms, decision_);
    if (few_) return;
    drift_.build(atoms.size(), drift);
    few_atoms_ = switches_.screen && switches_.few && few_centers(kernels_, m) &&
                 rows_.d() > ColumnScreen<View>::kMostColumns && few_centers_.pack(ctx, atoms, decision_, drift_);
    if (few_atoms_) {
        anchor_.forget();
        return;
    }
    anchor_.step(atoms.size(), drift);
    const std::vector<int32_t>& order = anchor_.order().order;
    if (!switches_.screen || m < kFewAtoms || rows_.d() > kMostColumns) return;
    const bool pays = switches_.shorten > 1 || (m >= kShortAtoms && rows_.n() >= kShortRows);
    if (try_coarse_ && m >= kCoarseAtoms && rows_.d() >= kLowColumns && has_coarse_screen(kernels_, rows_.d())) {
        coarse_ = std::make_unique<AtomPanels<T>>(ctx, rows, rows_.d(), norm2_, decision_.factor, decision_.bias, order,
                                                  Screen::kInt8);
        coarse_->keep(ctx);
    }
    if (switches_.shorten && shorten_ && pays && !drift.empty() && (switches_.shorten > 1 || !coarse_)) {
        if (!short_.built()) shorten_ = short_.build(ctx, !decision_.bias.empty());
        if (shorten_) short_.pack(ctx, rows, norm2_, decision_.factor, decision_.bias, order);
    }
    panels_ = std::make_unique<AtomPanels<T>>(ctx, std::move(rows), rows_.d(), norm2_, decision_.factor, decision_.bias,
                                              order, float32_ ? Screen::kFloat32 : Screen::kAuto);
    panels_->keep(ctx);  // beside the coarse ones too: a row that these leave needs all atoms
    const Screen first = coarse_ ? Screen::kInt8 : panels_->screen();
    if (first == Screen::kFloat32 || !switches_.keep) rounded_.clear();
    else if (!drift.empty()) rounded_.reserve(kernels_, first, rows_.n(), rows_.d(), panels_->biased());
}

template <class View>
double DenseSelect<View>::run(const Context& ctx, bool known, bool scores, RowState& state) {
    left_out_ = few_ || few_atoms_ || (known && !scores);
    if (few_) {
        std::vector<float>().swap(state.far);
        return few_columns_.run(ctx, known, state);
    }
    if (few_atoms_) return few_centers_.run(ctx, known, switches_.drift, state);
    const auto n = rows_.n(), m = static_cast<int64_t>(atoms_->size());
    state.own.resize(static_cast<std::size_t>(n), 0.0);
    state.far.resize(static_cast<std::size_t>(n), -1.0f);
    state.near.resize(static_cast<std::size_t>(n), -1.0f);
    state.pass.resize(static_cast<std::size_t>(n), 0);
    if (state.second.empty()) state.second.assign(static_cast<std::size_t>(n), -1);
    // A chunk ends within some 0.2 s even where every atom goes through float64.
    const int64_t rows = std::clamp<int64_t>(std::min<int64_t>(n / 16, (1 << 28) / (rows_.d() * m)), 16, kBlockRows);
    const int64_t chunks = chunk_count(n, rows);
    const auto count = static_cast<std::size_t>(workers(ctx, chunks));
    if (scratch_.size() < count) scratch_.resize(count);
    for (Worker& w : scratch_)
        w.queued = w.looked = w.scored = w.paired = w.short_looked = w.candidates = w.overflowed = w.coarse_looked =
            w.coarse_left = 0;
    if (known) plan(state);
    if (coarse_ && !known) {
        try_coarse_ = try_coarse(state);
        if (!try_coarse_) coarse_.reset();
    }
    parallel_for(ctx, chunks, [&](int64_t c, int id) {
        Worker& w = scratch_[id];
        sort_out(w, c * rows, std::min(n, (c + 1) * rows), known, scores, state);
        if (panels_) {
            screen(w, known, state);
        } else {
            for (const Queued& row : w.queue) score_all(w, row, state);
        }
    });
    double queued = 0, looked = 0, scored = 0, paired = 0, short_looked = 0, candidates = 0, overflowed = 0,
           coarse_looked = 0, coarse_left = 0;
    for (const Worker& w : scratch_) {
        queued += static_cast<double>(w.queued);
        paired += static_cast<double>(w.paired);
        looked += static_cast<double>(w.looked);
        scored += static_cast<double>(w.scored);
        short_looked += static_cast<double>(w.short_looked);
        candidates += static_cast<double>(w.candidates);
        overflowed += static_cast<double>(w.overflowed);
        coarse_looked += static_cast<double>(w.coarse_looked);
        coarse_left += static_cast<double>(w.coarse_left);
    }
    const double d = static_cast<double>(rows_.d());
    const double width = short_.panels() ? static_cast<double>(short_.width()) : 0.0;
    anchor_.spend(queued, looked + coarse_looked + short_looked * width / d, static_cast<double>(n));
    if (coarse_) {
        if (anchor_.all()) try_coarse_ = !too_coarse(scored, coarse_left, coarse_looked);
    } else if (scored > kTooMany * (looked + short_looked) + 2.0 * static_cast<double>(n)) {
        float32_ = true;
    }
    // What short rows cost beside what they spared the long screen.
    const double spared = (short_looked - overflowed) * d - short_looked * width;
    if (switches_.shorten == 1 && short_.panels() && kCandidate * candidates * d > spared) {
        shorten_ = false;
        short_.clear();
    }
    return (looked + coarse_looked + scored + paired + candidates) * d + short_looked * width;
}

// Whether all rows look at the first atoms again, as some of them tell.
template <class View>
void DenseSelect<View>::plan(const RowState& state) {
    constexpr int64_t kSome = 512;
    std::vector<double> room;
    for (int64_t k = 0; k < kSome; ++k) {
        const int64_t i = k * rows_.n() / kSome;
        if (!(state.far[i] >= 0) || !(state.near[i] >= 0) || !anchor_.knows(state.pass[i])) continue;
        room.push_back(state.far[i] - state.near[i] - anchor_.step(state.label[i]));
    }
    anchor_.plan(std::move(room));
}

// Queues those of the rows [from, to) whose label is not known to stay.
template <class View>
void DenseSelect<View>::sort_out(Worker& w, int64_t from, int64_t to, bool known, bool scores, RowState& state) const {
    w.queue.clear();
    w.pairs.clear();
    for (int64_t i = from; i < to; ++i) {
        if (!(rows_.norm2(i) > 0)) {
            state.label[i] = decision_.zero_label();
            state.own[i] = decision_(0.0, state.label[i]);
        } else if (!known) {
            w.queue.push_back({i, static_cast<int64_t>(atoms_->size()), true, false});
        } else {
            const double moved = anchor_.step(state.label[i]), near = state.near[i] + moved;
            const bool carried = !scores && state.near[i] >= 0 && bounded(i, state);
            if (carried && stays(i, near, state)) continue;
            const auto few = [&] { return anchor_.must(state.far[i] - near, state.label[i]) <= kernels_->panel_atoms; };
            if (carried && !anchor_.all() && (moved == 0 || few())) queue(w, i, near, false, state);
            else w.pairs.push_back({i, state.label[i], 0});
        }
    }
    score_pairs(w);
    for (const Pair& pair : w.pairs) {
        const int64_t i = pair.i;
        state.own[i] = pair.score;
        if (!bounded(i, state)) {
            w.queue.push_back({i, static_cast<int64_t>(atoms_->size()), true, true, pair.score});
        } else if (const double own = near(i, pair.score); !stays(i, own, state)) {
            queue(w, i, own, true, state);
        }
    }
    w.queued += static_cast<int64_t>(w.queue.size());
}

template <class View>
void DenseSelect<View>::score_pairs(Worker& w) const {
    table().pairs(
        w.pairs.size(), [&](std::size_t p) { return std::pair(rows_.values(w.pairs[p].i), w.pairs[p].atom); },
        [&](std::size_t p, double score, double) { w.pairs[p].score = score; });
    w.paired += static_cast<int64_t>(w.pairs.size());
}

// A row that did without its own score keeps its atom; others: what no other scores more than, of those it looked at.
template <class View>
void DenseSelect<View>::keep(const Queued& row, double others, RowState& state) const {
    const int64_t i = row.i;
    if (others > row.bar) state.far[i] = std::min(state.far[i], round_down(far(i, others)));
    state.pass[i] = anchor_.pass();
}

// Row i has been decided: its atom, the score of it, and what no other scores more than, of those it looked at.
template <class View>
void DenseSelect<View>::settle(const Queued& row, int32_t label, double score, double others, RowState& state) const {
    const int64_t i = row.i;
    const int32_t before = state.label[i];
    // What atoms have gone is added up, so that a distance of now is a bound with that, too.
    if (row.all) {
        state.far[i] = round_down(far(i, others));
    } else {
        if (anchor_.width() > 0) state.far[i] = std::min(state.far[i], round_down(far(i, others)));
        if (label != before) state.far[i] = std::min(state.far[i], round_down(far(i, state.own[i])));
    }
    state.near[i] = round_up(near(i, score));
    state.pass[i] = anchor_.pass();
    state.label[i] = label;
    state.own[i] = score;
}

// Scores of all rows with the atoms of their labels.
template <class View>
void DenseSelect<View>::add_scores(const Context& ctx, RowState& state) const {
    if (few_) {
        few_columns_.score_own(ctx, state);
        return;
    }
    const int64_t n = rows_.n();
    const auto own = table();
    state.own.resize(static_cast<std::size_t>(n));
    parallel_for(ctx, chunk_count(n, kBlockRows), [&](int64_t c, int) {
        const int64_t from = c * kBlockRows, count = std::min(kBlockRows, n - from);
        own.pairs(
            static_cast<std::size_t>(count),
            [&](std::size_t p) {
                const int64_t i = from + static_cast<int64_t>(p);
                return std::pair(rows_.values(i), state.label[i]);
            },
            [&](std::size_t p, double score, double) { state.own[from + static_cast<int64_t>(p)] = score; });
    });
}

}  // namespace latom
