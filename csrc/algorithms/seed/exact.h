// exact.h: D^2 of all rows after every centre, one at a time or the best of several (greedy).
//
// Sparse: only rows that share a term with a centre have another product with it than 0 (row_postings.h). All others are at
// D^2 = 2, or |x_i|^2 + |c|^2: they are looked at where that may be news, which without negative entries it is only for the
// first centre, or under the Euclidean metric for one shorter than all before.
// Dense: rows out of reach by the triangle inequality are skipped (potential.h); the rest is a product each, in float64.
//
// Cost      a pass over those rows a draw, and one more for the draw that is kept, if there are several.
#pragma once

#include <memory>
#include <optional>

#include "algorithms/seed/potential.h"
#include "algorithms/seed/row_postings.h"
#include "latom/seeding.h"

namespace latom {

template <class View>
class ExactSeeding {
public:
    using T = typename View::value_type;

    /// `has_negative`: the rows, or centres that are there already.
    ExactSeeding(const Context& ctx, const Rows<View>& rows, Metric metric, Potential<View>& potential, bool has_negative)
        : rows_(rows), distance_{metric}, potential_(potential), signed_(has_negative) {
        if constexpr (kIsSparse<View>) postings_.emplace(ctx, rows);
        scratch_.resize(static_cast<std::size_t>(std::max(1, workers(ctx, parts()))));
    }

    /// Of the draws the one that lowers the potential most; ties to the first.
    int64_t best(const Context& ctx, const std::vector<int64_t>& draws);
    /// Takes row c as a centre.
    void add(const Context& ctx, int64_t c);
    double products() const {
        double sum = 0;
        for (const Worker& w : scratch_) sum += w.products + w.sparse.products;
        return sum;
    }

private:
    static constexpr int64_t kRows = 16 * Potential<View>::kBlock;  // of a part, dense

    struct Worker {
        typename RowPostings<View>::Scratch sparse;
        std::vector<int64_t> queue;
        double products = 0;
    };

    int64_t parts() const {
        if constexpr (kIsSparse<View>) return postings_->slabs();
        else return chunk_count(rows_.n(), kRows);
    }
    int64_t first_row(int64_t part) const {
        if constexpr (kIsSparse<View>) return std::min(rows_.n(), postings_->first(part));
        else return std::min(rows_.n(), part * kRows);
    }
    template <class F>
    void sweep(Worker& w, int64_t part, int64_t c, const std::vector<double>& reach, F f) const;
    std::vector<double> reach(int64_t c) const;

    const Rows<View>& rows_;
    SquaredDistance distance_;
    Potential<View>& potential_;
    std::optional<RowPostings<View>> postings_;
    bool signed_, first_ = false;
    double shortest2_ = HUGE_VAL;  // of the centres
    bool skips_ = true;            // the triangle inequality ruled rows out when last tried
    std::vector<Worker> scratch_;
};

/// f(i, D^2(i, c)) for the rows of a part that c may be nearest to.
template <class View>
template <class F>
void ExactSeeding<View>::sweep(Worker& w, int64_t part, int64_t c, const std::vector<double>& reach, F f) const {
    const double c2 = rows_.norm2(c);
    if constexpr (kIsSparse<View>) {
        const bool all = signed_ || first_ || (distance_.metric == Metric::kEuclidean && c2 < shortest2_);
        postings_->products(w.sparse, part, c, all, [&](int64_t i, double dot) {
            if (potential_.bound(i) > 0) f(i, i == c ? 0.0 : distance_(dot, rows_.norm2(i), c2));
        });
    } else {
        w.queue.clear();
        for (int64_t i = first_row(part); i < first_row(part + 1); ++i)
            if (potential_.bound(i) > 0 && (reach.empty() || potential_.bound(i) > reach[potential_.label(i)])) w.queue.push_back(i);
        constexpr std::size_t kBatch = 16;
        const T *x[kBatch], *y[kBatch];
        double dot[kBatch];
        std::fill_n(y, kBatch, rows_.values(c));
        for (std::size_t from = 0; from < w.queue.size(); from += kBatch) {
            const std::size_t batch = std::min(kBatch, w.queue.size() - from);
            for (std::size_t b = 0; b < batch; ++b) x[b] = rows_.values(w.queue[from + b]);
            detail::dense_dots(rows_.kernels(), T{})(x, y, static_cast<int64_t>(batch), rows_.d(), dot);
            for (std::size_t b = 0; b < batch; ++b) {
                const int64_t i = w.queue[from + b];
                f(i, i == c ? 0.0 : distance_(dot[b], rows_.norm2(i), c2));
            }
        }
        w.products += static_cast<double>(w.queue.size()) * static_cast<double>(rows_.d());
    }
}

// For each centre the bound up to which its rows are out of reach of c; empty where that is not worth the trouble.
template <class View>
std::vector<double> ExactSeeding<View>::reach(int64_t c) const {
    const auto& centers = potential_.centers();
    constexpr std::size_t kAgain = 32;  // one in so many is tried even so
    if (kIsSparse<View> || first_ || (!skips_ && centers.size() % kAgain != 0)) return {};
    std::vector<double> out;
    for (const int64_t a : centers) out.push_back(a < 0 ? 0.0 : potential_.reach(a, distance_(rows_.dot(a, rows_.values(c)), rows_.norm2(a), rows_.norm2(c))));
    return out;
}

template <class View>
int64_t ExactSeeding<View>::best(const Context& ctx, const std::vector<int64_t>& draws) {
    const std::size_t count = draws.size();
    if (count == 1) return draws[0];
    std::vector<std::vector<double>> reaches;
    for (const int64_t c : draws) reaches.push_back(reach(c));
    std::vector<double> gain(static_cast<std::size_t>(parts()) * count, 0.0);
    parallel_for(ctx, parts(), [&](int64_t part, int id) {
        for (std::size_t k = 0; k < count; ++k)
            sweep(scratch_[id], part, draws[k], reaches[k], [&](int64_t i, double d2) {
                const double less = potential_.bound(i) - d2;
                if (less > 0) gain[part * count + k] += potential_.weight(i) * less;
            });
    });
    std::size_t most = 0;
    std::vector<double> total(count, 0.0);
    for (std::size_t at = 0; at < gain.size(); ++at) total[at % count] += gain[at];
    for (std::size_t k = 1; k < count; ++k)
        if (total[k] > total[most]) most = k;
    return draws[most];
}

template <class View>
void ExactSeeding<View>::add(const Context& ctx, int64_t c) {
    const std::vector<double> out_of_reach = reach(c);
    std::vector<int64_t> looked(static_cast<std::size_t>(parts()), 0);
    first_ = !potential_.known();
    potential_.begin(c);
    parallel_for(ctx, parts(), [&](int64_t part, int id) {
        sweep(scratch_[id], part, c, out_of_reach, [&](int64_t i, double d2) {
            potential_.lower(i, d2);
            ++looked[part];
        });
        potential_.sum(first_row(part), first_row(part + 1));
    });
    potential_.end();
    first_ = false;
    if (!out_of_reach.empty()) {
        int64_t rows = 0;
        for (const int64_t count : looked) rows += count;
        skips_ = rows < rows_.n() / 16 * 15;
    }
    shortest2_ = std::min(shortest2_, rows_.norm2(c));
}

}  // namespace latom
