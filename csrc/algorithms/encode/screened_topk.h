// screened_topk.h: rows through a screen of the atoms, then float64 scores of the few that may be among their k best.
//
// The screen (engines/product_select/row_block.h) keeps what its threshold does not rule out, so a threshold that is
// high from the start saves most of the work of keeping. RowList that are decided first tell what the k-th best score,
// divided by the length of the row, is at least for nearly all rows: the expectation. Each other row starts from it,
// and is looked at again without it if fewer than k of its atoms reach it. So the answer does not depend on it.
//
// Rows that are the atoms may be screened in pairs (engines/product_select/row_pairs.h), whose thresholds are hopes, too:
// a row whose k-th best score does not reach its own is left to the other ways.
//
// Candidates are scored in two rounds: first those whose lower bounds lead; the k-th best score of these is a threshold
// that few of the others may reach.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "algorithms/encode/atom_scores.h"
#include "core/idle.h"
#include "engines/product_select/decide.h"
#include "engines/product_select/row_pairs.h"

namespace latom {

/// What a thread needs.
template <class T>
struct ScreenWorker {
    struct Later {  // a candidate that may not be needed
        float upper;
        int32_t atom;
    };
    typename RowReader<T>::Block rows;
    RowBlock<T> block;
    std::vector<float> lower;
    std::vector<Entry> entries, more, found;
    std::vector<Later> later;
    std::vector<int64_t> begin, later_begin, more_begin;  // of each row
    std::vector<int64_t> overflowed;                      // rows, counted as `rows` of settle()
    std::vector<double> scores;                           // [m], of a overflowed row
    std::vector<char> settled;                            // rows of settle() that need no score
    typename AtomScores<T>::Scratch scratch;
    std::vector<double> reached;  // k-th best scores of rows, divided by their lengths
    std::vector<int64_t> missed;  // rows that do not meet the expectation
    bool surprised = false;       // by many of them
    TopKStats stats;
};

template <class T>
class ScreenedTopK {
public:
    using RowList = std::vector<int64_t>;  // numbers of rows of X

    using Worker = ScreenWorker<T>;

    ScreenedTopK(const TopKJob<T>& job, const AtomScores<T>& scores, Idle<Worker>& idle)
        : job_(job), scores_(scores), idle_(idle) {}

    /// All rows of the lists, a list at a time. Returns those that the screen could not decide; where `all` says so
    /// they are decided by all their scores instead. room: for candidates beyond what a fine screen leaves.
    std::vector<RowList> decide(const AtomPanels<T>& panels, const std::vector<RowList>& lists, bool all, int64_t room);
    /// The same for one list of few rows: the threads share out the atoms. Nothing is written where the panels turn out
    /// not to be sound.
    RowList decide_sliced(const AtomPanels<T>& panels, const RowList& rows, bool all, int64_t room);
    /// All atoms as rows, which X must be; appends to `left` the rows that are not decided. False, and no row is, where
    /// these would be most. The panels are kept.
    bool decide_pairs(const AtomPanels<T>& panels, RowList& left);
    /// Sets the expectation by the rows decided so far.
    void expect();

    const TopKStats& stats() const { return stats_; }

private:
    using Block = typename RowReader<T>::Block;
    static constexpr int64_t kMostKept = 1 << 12;      // rows of a list, times k, after which scratch is kept
    static constexpr std::size_t kLeastExamples = 12;  // rows from which an expectation follows

    void screen(const AtomPanels<T>& panels, Worker& w, const RowList& which, double expected, int64_t from, int64_t to,
                int64_t room, bool hope = false) const;
    using Parts = std::vector<const RowBlock<T>*>;  // the blocks whose candidates together are those of the rows
    RowList settle(Worker& w, const Block& rows, const RowList& which, int64_t from, int64_t to, const Parts& parts,
                   double expected, bool all, const RowBlock<T>* hopeful = nullptr) const;
    void divide(Worker& w, int64_t r, const Parts& parts) const;
    bool settle_alone(Worker& w, int64_t r, int64_t i, double norm2, const Parts& parts, double expected) const;
    void find_more(Worker& w, int64_t from, int64_t to, const Parts& parts) const;
    void write(Worker& w, const Block& rows, const RowList& which, int64_t from, int64_t to, double expected,
               const RowBlock<T>* hopeful) const;
    void score(Worker& w, const Block& rows, std::vector<Entry>& entries) const {
        w.stats.scored += static_cast<int64_t>(entries.size());
        scores_.score(job_.ctx.kernels, rows.row, entries, w.scratch);
    }
    using Workers = typename Idle<Worker>::Lent;
    Workers lend(int64_t count) {
        Workers lent = idle_.lend(static_cast<std::size_t>(workers(job_.ctx, count)));
        for (auto& w : lent) {
            w->reached.clear();
            w->missed.clear();
            w->surprised = false;
            w->stats = {};
        }
        return lent;
    }
    // rows: the most of a list.
    void gather(Workers scratch, std::size_t rows) {
        for (const auto& w : scratch) {
            stats_.scored += w->stats.scored;
            stats_.overflowed += w->stats.overflowed;
            reached_.insert(reached_.end(), w->reached.begin(), w->reached.end());
        }
        if (static_cast<int64_t>(rows) * job_.k <= kMostKept)
            idle_.take_back(std::move(scratch), static_cast<std::size_t>(job_.ctx.n_threads));
    }

    const TopKJob<T>& job_;
    const AtomScores<T>& scores_;
    Idle<Worker>& idle_;
    bool examples_ = true;  // rows tell what to expect
    double expected_ = -HUGE_VAL;
    std::vector<double> reached_;
    TopKStats stats_;
};

template <class T>
std::vector<typename ScreenedTopK<T>::RowList> ScreenedTopK<T>::decide(const AtomPanels<T>& panels,
                                                                       const std::vector<RowList>& lists, bool all,
                                                                       int64_t room) {
    const auto count = static_cast<int64_t>(lists.size());
    Workers scratch = lend(count);
    std::vector<RowList> left(lists.size());
    const auto look = [&](Worker& w, const RowList& rows, double expected, bool hope, RowList& undecided) {
        job_.reader.read(rows, w.rows);
        screen(panels, w, rows, expected, 0, panels.panels(), room, hope);
        const RowList more = settle(w, w.rows, rows, 0, static_cast<int64_t>(rows.size()), {&w.block}, expected, all,
                                    hope ? &w.block : nullptr);
        undecided.insert(undecided.end(), more.begin(), more.end());
    };
    parallel_for(job_.ctx, count, [&](int64_t b, int id) {
        Worker& w = *scratch[id];
        const bool hope = !w.surprised && job_.rank != Rank::kAbove;
        look(w, lists[b], w.surprised ? -HUGE_VAL : expected_, hope, left[b]);
        if (w.missed.empty()) return;
        w.surprised = 8 * w.missed.size() > lists[b].size();
        const RowList missed = std::exchange(w.missed, {});
        look(w, missed, -HUGE_VAL, false, left[b]);
    });
    std::size_t rows = 0;
    for (const RowList& list : lists) rows = std::max(rows, list.size());
    gather(std::move(scratch), rows);
    std::erase_if(left, [](const RowList& rows) { return rows.empty(); });
    return left;
}

template <class T>
typename ScreenedTopK<T>::RowList ScreenedTopK<T>::decide_sliced(const AtomPanels<T>& panels, const RowList& rows,
                                                                 bool all, int64_t room) {
    const int64_t threads = job_.ctx.n_threads, slices = std::min(threads, panels.panels());
    const auto count = static_cast<int64_t>(rows.size());
    Workers scratch = idle_.lend(static_cast<std::size_t>(slices));  // one for each slice, which settle() reads
    parallel_for(job_.ctx, slices, [&](int64_t s, int) {
        job_.reader.read(rows, scratch[s]->rows);
        screen(panels, *scratch[s], rows, -HUGE_VAL, panels.panels() * s / slices, panels.panels() * (s + 1) / slices,
               room);
    });
    if (!panels.sound()) return {};
    Parts parts;
    for (const auto& w : scratch) parts.push_back(&w->block);
    const int64_t group = chunk_count(count, 4 * threads), groups = chunk_count(count, group);
    Workers deciding = lend(groups);
    std::vector<RowList> left(static_cast<std::size_t>(groups));
    parallel_for(job_.ctx, groups, [&](int64_t g, int id) {
        left[g] = settle(*deciding[id], scratch[0]->rows, rows, g * group, std::min(count, (g + 1) * group), parts,
                         -HUGE_VAL, all);
    });
    gather(std::move(deciding), rows.size());
    if (count * job_.k <= kMostKept) idle_.take_back(std::move(scratch), static_cast<std::size_t>(2 * threads));
    RowList undecided;
    for (const RowList& part : left) undecided.insert(undecided.end(), part.begin(), part.end());
    return undecided;
}

template <class T>
bool ScreenedTopK<T>::decide_pairs(const AtomPanels<T>& panels, RowList& left) {
    RowPairs<T> pairs(panels, job_.ctx.n_threads);
    const int64_t count = pairs.blocks();
    std::vector<Block> rows(static_cast<std::size_t>(count));
    const bool done = pairs.scan(job_.ctx, [&](int64_t b, RowBlock<T>& block) {
        job_.reader.read(pairs.rows(b), rows[b]);
        const auto size = static_cast<int64_t>(rows[b].row.size());
        block.load(panels, rows[b].row.data(), rows[b].norm2.data(), size, {.k = job_.k, .hope = true});
    });
    if (!done) return false;
    Workers scratch = lend(count);
    std::vector<RowList> undecided(static_cast<std::size_t>(count));
    parallel_for(job_.ctx, count, [&](int64_t b, int id) {
        Worker& w = *scratch[id];
        const RowList which = pairs.rows(b);
        const RowBlock<T>& block = pairs.finished(b);
        undecided[b] = settle(w, rows[b], which, 0, block.count(), {&block}, -HUGE_VAL, false, &block);
        undecided[b].insert(undecided[b].end(), w.missed.begin(), w.missed.end());
        w.missed.clear();
    });
    gather(std::move(scratch), pairs.rows(0).size());
    for (const RowList& list : undecided) left.insert(left.end(), list.begin(), list.end());
    return true;
}

template <class T>
void ScreenedTopK<T>::expect() {
    examples_ = false;
    if (job_.rank == Rank::kAbove || reached_.size() < kLeastExamples) return;  // kAbove: the threshold is known
    std::sort(reached_.begin(), reached_.end());
    const double least = reached_.front(), middle = reached_[reached_.size() / 2];
    expected_ = least - 0.5 * (middle - least);  // some three standard deviations below the mean, of normal data
}

// Candidates of w.rows, which are rows `which` of X, among panels [from, to).
template <class T>
void ScreenedTopK<T>::screen(const AtomPanels<T>& panels, Worker& w, const RowList& which, double expected,
                             int64_t from, int64_t to, int64_t room, bool hope) const {
    const bool magnitude = job_.rank == Rank::kMagnitude;
    screen_rows(w.block, panels, w.rows.row, w.rows.norm2,
                {.k = job_.k,
                 .magnitude = magnitude,
                 .room = room,
                 .hope = hope,
                 .without = job_.without,
                 .which = which.data()},
                {from, to}, [&](int64_t r) {
                    const double norm2 = w.rows.norm2[r];
                    if (job_.rank == Rank::kAbove) w.block.raise(r, scores_.least(norm2, job_.thresholds[which[r]]));
                    else if (expected > -HUGE_VAL) w.block.raise(r, expected * std::sqrt(norm2));
                });
}

// Scores the candidates of rows which[from, to) and writes the best; `rows`, and each of `parts`, hold row which[r] at
// r. hopeful: the block whose thresholds the rows have to reach, or null where k atoms are known to.
template <class T>
typename ScreenedTopK<T>::RowList ScreenedTopK<T>::settle(Worker& w, const Block& rows, const RowList& which,
                                                          int64_t from, int64_t to, const Parts& parts, double expected,
                                                          bool all, const RowBlock<T>* hopeful) const {
    w.overflowed.clear();
    w.entries.clear();
    w.later.clear();
    w.begin.assign(1, 0);
    w.later_begin.assign(1, 0);
    w.settled.assign(static_cast<std::size_t>(to - from), 0);
    for (int64_t r = from; r < to; ++r) {
        divide(w, r, parts);
        w.settled[r - from] = settle_alone(w, r, which[r], rows.norm2[r], parts, expected);
        w.begin.push_back(static_cast<int64_t>(w.entries.size()));
        w.later_begin.push_back(static_cast<int64_t>(w.later.size()));
    }
    score(w, rows, w.entries);
    find_more(w, from, to, parts);
    score(w, rows, w.more);
    write(w, rows, which, from, to, expected, hopeful);
    RowList undecided;
    for (const int64_t r : w.overflowed) {
        if (!all) {
            undecided.push_back(which[r]);
            continue;
        }
        poll();
        w.scores.resize(static_cast<std::size_t>(scores_.m()));
        scores_.score_all(job_.ctx.kernels, rows.row[r], 0, scores_.m(), w.scores.data());
        w.stats.scored += scores_.m();
        ++w.stats.overflowed;
        scores_.write_all(job_, which[r], rows.norm2[r], w.scores.data(), w.found);
    }
    return undecided;
}

// Divides the candidates of row r into those that lead, which are scored now, and those that may not be needed.
template <class T>
void ScreenedTopK<T>::divide(Worker& w, int64_t r, const Parts& parts) const {
    bool whole = true;
    for (const auto* part : parts) whole &= !part->overflowed(r);
    if (!whole) w.overflowed.push_back(r);
    // What the lower bounds of the k leading candidates reach, and what no other atom does.
    float lead = -HUGE_VALF, tau = -HUGE_VALF;
    if (parts.size() == 1) {
        lead = parts[0]->lead(r);
    } else if (whole) {
        w.lower.clear();
        for (const auto* part : parts)
            w.lower.insert(w.lower.end(), part->lower(r), part->lower(r) + part->candidates(r));
        if (static_cast<int64_t>(w.lower.size()) > job_.k) {
            std::nth_element(w.lower.begin(), w.lower.begin() + (job_.k - 1), w.lower.end(), std::greater<>());
            lead = w.lower[job_.k - 1];
        }
    }
    for (const auto* part : parts) tau = std::max(tau, part->threshold(r));
    tau = std::max(tau, lead);
    for (const auto* part : parts)
        for (int64_t c = 0; whole && c < part->candidates(r); ++c) {
            if (part->lower(r)[c] >= lead) w.entries.push_back({0, static_cast<int32_t>(r), part->atom(r, c)});
            else if (part->upper(r)[c] >= tau) w.later.push_back({part->upper(r)[c], part->atom(r, c)});
        }
}

// Where no scores are asked for and one candidate is left, beyond whatever other rows made us expect, it is the answer.
template <class T>
bool ScreenedTopK<T>::settle_alone(Worker& w, int64_t r, int64_t i, double norm2, const Parts& parts,
                                   double expected) const {
    if (job_.score || job_.exact || examples_ || job_.k != 1) return false;
    if (!w.overflowed.empty() && w.overflowed.back() == r) return false;
    if (static_cast<int64_t>(w.entries.size()) != w.begin.back() + 1) return false;
    if (static_cast<int64_t>(w.later.size()) != w.later_begin.back()) return false;
    if (expected > -HUGE_VAL && !(parts[0]->lead(r) >= parts[0]->threshold_of(r, expected * std::sqrt(norm2))))
        return false;
    job_.index[i] = w.entries.back().atom;
    w.entries.pop_back();
    return true;
}

// Of the later candidates, those that may reach the k-th best score of those that led.
template <class T>
void ScreenedTopK<T>::find_more(Worker& w, int64_t from, int64_t to, const Parts& parts) const {
    w.more.clear();
    w.more_begin.assign(1, 0);
    for (int64_t r = from; r < to; ++r) {
        float tau = -HUGE_VALF;
        w.scores.clear();
        for (int64_t e = w.begin[r - from]; e < w.begin[r - from + 1]; ++e)
            w.scores.push_back(key(job_.rank, w.entries[e].score));
        if (static_cast<int64_t>(w.scores.size()) >= job_.k) {
            const auto kth = w.scores.begin() + (job_.k - 1);
            std::nth_element(w.scores.begin(), kth, w.scores.end(), std::greater<>());
            tau = parts[0]->threshold_of(r, *kth);
        }
        for (int64_t c = w.later_begin[r - from]; c < w.later_begin[r - from + 1]; ++c)
            if (w.later[c].upper >= tau) w.more.push_back({0, static_cast<int32_t>(r), w.later[c].atom});
        w.more_begin.push_back(static_cast<int64_t>(w.more.size()));
    }
}

// Writes the rows that did not overflow, and notes those that do not meet the expectation.
template <class T>
void ScreenedTopK<T>::write(Worker& w, const Block& rows, const RowList& which, int64_t from, int64_t to,
                            double expected, const RowBlock<T>* hopeful) const {
    std::size_t left = 0;
    for (int64_t r = from; r < to; ++r) {
        if (left < w.overflowed.size() && w.overflowed[left] == r) {
            ++left;
            continue;
        }
        if (w.settled[r - from]) continue;
        w.found.assign(w.entries.begin() + w.begin[r - from], w.entries.begin() + w.begin[r - from + 1]);
        w.found.insert(w.found.end(), w.more.begin() + w.more_begin[r - from],
                       w.more.begin() + w.more_begin[r - from + 1]);
        const double norm2 = rows.norm2[r], reached = scores_.write(job_, which[r], norm2, w.found);
        const double least = hopeful                ? hopeful->ceiling(r)
                             : expected > -HUGE_VAL ? expected * std::sqrt(norm2)
                                                    : -HUGE_VAL;
        if (!(reached >= least)) w.missed.push_back(which[r]);
        else if (examples_ && norm2 > 0 && reached > -HUGE_VAL) w.reached.push_back(reached / std::sqrt(norm2));
    }
}

}  // namespace latom
