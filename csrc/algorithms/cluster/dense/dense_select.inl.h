// dense_select.inl.h: the member functions of DenseSelect, in the order in which a pass calls them.
#pragma once

namespace latom {

// Distance to an atom of this score, widened by the rounding of float64: down for the others, up for its own.
template <class View>
double DenseSelect<View>::distance(int64_t i, double score, int sign) const {
    const double norm2 = rows_.norm2(i), rounding = sign * 2.3e-16 * static_cast<double>(rows_.d() + 16);
    if (metric_ == Metric::kCosine) return std::acos(std::clamp(score / std::sqrt(norm2) + rounding, -1.0, 1.0));
    return std::sqrt(std::max(0.0, norm2 - 2 * (score + rounding * (norm2 + largest_norm2_))));
}

template <class View>
void DenseSelect<View>::prepare(const Context& ctx, const std::vector<Atom<T>>& atoms,
                                const std::vector<double>& drift) {
    kernels_ = ctx.kernels;
    atoms_ = &atoms;
    decision_.clear();
    for (const auto& atom : atoms) decision_.add(metric_, atom.norm2);
    const auto m = static_cast<int64_t>(atoms.size());
    drift_.build(atoms.size(), drift);
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
    few_atoms_ = switches_.screen && switches_.few && m <= kFewCenters &&
                 rows_.d() > ColumnScreen<View>::kMostColumns && few_centers_.pack(ctx, atoms, decision_, drift_);
    if (few_atoms_) return;
    if (!switches_.screen || m < kFewAtoms || rows_.d() > kMostColumns) return;
    const bool pays = switches_.shorten > 1 || (m >= kShortAtoms && rows_.n() >= kShortRows);
    if (try_coarse_ && m >= kCoarseAtoms && rows_.d() >= kLowColumns && has_coarse_screen(kernels_, rows_.d())) {
        coarse_ = std::make_unique<AtomPanels<T>>(ctx, rows, rows_.d(), norm2_, decision_.factor, decision_.bias,
                                                  drift_.order, Screen::kInt8);
        coarse_->keep(ctx);
    }
    if (switches_.shorten && shorten_ && pays && !drift.empty() && (switches_.shorten > 1 || !coarse_)) {
        if (!short_.built()) shorten_ = short_.build(ctx, !decision_.bias.empty());
        if (shorten_) short_.pack(ctx, rows, norm2_, decision_.factor, decision_.bias, drift_.order);
    }
    panels_ = std::make_unique<AtomPanels<T>>(ctx, std::move(rows), rows_.d(), norm2_, decision_.factor, decision_.bias,
                                              drift_.order, float32_ ? Screen::kFloat32 : Screen::kAuto);
    panels_->keep(ctx);  // beside the coarse ones too: a row that these leave needs all atoms
}

template <class View>
double DenseSelect<View>::run(const Context& ctx, bool known, RowState& state) {
    if (few_) {
        std::vector<float>().swap(state.far);
        return few_columns_.run(ctx, known, state);
    }
    if (few_atoms_) return few_centers_.run(ctx, known, switches_.drift, state);
    std::fill(state.near.begin(), state.near.end(), -1.0f);
    const auto n = rows_.n(), m = static_cast<int64_t>(atoms_->size());
    state.own.resize(static_cast<std::size_t>(n), 0.0);
    state.far.resize(static_cast<std::size_t>(n), -1.0f);
    if (state.second.empty()) state.second.assign(static_cast<std::size_t>(n), -1);
    // A chunk ends within some 0.2 s even where every atom goes through float64.
    const int64_t rows = std::clamp<int64_t>(std::min<int64_t>(n / 16, (1 << 28) / (rows_.d() * m)), 16, kBlockRows);
    const int64_t chunks = chunk_count(n, rows);
    const auto count = static_cast<std::size_t>(workers(ctx, chunks));
    if (scratch_.size() < count) scratch_.resize(count);
    for (Worker& w : scratch_)
        w.looked = w.scored = w.short_looked = w.candidates = w.overflowed = w.coarse_looked = w.coarse_left = 0;
    if (coarse_ && !known) {
        try_coarse_ = try_coarse(state);
        if (!try_coarse_) coarse_.reset();
    }
    parallel_for(ctx, chunks, [&](int64_t c, int id) {
        Worker& w = scratch_[id];
        w.queue.clear();
        const int64_t from = c * rows, to = std::min(n, from + rows);
        if (known) score_own(w, from, to, state);
        for (int64_t i = from; i < to; ++i) enqueue(w, i, known, state);
        if (panels_) {
            screen(w, known, state);
        } else {
            for (const Queued& row : w.queue) score_all(w, row.i, state);
        }
    });
    double looked = 0, scored = 0, short_looked = 0, candidates = 0, overflowed = 0, coarse_looked = 0, coarse_left = 0;
    for (const Worker& w : scratch_) {
        looked += static_cast<double>(w.looked);
        scored += static_cast<double>(w.scored);
        short_looked += static_cast<double>(w.short_looked);
        candidates += static_cast<double>(w.candidates);
        overflowed += static_cast<double>(w.overflowed);
        coarse_looked += static_cast<double>(w.coarse_looked);
        coarse_left += static_cast<double>(w.coarse_left);
    }
    const double own = known ? 2.0 * static_cast<double>(n) : 0.0;  // scored whatever the screen
    if (coarse_) try_coarse_ = !too_coarse(std::max(0.0, scored - own), coarse_left, coarse_looked);
    else if (scored > kTooMany * (looked + short_looked) + 4.0 * static_cast<double>(n)) float32_ = true;
    const double d = static_cast<double>(rows_.d());
    const double width = short_.panels() ? static_cast<double>(short_.width()) : 0.0;
    // What short rows cost beside what they spared the long screen.
    const double spared = (short_looked - overflowed) * d - short_looked * width;
    if (switches_.shorten == 1 && short_.panels() && kCandidate * candidates * d > spared) {
        shorten_ = false;
        short_.clear();
    }
    return (looked + coarse_looked + scored + candidates) * d + short_looked * width;
}

// Scores of rows with their own atoms, as they are now.
template <class View>
void DenseSelect<View>::score_own(Worker& w, int64_t from, int64_t to, RowState& state) const {
    w.pairs.clear();
    for (int64_t i = from; i < to; ++i) w.pairs.push_back({i, state.label[i], 0});
    score_pairs(w);
    for (const Pair& pair : w.pairs) state.own[pair.i] = pair.score;
}

template <class View>
void DenseSelect<View>::score_pairs(Worker& w) const {
    table().pairs(
        w.pairs.size(), [&](std::size_t p) { return std::pair(rows_.values(w.pairs[p].i), w.pairs[p].atom); },
        [&](std::size_t p, double score, double) { w.pairs[p].score = score; });
    w.scored += static_cast<int64_t>(w.pairs.size());
}

// Queues the row unless its own atom is known to stay the best.
template <class View>
void DenseSelect<View>::enqueue(Worker& w, int64_t i, bool known, RowState& state) const {
    if (!(rows_.norm2(i) > 0)) {
        state.label[i] = decision_.zero_label();
        state.own[i] = decision_(0.0, state.label[i]);
        return;
    }
    Queued row{i, static_cast<int64_t>(atoms_->size()), HUGE_VAL};
    if (known && switches_.drift && state.far[i] >= 0) {
        const auto span = drift_.span(state.far[i], near(i, state.own[i]), drift_.position[state.label[i]]);
        row.width = span.width;
        row.unseen = span.unseen;
        if (span.width == 0) {
            state.far[i] = round_down(span.unseen);
            return;
        }
    }
    w.queue.push_back(row);
}

template <class View>
void DenseSelect<View>::screen(Worker& w, bool known, RowState& state) const {
    // Rows with like prefixes share a tile.
    std::stable_sort(w.queue.begin(), w.queue.end(),
                     [](const Queued& a, const Queued& b) { return a.width > b.width; });
    if (known) {
        w.pairs.clear();
        for (std::size_t r = 0; r < w.queue.size(); ++r) {
            const int64_t i = w.queue[r].i;
            if (state.second[i] < 0 || state.second[i] == state.label[i]) continue;
            w.pairs.push_back({i, state.second[i], 0, static_cast<int32_t>(r)});
        }
        score_pairs(w);
        for (const Pair& pair : w.pairs) w.queue[pair.row].second = pair.score;
        if (short_.panels()) screen_short(w, state);
    }
    if (coarse_) screen_coarse(w, known, state);
    load(w, *panels_);
    w.looked += scan(w, *panels_, w.block, state);
    settle_rows(
        w.block, [&](int64_t r) { decide(w, r, known, state); }, [&](int64_t r) { score_all(w, w.queue[r].i, state); });
}

template <class View>
void DenseSelect<View>::load(Worker& w, const AtomPanels<T>& panels) const {
    w.rows.clear();
    w.norm2.clear();
    for (const Queued& row : w.queue) {
        w.rows.push_back(rows_.values(row.i));
        w.norm2.push_back(rows_.norm2(row.i));
    }
    w.block.load(panels, w.rows.data(), w.norm2.data(), static_cast<int64_t>(w.rows.size()), {.k = 2});
}

// Decides the rows of which 8 bits leave few candidates; the others stay in the queue.
template <class View>
void DenseSelect<View>::screen_coarse(Worker& w, bool known, RowState& state) const {
    load(w, *coarse_);
    w.coarse_looked += scan(w, *coarse_, w.block, state);
    std::size_t left = 0;
    settle_rows(
        w.block, [&](int64_t r) { decide(w, r, known, state); },
        [&](int64_t r) {
            w.coarse_left += w.queue[r].width;
            w.queue[left++] = w.queue[r];
        });
    w.queue.resize(left);
}

// Whether they leave little, as some rows tell.
template <class View>
bool DenseSelect<View>::try_coarse(RowState& state) const {
    const int64_t n = rows_.n(), count = std::min<int64_t>(n, 4 * kernels_->tile_rows);
    Worker w;
    for (int64_t k = 0; k < count; ++k) enqueue(w, k * n / count, false, state);
    screen_coarse(w, false, state);
    return !too_coarse(static_cast<double>(w.scored), static_cast<double>(w.coarse_left),
                       static_cast<double>(w.coarse_looked));
}

// The queue's rows, loaded into the block, look at as many panels as they must. Returns how many scores that were.
template <class View>
template <class U>
int64_t DenseSelect<View>::scan(Worker& w, const AtomPanels<U>& panels, RowBlock<U>& block,
                                const RowState& state) const {
    int64_t looked = 0;
    w.end.assign(static_cast<std::size_t>(block.tiles()), 0);
    for (int64_t r = 0; r < block.count(); ++r) {
        const Queued& row = w.queue[r];
        looked += row.width;
        int64_t& end = w.end[r / kernels_->tile_rows];
        end = std::max(end, chunk_count(row.width, panels.panel_atoms()));
    }
    screen_loaded(block, panels, {0, w.end.empty() ? 0 : w.end[0], w.end.data()}, [&](int64_t r) {
        const Queued& row = w.queue[r];
        if (row.second > -HUGE_VAL) block.raise(r, std::min(state.own[row.i], row.second));
    });
    return looked;
}

// Decides the rows whose short form leaves few candidates; the others stay in the queue.
template <class View>
void DenseSelect<View>::screen_short(Worker& w, RowState& state) const {
    w.short_block.load(*short_.panels(), static_cast<int64_t>(w.queue.size()), {.k = 2, .from_above = true},
                       [&](int64_t r, std::uint32_t* cells) { return short_.row(w.queue[r].i, cells); });
    w.short_looked += scan(w, *short_.panels(), w.short_block, state);
    std::size_t left = 0;
    for (std::size_t r = 0; r < w.queue.size(); ++r)
        if (!decide_short(w, static_cast<int64_t>(r), state)) w.queue[left++] = w.queue[r];
    w.queue.resize(left);
}

// The two best atoms of a row: its own and last time's runner-up are known, and whatever may reach the second of them
// is scored.
template <class View>
bool DenseSelect<View>::decide_short(Worker& w, int64_t r, RowState& state) const {
    const Queued& row = w.queue[r];
    if (row.second == -HUGE_VAL || w.short_block.overflowed(r)) {
        w.overflowed += row.width;
        return false;
    }
    const int64_t i = row.i;
    const int32_t mine = state.label[i], before = state.second[i];
    Pair best{i, mine, state.own[i]}, second{i, before, row.second};
    const auto beats = [](const Pair& a, const Pair& b) {
        return a.score > b.score || (a.score == b.score && a.atom < b.atom);
    };
    if (beats(second, best)) std::swap(best, second);
    if (r + 1 < static_cast<int64_t>(w.queue.size())) rows_.prefetch(w.queue[r + 1].i);
    auto& found = w.closer.atom;
    found.resize(static_cast<std::size_t>(w.short_block.candidates(r)));
    for (std::size_t c = 0; c < found.size(); ++c) found[c] = drift_.order[w.short_block.position(r)[c]];
    w.candidates += static_cast<int64_t>(found.size());
    short_.look_closer(i, w.closer);
    w.hopeful.clear();
    for (std::size_t c = 0; c < found.size(); ++c) {
        const double upper = decision_(w.closer.upper[c], found[c]);
        if (upper >= second.score && found[c] != mine && found[c] != before) w.hopeful.push_back({upper, found[c]});
    }
    std::sort(w.hopeful.begin(), w.hopeful.end(),
              std::greater<>());  // the likeliest first: they raise what others must reach
    for (const auto& [upper, j] : w.hopeful) {
        if (upper < second.score) break;
        Pair next{i, j, score(i, j)};
        ++w.scored;
        if (beats(next, best)) std::swap(next, best);
        if (next.score > second.score) second = next;
    }
    state.label[i] = best.atom;
    state.own[i] = best.score;
    state.second[i] = second.atom;
    state.far[i] = round_down(std::min(far(i, second.score), row.unseen));
    return true;
}

// Float64 scores of the candidates that may beat the row's own atom; a bound on all others.
template <class View>
void DenseSelect<View>::decide(Worker& w, int64_t r, bool known, RowState& state) const {
    const int64_t i = w.queue[r].i;
    const int32_t mine = known ? state.label[i] : -1;
    double best = known ? state.own[i] : -HUGE_VAL;
    int32_t label = mine, second = -1;
    double others = w.block.ceiling(r);  // the highest score that an atom other than the label may have
    double second_score = -HUGE_VAL;
    for (int64_t c = 0; c < w.block.candidates(r); ++c) {
        const int32_t j = drift_.order[w.block.position(r)[c]];
        if (j == mine) continue;
        double bound = w.block.score_of(r, w.block.upper(r)[c]);
        if (bound >= best || label < 0) {
            bound = score(i, j);
            ++w.scored;
            if (label < 0 || bound > best || (bound == best && j < label)) {
                std::swap(bound, best);
                const int32_t loser = label;
                label = j;
                if (loser < 0) continue;
                others = std::max(others, bound);
                if (bound > second_score) {
                    second_score = bound;
                    second = loser;
                }
                continue;
            }
        }
        others = std::max(others, bound);
        if (bound > second_score) {
            second_score = bound;
            second = j;
        }
    }
    state.label[i] = label;
    state.own[i] = best;
    if (second >= 0) state.second[i] = second;
    state.far[i] = round_down(std::min(far(i, others), w.queue[r].unseen));
}

// The plain way: every atom in float64.
template <class View>
void DenseSelect<View>::score_all(Worker& w, int64_t i, RowState& state) const {
    const auto m = static_cast<int64_t>(atoms_->size());
    w.scores.resize(static_cast<std::size_t>(m));
    if (m <= kFewAtoms) {
        const T *atoms[kFewAtoms], *row[kFewAtoms];
        for (int64_t j = 0; j < m; ++j) atoms[j] = (*atoms_)[j].value.data();
        std::fill_n(row, m, rows_.values(i));
        kernels_->template of<T>().dense_dots(atoms, row, m, rows_.d(), w.scores.data());
        decision_.score(w.scores.data(), m);
    } else {
        table().run(rows_.values(i), 0, m, w.scores.data());
    }
    double best = -HUGE_VAL, others = -HUGE_VAL;
    int32_t label = 0;
    for (int64_t j = 0; j < m; ++j) {
        if (w.scores[j] > best) {
            others = best;
            best = w.scores[j];
            label = static_cast<int32_t>(j);
        } else {
            others = std::max(others, w.scores[j]);
        }
    }
    w.scored += m;
    state.label[i] = label;
    state.own[i] = best;
    state.far[i] = m > 1 ? round_down(far(i, others)) : 1e30f;
}

}  // namespace latom
