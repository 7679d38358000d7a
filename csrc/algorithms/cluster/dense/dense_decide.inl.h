// dense_decide.inl.h: the member functions of DenseSelect that screen the rows of a queue and decide them.
#pragma once

namespace latom {

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
        if (highest == w.hopeful.end() || others < row.floor) {
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

}  // namespace latom
