// moving_sums.h: the sums of all clusters, which follow dense rows from cluster to cluster.
//
//   s_j = sum of factor_i x_i,   W_j = sum of w_i,   n_j       over the rows i of cluster j (center_sums.h)
//
// Sums are integers (cluster_sum.h): the bits follow from the labels alone. Where columns or clusters are few, each
// thread adds rows in any order to sums of its own, which are then added up; elsewhere the rows of a cluster are added
// by one thread. So an iteration costs the rows that changed their label, twice each; the objective then needs no row
// at all,
//
//   euclidean   sum_i w_i |x_i|^2 - sum_j (2 <c_j, s_j> - W_j |c_j|^2)          cosine   sum_j W_j - <c_j, s_j> / |c_j|
//
// unless it is so small beside what it is the difference of that digits are lost.
//
// Memory    16 or 24 bytes per cluster and column; where they are few, and thread. 16 bytes per row that is added.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include "algorithms/cluster/cluster_sum.h"
#include "algorithms/cluster/objective.h"
#include "algorithms/cluster/row_move.h"
#include "core/grouped.h"
#include "core/parallel.h"
#include "engines/product_select/column_screen.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class MovingSums {
public:
    MovingSums(const Rows<View>& rows, const double* weights, Metric metric, const BinGrid& grid,
               const BinGrid& weight_grid)
        : rows_(rows), weights_(weights), metric_(metric), grid_(grid), weight_grid_(weight_grid) {}

    /// m clusters from now on, of labels that are not known.
    void reset(int64_t m) {
        m_ = m;
        few_ = rows_.d() <= 64 ? few_numbers(m, rows_.d()) : m <= 64 && m * rows_.d() <= (1 << 16);
        known_ = false;
    }
    /// Whether the sums are those of the labels as of the last call.
    bool known() const { return known_; }
    void forget() { known_ = false; }
    int64_t size(int64_t j) const { return all_.size[j]; }

    /// The sums of these labels.
    void make(const Context& ctx, const std::vector<int32_t>& label) {
        known_ = false;
        all_.begin(m_, grid_, rows_.d());
        std::fill(all_.touched.begin(), all_.touched.end(), 1);
        add(ctx, rows_.n(), 1, [&](int64_t e) { return Entry{e, label[e], 1}; });
        std::vector<Entry>().swap(entry_);
        known_ = true;
    }
    /// The sums after these moves, `count` in all, each row at most once.
    void move(const Context& ctx, const std::vector<const std::vector<RowMove>*>& moves) {
        known_ = false;  // until all of them are in
        for (const std::vector<RowMove>* some : moves)
            add(ctx, static_cast<int64_t>(some->size()), 2, [&](int64_t e) {
                const RowMove& move = (*some)[e / 2];
                return e % 2 ? Entry{move.row, move.from, -1} : Entry{move.row, move.to, 1};
            });
        known_ = true;
    }

    /// changed(j, sum, W_j, worker), in parallel, for clusters whose rows are others than in the call before.
    template <class F>
    void each_changed(const Context& ctx, F changed) {
        parallel_for(ctx, m_, [&](int64_t j, int worker) {
            if (!all_.touched[j] || all_.size[j] == 0) return;
            changed(j, all_.sum[j], weight_grid_.value(all_.weight(j)), worker);
        });
        std::fill(all_.touched.begin(), all_.touched.end(), 0);
    }

    /// The objective with these centers; negative where rows must tell. squares: sum of w |x|^2.
    template <class Atoms>
    double objective(const Context& ctx, const Atoms& atoms, double squares) const {
        SumsObjective sum(metric_, grid_, weight_grid_, squares);
        std::vector<SumsObjective::Term> terms(static_cast<std::size_t>(m_));
        parallel_for(few(ctx, m_), m_, [&](int64_t j, int) {
            terms[j] = sum.term(rows_.kernels(), atoms[j], all_.sum[j].integers(), all_.weight(j));
        });
        for (const auto& term : terms) sum.add(term);
        return sum.value();
    }

private:
    struct Entry {
        int64_t row;
        int32_t cluster;
        int sign;
    };
    /// Sums of all clusters; those of a thread are 0 but for clusters that are `touched`, in the others these have
    /// changed since each_changed().
    struct Sums {
        std::vector<ClusterSum<View>> sum;
        std::vector<std::int64_t> total, size;  // [m, levels], [m]
        std::vector<char> touched;

        void begin(int64_t m, const BinGrid& grid, int64_t d) {
            sum.resize(static_cast<std::size_t>(m));
            for (ClusterSum<View>& s : sum) s.reset(grid, d);
            total.assign(static_cast<std::size_t>(m) * BinGrid::kMostLevels, 0);
            size.assign(static_cast<std::size_t>(m), 0);
            touched.assign(static_cast<std::size_t>(m), 0);
        }
        std::int64_t* weight(int64_t j) { return total.data() + j * BinGrid::kMostLevels; }
        const std::int64_t* weight(int64_t j) const { return total.data() + j * BinGrid::kMostLevels; }
    };
    struct Scratch {
        Sums own;
        std::vector<Entry> entry;
        std::vector<int64_t> start, which;  // [m + 1] of the entries by cluster
        std::vector<double> factor;
    };

    // One thread for few numbers.
    Context few(const Context& ctx, int64_t rows) const {
        constexpr int64_t kFew = 256 * 64;
        Context own = ctx;
        if (rows * rows_.d() < kFew) own.n_threads = 1;
        return own;
    }

    // The entries [0, count * each) one by one; those of one row are together.
    template <class F>
    void add(const Context& all, int64_t count, int64_t each, F entry) {
        if (count == 0) return;
        const Context ctx = few(all, count);
        if (!few_) {
            add_by_cluster(ctx, count, each, entry);
            return;
        }
        constexpr int64_t kRows = 4096, kLeast = 256;
        const int64_t rows = std::clamp(chunk_count(count, 4 * ctx.n_threads), kLeast, kRows);
        const int64_t chunks = chunk_count(count, rows);
        const std::size_t threads = make_room(ctx, chunks);
        for (std::size_t w = 0; w < threads; ++w) scratch_[w].own.begin(m_, grid_, rows_.d());
        parallel_for(ctx, chunks, [&](int64_t c, int worker) {
            const int64_t from = c * rows * each, to = std::min(count, (c + 1) * rows) * each;
            add_some(scratch_[worker], from, to, entry);
        });
        parallel_for(ctx, m_, [&](int64_t j, int) {
            for (std::size_t w = 0; w < threads; ++w) {
                Sums& own = scratch_[w].own;
                if (!own.touched[j]) continue;
                all_.touched[j] = 1;
                all_.sum[j].merge(own.sum[j]);
                for (int l = 0; l < BinGrid::kMostLevels; ++l) all_.weight(j)[l] += own.weight(j)[l];
                all_.size[j] += own.size[j];
            }
        });
    }

    std::size_t make_room(const Context& ctx, int64_t tasks) {
        const auto threads = static_cast<std::size_t>(workers(ctx, tasks));
        if (scratch_.size() < threads) scratch_.resize(threads);
        return threads;
    }

    template <class F>
    void add_by_cluster(const Context& ctx, int64_t count, int64_t each, F entry) {
        make_room(ctx, m_);
        const std::vector<int64_t> start = group_items(ctx, count, m_, entry_, [&](int64_t i, auto put) {
            for (int64_t e = i * each; e < (i + 1) * each; ++e) {
                const Entry one = entry(e);
                put(one.cluster, one);
            }
        });
        parallel_for(ctx, m_, [&](int64_t j, int worker) {
            if (start[j] < start[j + 1])
                add_cluster(all_, scratch_[worker], j, entry_.data() + start[j], entry_.data() + start[j + 1]);
        });
    }

    template <class F>
    void add_some(Scratch& s, int64_t from, int64_t to, F entry) {
        s.start.assign(static_cast<std::size_t>(m_) + 1, 0);
        for (int64_t e = from; e < to; ++e) ++s.start[entry(e).cluster + 1];
        std::partial_sum(s.start.begin(), s.start.end(), s.start.begin());
        s.entry.resize(static_cast<std::size_t>(to - from));
        for (int64_t e = from; e < to; ++e) {
            const Entry one = entry(e);
            s.entry[s.start[one.cluster]++] = one;  // which leaves the end of each cluster in its place
        }
        int64_t at = 0;
        for (int64_t j = 0; j < m_; at = s.start[j++])
            if (s.start[j] > at) add_cluster(s.own, s, j, s.entry.data() + at, s.entry.data() + s.start[j]);
    }

    void add_cluster(Sums& into, Scratch& s, int64_t j, const Entry* from, const Entry* to) {
        s.which.clear();
        s.factor.clear();
        int64_t rows = 0;
        std::int64_t* weight = into.weight(j);
        for (const Entry* e = from; e < to; ++e) {
            const double w = e->sign * (weights_ ? weights_[e->row] : 1.0);
            rows += e->sign;
            if (weights_) weight_grid_.add(w, weight);
            if (w == 0) continue;
            if (metric_ == Metric::kCosine) {
                if (!(rows_.norm2(e->row) > 0)) continue;
                s.factor.push_back(w / std::sqrt(rows_.norm2(e->row)));
            } else {
                s.factor.push_back(w);  // a row of norm 0 adds zeros
            }
            s.which.push_back(e->row);
        }
        if (!weights_) {
            std::int64_t one[BinGrid::kMostLevels] = {};
            weight_grid_.add(1.0, one);
            for (int l = 0; l < BinGrid::kMostLevels; ++l) weight[l] += rows * one[l];
        }
        into.size[j] += rows;
        into.touched[j] = 1;
        into.sum[j].add(rows_, s.which.data(), s.factor.data(), static_cast<int64_t>(s.which.size()));
    }

    const Rows<View>& rows_;
    const double* weights_;
    Metric metric_;
    BinGrid grid_, weight_grid_;
    int64_t m_ = 0;
    bool known_ = false;
    bool few_ = false;  // numbers
    Sums all_;
    std::vector<Entry> entry_;
    std::vector<Scratch> scratch_;
};

}  // namespace latom
