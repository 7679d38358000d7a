// dense_select.inl.h: the member functions of DenseSelect, in the order in which a pass calls them.
#pragma once
#include <chrono>

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
    few_atoms_ = switches_.screen && switches_.few && m <= kFewCenters &&
                 rows_.d() > ColumnScreen<View>::kMostColumns && few_centers_.pack(ctx, atoms, decision_, drift_);
    if (few_atoms_) return;
    anchor_.step(atoms.size(), drift);
    const std::vector<int32_t>& order = anchor_.order().order;
    if (!switches_.screen || m < kFewAtoms || rows_.d() > kMostColumns) return;
    const bool pays = switches_.shorten > 1 || (m >= kShortAtoms && rows_.n() >= kShortRows);
    if (try_coarse_ && m >= kCoarseAtoms && rows_.d() >= kLowColumns && has_coarse_screen(kernels_, rows_.d())) {
        coarse_ = std::make_unique<AtomPanels<T>>(ctx, rows, rows_.d(), norm2_, decision_.factor, decision_.bias,
                                                  order, Screen::kInt8);
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
    auto t0 = std::chrono::steady_clock::now();
    parallel_for(ctx, chunks, [&](int64_t c, int id) {
        Worker& w = scratch_[id];
        sort_out(w, c * rows, std::min(n, (c + 1) * rows), known, scores, state);
        for (auto& r : w.queue) w.dbg_q++, w.dbg_all += r.all;
        if (panels_) {
            screen(w, known, state);
        } else {
            for (const Queued& row : w.queue) score_all(w, row, state);
        }
    });
    double queued = 0, looked = 0, scored = 0, paired = 0, short_looked = 0, candidates = 0, overflowed = 0, coarse_looked = 0,
           coarse_left = 0;
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
    if (getenv("DBG")) {
        int64_t all = 0, q = 0;
        for (const Worker& w : scratch_) all += w.dbg_all, q += w.dbg_q;
        for (Worker& w : scratch_) w.dbg_all = w.dbg_q = 0;
        static auto last = std::chrono::steady_clock::now();
        auto now = std::chrono::steady_clock::now();
        fprintf(stderr, "loop %.2f since %.2f ", std::chrono::duration<double>(now - t0).count() * 1e3, std::chrono::duration<double>(now - last).count() * 1e3);
        last = now;
        fprintf(stderr, "anew %d width %ld queued %ld all %ld looked %.3f coarse %.3f scored %.3f paired %.3f (per row) most gone %g\n",
                anchor_.all(), anchor_.width(), q, all, looked / n, coarse_looked / n, scored / n, paired / n, anchor_.order().drift[0]);
    }
    anchor_.spend(queued, looked + coarse_looked + short_looked * width / d);
    if (coarse_) {
        if (anchor_.all()) try_coarse_ = !too_coarse(scored, coarse_left, coarse_looked);
    } else if (scored > kTooMany * (looked + short_looked) + 2.0 * static_cast<double>(n)) float32_ = true;
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
    anchor_.plan(std::move(room), static_cast<double>(rows_.n()));
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
            const bool bounds = switches_.drift && state.far[i] >= 0 && anchor_.knows(state.pass[i]);
            const double moved = anchor_.step(state.label[i]), near = state.near[i] + moved;
            const bool carried = bounds && !scores && state.near[i] >= 0;
            if (carried && stays(i, near, state)) continue;
            if (carried && (moved == 0 || anchor_.must(state.far[i] - near, state.label[i]) <= 32) && !anchor_.all()) queue(w, i, near, false, state);
            else w.pairs.push_back({i, state.label[i], 0, bounds});
        }
    }
    score_pairs(w);
    for (const Pair& pair : w.pairs) {
        const int64_t i = pair.i;
        state.own[i] = pair.score;
        if (!pair.row) {
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
    if (row.all) {
        state.far[i] = round_down(anchored(far(i, others), label));
    } else {
        if (anchor_.width() > 0) state.far[i] = std::min(state.far[i], round_down(far(i, others)));
        if (label != before)
            state.far[i] = std::min(state.far[i], round_down(far(i, state.own[i]) - anchor_.gone(before)));
    }
    state.near[i] = round_up(near(i, score));
    state.pass[i] = anchor_.pass();
    state.label[i] = label;
    state.own[i] = score;
}

// Rows that look at like numbers of panels share a tile, those that look at most come first.
template <class View>
void DenseSelect<View>::sort_by_width(Worker& w) const {
    const int64_t width = kernels_->panel_atoms, panels = chunk_count(static_cast<int64_t>(atoms_->size()), width);
    const auto place = [&](const Queued& row) {
        return static_cast<std::size_t>(panels - chunk_count(row.width, width));
    };
    w.place.assign(static_cast<std::size_t>(panels) + 2, 0);
    for (const Queued& row : w.queue) ++w.place[place(row) + 1];
    std::partial_sum(w.place.begin(), w.place.end(), w.place.begin());
    w.sorted.resize(w.queue.size());
    for (const Queued& row : w.queue) w.sorted[w.place[place(row)]++] = row;
    w.queue.swap(w.sorted);
}

template <class View>
void DenseSelect<View>::screen(Worker& w, bool known, RowState& state) {
    sort_by_width(w);
    if (known) {
        w.pairs.clear();
        for (std::size_t r = 0; r < w.queue.size(); ++r) {
            const int64_t i = w.queue[r].i;
            if (!w.queue[r].all || state.second[i] < 0 || state.second[i] == state.label[i]) continue;
            w.pairs.push_back({i, state.second[i], 0, static_cast<int32_t>(r)});
        }
        score_pairs(w);
        for (const Pair& pair : w.pairs) {
            Queued& row = w.queue[pair.row];
            row.second = pair.score;
            row.bar = std::min(row.floor, pair.score);
        }
        if (short_.panels()) screen_short(w, state);
    }
    if (coarse_) screen_coarse(w, known, state);
    load(w, *panels_);
    w.looked += scan(w, *panels_, w.block);
    settle_rows(
        w.block, [&](int64_t r) { decide(w, r, known, state); }, [&](int64_t r) { score_all(w, w.queue[r], state); });
}

template <class View>
void DenseSelect<View>::load(Worker& w, const AtomPanels<T>& panels) {
    if (rounded_.keeps(panels.screen())) {
        w.block.load(panels, static_cast<int64_t>(w.queue.size()), {.k = 2}, [&](int64_t r, std::uint32_t* cells) {
            constexpr std::size_t kAhead = 8;
            if (const auto next = static_cast<std::size_t>(r) + kAhead; next < w.queue.size())
                rounded_.prefetch(w.queue[next].i);
            const int64_t i = w.queue[r].i;
            return rounded_.row(i, rows_.values(i), rows_.norm2(i), cells);
        });
        return;
    }
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
void DenseSelect<View>::screen_coarse(Worker& w, bool known, RowState& state) {
    load(w, *coarse_);
    w.coarse_looked += scan(w, *coarse_, w.block);
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
bool DenseSelect<View>::try_coarse(RowState& state) {
    const int64_t n = rows_.n(), count = std::min<int64_t>(n, 4 * kernels_->tile_rows);
    Worker w;
    for (int64_t k = 0; k < count; ++k)
        if (const int64_t i = k * n / count; rows_.norm2(i) > 0)
            w.queue.push_back({i, static_cast<int64_t>(atoms_->size()), true, false});
    screen_coarse(w, false, state);
    return !too_coarse(static_cast<double>(w.scored), static_cast<double>(w.coarse_left),
                       static_cast<double>(w.coarse_looked));
}

// The queue's rows, loaded into the block, look at as many panels as they must. Returns how many scores that were.
template <class View>
template <class U>
int64_t DenseSelect<View>::scan(Worker& w, const AtomPanels<U>& panels, RowBlock<U>& block) const {
    int64_t looked = 0;
    w.end.assign(static_cast<std::size_t>(block.tiles()), 0);
    for (int64_t r = 0; r < block.count(); ++r) {
        const Queued& row = w.queue[r];
        looked += row.width;
        int64_t& end = w.end[r / kernels_->tile_rows];
        end = std::max(end, chunk_count(row.width, panels.panel_atoms()));
    }
    screen_loaded(block, panels, {0, w.end.empty() ? 0 : w.end[0], w.end.data()}, [&](int64_t r) {
        if (w.queue[r].bar > -HUGE_VAL) block.raise(r, w.queue[r].bar);
    });
    return looked;
}

// Decides the rows whose short form leaves few candidates; the others stay in the queue.
template <class View>
void DenseSelect<View>::screen_short(Worker& w, RowState& state) const {
    w.short_block.load(*short_.panels(), static_cast<int64_t>(w.queue.size()), {.k = 2, .from_above = true},
                       [&](int64_t r, std::uint32_t* cells) { return short_.row(w.queue[r].i, cells); });
    w.short_looked += scan(w, *short_.panels(), w.short_block);
    std::size_t left = 0;
    for (std::size_t r = 0; r < w.queue.size(); ++r)
        if (!decide_short(w, static_cast<int64_t>(r), state)) w.queue[left++] = w.queue[r];
    w.queue.resize(left);
}

// The best atom of a row, and of a row that looks at all the second: its own and last time's runner-up are known, and
// whatever may reach the worse of them is scored.
template <class View>
bool DenseSelect<View>::decide_short(Worker& w, int64_t r, RowState& state) const {
    const Queued& row = w.queue[r];
    if ((row.all && row.second == -HUGE_VAL) || w.short_block.overflowed(r)) {
        w.overflowed += row.width;
        return false;
    }
    const int64_t i = row.i;
    const int32_t mine = state.label[i], before = row.all ? state.second[i] : mine;
    if (r + 1 < static_cast<int64_t>(w.queue.size())) rows_.prefetch(w.queue[r + 1].i);
    auto& found = w.closer.atom;
    found.resize(static_cast<std::size_t>(w.short_block.candidates(r)));
    for (std::size_t c = 0; c < found.size(); ++c) found[c] = anchor_.order().order[w.short_block.position(r)[c]];
    w.candidates += static_cast<int64_t>(found.size());
    short_.look_closer(i, w.closer);
    w.hopeful.clear();
    for (std::size_t c = 0; c < found.size(); ++c) {
        const double upper = decision_(w.closer.upper[c], found[c]);
        if (upper >= row.bar && found[c] != mine && found[c] != before) w.hopeful.push_back({upper, found[c]});
    }
    const auto highest = std::max_element(w.hopeful.begin(), w.hopeful.end());
    const double others = highest == w.hopeful.end() ? row.bar : std::max(row.bar, highest->first);
    if (!row.all && !row.scored) {
        if (others < row.floor) {
            keep(row, others, state);
            return true;
        }
        score_late(w, i, state);
    }
    Pair best{i, mine, state.own[i]}, second{i, before, row.second};
    const auto beats = [](const Pair& a, const Pair& b) {
        return a.score > b.score || (a.score == b.score && a.atom < b.atom);
    };
    if (row.all && beats(second, best)) std::swap(best, second);
    const auto least = [&] { return row.all ? second.score : best.score; };
    std::sort(w.hopeful.begin(), w.hopeful.end(),
              std::greater<>());  // the likeliest first: they raise what others must reach
    for (const auto& [upper, j] : w.hopeful) {
        if (upper < least()) break;
        Pair next{i, j, score(i, j)};
        ++w.scored;
        if (beats(next, best)) std::swap(next, best);
        if (next.score > second.score) second = next;
    }
    if (row.all || best.atom != mine) state.second[i] = second.atom;
    settle(row, best.atom, best.score, row.all ? second.score : others, state);
    return true;
}

// Float64 scores of the candidates that may beat the row's own atom; a bound on all others.
template <class View>
void DenseSelect<View>::decide(Worker& w, int64_t r, bool known, RowState& state) const {
    const Queued& row = w.queue[r];
    const int64_t i = row.i;
    const int32_t mine = known ? state.label[i] : -1;
    if (!row.all && !row.scored) {
        float most = -HUGE_VALF;
        for (int64_t c = 0; c < w.block.candidates(r); ++c)
            if (anchor_.order().order[w.block.position(r)[c]] != mine) most = std::max(most, w.block.upper(r)[c]);
        const double others = w.block.score_of(r, most);
        if (most == -HUGE_VALF || others < row.floor) {
            keep(row, others, state);
            return;
        }
        score_late(w, i, state);
    }
    double best = known ? state.own[i] : -HUGE_VAL;
    int32_t label = mine, second = -1;
    double others = w.block.ceiling(r);  // the highest score that an atom other than the label may have
    double second_score = -HUGE_VAL;
    for (int64_t c = 0; c < w.block.candidates(r); ++c) {
        const int32_t j = anchor_.order().order[w.block.position(r)[c]];
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
    if (second >= 0 && (row.all || label != mine)) state.second[i] = second;
    settle(row, label, best, others, state);
}

// The plain way: every atom in float64.
template <class View>
void DenseSelect<View>::score_all(Worker& w, const Queued& row, RowState& state) const {
    const int64_t i = row.i;
    const auto m = static_cast<int64_t>(atoms_->size());
    w.scores.resize(static_cast<std::size_t>(m));
    if (m <= kFewAtoms) {
        const T *atoms[kFewAtoms], *rows[kFewAtoms];
        for (int64_t j = 0; j < m; ++j) atoms[j] = (*atoms_)[j].value.data();
        std::fill_n(rows, m, rows_.values(i));
        kernels_->template of<T>().dense_dots(atoms, rows, m, rows_.d(), w.scores.data());
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
    if (!row.all) state.own[i] = w.scores[state.label[i]];
    settle(row, label, best, others, state);
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
