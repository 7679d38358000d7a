// potential.h: the law that centers are drawn by: row i with probability proportional to w_i B_i.
//
// B_i is D^2(i), or an upper bound on it: a fold lowers it to D^2 over all centers.
//
// A fold skips row i when every new center lies at least 2 sqrt(B_i) from the center a of its label, for then
//   |x_i - c| >= |a - c| - |x_i - a| >= sqrt(B_i)         (Elkan 2003; rows at length 1 under cosine)
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "algorithms/seed/nearest_center.h"
#include "core/sampling.h"
#include "latom/seed.h"

namespace latom {

/// A row, and by how much it would lower the potential as a center.
struct Gain {
    int64_t row = -1;
    double gain = -HUGE_VAL;
};
/// Of the draws the one with the largest gain [draws]; ties to the first.
inline Gain most_gain(const std::vector<int64_t>& draws, const std::vector<double>& gain) {
    const auto most = std::max_element(gain.begin(), gain.end());
    return {draws[static_cast<std::size_t>(most - gain.begin())], *most};
}

template <class View>
class Potential {
public:
    static constexpr int64_t kBlock = PrefixTable::kBlock;

    /// weights [n] may be null. B is 1 at first: the law is then that of the weights.
    Potential(const Context& ctx, const Rows<View>& rows, Metric metric, const double* weights)
        : rows_(rows),
          metric_(metric),
          weights_(weights),
          bound_(static_cast<std::size_t>(rows.n())),
          table_(rows.n()),
          stale_(static_cast<std::size_t>(table_.blocks()), 0) {
        set(ctx, [](int64_t) { return 1.0; });
    }

    /// Who finds the nearest centers of a fold from now on, where they are rows of X; empty: find() does.
    void ask(const NearestOf& nearest) { nearest_ = nearest; }

    /// 0 for rows that are never drawn.
    double weight(int64_t i) const {
        if (metric_ == Metric::kCosine && !(rows_.norm2(i) > 0)) return 0;
        return weights_ ? weights_[i] : 1;
    }
    double bound(int64_t i) const { return bound_[i]; }
    double mass(int64_t i) const { return weight(i) * bound_[i]; }
    double total() const { return table_.total(); }
    int32_t label(int64_t i) const { return label_[i]; }
    /// Rows of X by label: the centers that B knows; -1 for one that is none of them.
    const std::vector<int64_t>& centers() const { return centers_; }
    /// Whether B bounds D^2, so that folds can build on it.
    bool known() const { return known_; }

    /// B_i = f(i).
    template <class F>
    void set(const Context& ctx, F f, bool known = false) {
        known_ = known;
        constexpr int64_t kRows = 16 * kBlock;
        parallel_for(ctx, chunk_count(rows_.n(), kRows), [&](int64_t c, int) {
            const int64_t from = c * kRows, stop = std::min(rows_.n(), from + kRows);
            for (int64_t i = from; i < stop; ++i) {
                bound_[i] = weight(i) > 0 ? f(i) : 0.0;
                stale_[i / kBlock] = 1;
            }
            sum(from, stop);
        });
        table_.finish();
    }

    /// A center one by one: begin(), lower() and sum() by whoever knows its distances, end().
    void begin(int64_t row) {
        if (!known_)
            for (int64_t i = 0; i < rows_.n(); ++i) bound_[i] = weight(i) > 0 ? HUGE_VAL : 0.0;
        known_ = true;
        label_.resize(bound_.size(), 0);
        centers_.push_back(row);
    }
    bool lower(int64_t i, double v) {
        if (!take(i, v, static_cast<int32_t>(centers_.size()) - 1)) return false;
        stale_[i / kBlock] = 1;
        return true;
    }
    /// The same for whoever does without the sums until sum_all().
    bool take(int64_t i, double v) { return take(i, v, static_cast<int32_t>(centers_.size()) - 1); }
    /// Sums of the blocks of rows [from, to) that lower() touched; `from` starts a block.
    void sum(int64_t from, int64_t to) {
        for (int64_t b = from / kBlock; b * kBlock < to; ++b) {
            if (!stale_[b]) continue;
            stale_[b] = 0;
            table_.sum(b, [this](int64_t i) { return mass(i); });
        }
    }
    void end() { table_.finish(); }
    void sum_all(const Context& ctx) {
        table_.sum_all(ctx, [this](int64_t i) { return mass(i); });
    }

    /// Row drawn by `uniform` in [0, 1); -1 if the law is zero.
    int64_t draw(double uniform) const {
        return table_.draw(uniform, [this](int64_t i) { return mass(i); });
    }

    /// B_i = min(B_i, D^2(i) over `pending`), whose centers, `rows` of X, take the labels that follow. Returns the
    /// multiply-adds spent.
    double lower(const Context& ctx, NearestCenter<View>& pending, const std::vector<int64_t>& rows);
    /// Share of the rows that the last fold could not skip.
    double looked() const { return looked_; }

    /// The B up to which the rows of center a are out of reach of a center at D^2 from it.
    double reach(int64_t a, double distance2) const {
        const double scale = metric_ == Metric::kCosine ? 1.0 : rows_.norm2(a);
        return distance2 * (0.25 - 1e-9) - 1e-11 * scale;  // more than float64 rounds off
    }

private:
    bool take(int64_t i, double v, int32_t label) {
        if (!(v < bound_[i])) return false;
        bound_[i] = v;
        label_[i] = label;
        return true;
    }
    std::vector<double> reach_of(const Context& ctx, NearestCenter<View>& pending) const;

    const Rows<View>& rows_;
    Metric metric_;
    const double* weights_;
    std::vector<double> bound_;
    PrefixTable table_;
    std::vector<char> stale_;  // blocks whose sum is not that of their rows
    std::vector<int32_t> label_;
    std::vector<int64_t> centers_;
    bool known_ = false;
    NearestOf nearest_;
    std::size_t skip_from_ = 1;  // centers from which on folds try to skip rows
    double looked_ = 1;
};

template <class View>
std::vector<double> Potential<View>::reach_of(const Context& ctx, NearestCenter<View>& pending) const {
    std::vector<typename NearestCenter<View>::Query> query;
    std::vector<typename NearestCenter<View>::Answer> answer;
    query.reserve(centers_.size());
    for (const int64_t row : centers_) query.push_back({std::max<int64_t>(row, 0), HUGE_VAL});
    pending.find_all(ctx, query, answer);
    std::vector<double> out;
    out.reserve(centers_.size());
    for (std::size_t a = 0; a < centers_.size(); ++a)
        out.push_back(centers_[a] < 0 ? 0.0 : reach(centers_[a], answer[a].distance2));
    return out;
}

template <class View>
double Potential<View>::lower(const Context& ctx, NearestCenter<View>& pending, const std::vector<int64_t>& rows) {
    using Query = typename NearestCenter<View>::Query;
    using Answer = typename NearestCenter<View>::Answer;
    constexpr int64_t kRows = 8 * kBlock;
    const int64_t n = rows_.n(), chunks = chunk_count(n, kRows);
    const auto base = static_cast<int32_t>(centers_.size());
    label_.resize(static_cast<std::size_t>(n), 0);
    pending.prepare(ctx);
    const bool skip = known_ && centers_.size() >= skip_from_ && base < n / 8;
    const std::vector<double> reach = skip ? reach_of(ctx, pending) : std::vector<double>{};

    std::vector<int32_t> center;
    std::vector<double> dot;
    if (nearest_ && std::all_of(rows.begin(), rows.end(), [](int64_t row) { return row >= 0; })) {
        center.resize(static_cast<std::size_t>(n));
        dot.resize(center.size());
        nearest_(rows, center.data(), dot.data());
    }
    const bool asked = !center.empty();

    struct Worker {
        typename NearestCenter<View>::Scratch scratch;
        std::vector<Query> query;
        std::vector<Answer> answer;
        int64_t looked = 0;
    };
    std::vector<Worker> worker(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int id) {
        Worker& w = worker[id];
        w.query.clear();
        const int64_t from = c * kRows, stop = std::min(n, from + kRows);
        for (int64_t i = from; i < stop; ++i)
            if (bound_[i] > 0 && !(skip && bound_[i] <= reach[label_[i]]))
                w.query.push_back({i, known_ ? bound_[i] : HUGE_VAL});
        w.looked += static_cast<int64_t>(w.query.size());
        w.answer.resize(w.query.size());
        constexpr std::size_t kAtOnce = 280;  // whole tiles, whose rows stay in the second cache
        for (std::size_t q = 0; asked && q < w.query.size(); ++q)
            w.answer[q] = pending.found(w.query[q], center[w.query[q].i], dot[w.query[q].i]);
        for (std::size_t q = 0; !asked && q < w.query.size(); q += kAtOnce)
            pending.find(w.scratch, &w.query[q], static_cast<int64_t>(std::min(kAtOnce, w.query.size() - q)),
                         &w.answer[q], true);
        for (std::size_t q = 0; q < w.query.size(); ++q) {
            if (w.answer[q].center < 0) continue;
            if (!known_) bound_[w.query[q].i] = HUGE_VAL;
            if (take(w.query[q].i, w.answer[q].distance2, base + w.answer[q].center)) stale_[w.query[q].i / kBlock] = 1;
        }
        sum(from, stop);
    });
    for (std::size_t c = 0; c < rows.size(); ++c) {  // a row is its own nearest center, whatever is rounded
        if (rows[c] < 0) continue;
        if (!take(rows[c], 0.0, base + static_cast<int32_t>(c))) continue;
        stale_[rows[c] / kBlock] = 1;
        sum(rows[c] / kBlock * kBlock, rows[c] + 1);
    }
    table_.finish();
    centers_.insert(centers_.end(), rows.begin(), rows.end());
    known_ = true;
    double products = 0, coarse = 0, left_over = 0;
    int64_t looked = 0;
    for (const Worker& w : worker) {
        products += asked ? static_cast<double>(w.looked * pending.size() * rows_.d()) : w.scratch.products;
        looked += w.looked;
        coarse += w.scratch.coarse;
        left_over += w.scratch.left_over;
    }
    pending.judge(coarse, left_over);
    if (skip) looked_ = static_cast<double>(looked) / static_cast<double>(n);
    constexpr double kWorthSkipping = 1.0 / 16;
    if (skip && looked_ > 1 - kWorthSkipping) skip_from_ = 2 * centers_.size();
    return products;
}

}  // namespace latom
