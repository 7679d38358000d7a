// center_sums.h: the sums of all clusters of one X, by the labels of its rows.
//
//   s_j = sum of factor_i x_i,   W_j = sum of w_i       over the rows i of cluster j,
//   factor_i = w_i / ||x_i|| under cosine, w_i otherwise; a row of norm 0 adds to W_j alone
//
// Sums are integers on a grid that follows from X and its weights (cluster_sum.h), so rows that change their label are
// taken from one cluster and added to another: the bits are those of a sum made anew. Sums are kept for that from one
// update to the next where they are small; else they are made anew for clusters that have changed.
//
// Memory    16 or 24 bytes per cluster and column, where that is at most kKeptBytes or the size of X.
// Cost      the rows that changed their label, twice each; without kept sums, the rows of clusters that changed.
#pragma once

#include <vector>

#include "algorithms/cluster/cluster_sum.h"
#include "core/grouped.h"
#include "latom/cluster.h"

namespace latom {

template <class View>
class CenterSums {
public:
    /// weights [n] may be null (all 1).
    CenterSums(const Context& ctx, const Rows<View>& rows, const double* weights, Metric metric)
        : rows_(rows), weights_(weights), metric_(metric) {
        constexpr int64_t kRows = 16384;
        const int64_t chunks = chunk_count(rows.n(), kRows);
        std::vector<double> most(static_cast<std::size_t>(chunks), 0.0), most_weight(most);
        parallel_for(ctx, chunks, [&](int64_t c, int) {
            double heavy = 0, long2 = 0, large = 0;
            for (int64_t i = c * kRows; i < std::min(rows.n(), (c + 1) * kRows); ++i) {
                const double w = weight(i);
                heavy = std::max(heavy, w);
                if (metric == Metric::kCosine) continue;
                if (weights_) large = std::max(large, w * std::sqrt(rows.norm2(i)));
                else long2 = std::max(long2, rows.norm2(i));
            }
            most_weight[c] = heavy;
            most[c] = metric == Metric::kCosine ? heavy : std::max(large, std::sqrt(long2));
        });
        double largest = 0, heaviest = 0;
        for (int64_t c = 0; c < chunks; ++c) {
            largest = std::max(largest, most[c]);
            heaviest = std::max(heaviest, most_weight[c]);
        }
        grid_ = BinGrid(largest > 0 ? largest : 1.0);
        weight_grid_ = BinGrid(heaviest > 0 ? heaviest : 1.0);
    }

    double weight(int64_t i) const { return weights_ ? weights_[i] : 1.0; }
    const BinGrid& grid() const { return grid_; }
    const BinGrid& weight_grid() const { return weight_grid_; }

    /// Forgets all sums: m clusters from now on.
    void reset(int64_t m) {
        summed_.assign(static_cast<std::size_t>(rows_.n()), -1);
        kept_.clear();
        total_.assign(static_cast<std::size_t>(m) * BinGrid::kMostLevels, 0);
        const double bytes = 8.0 * grid_.levels() * static_cast<double>(m) * static_cast<double>(rows_.d());
        const double of_X =
            static_cast<double>(sizeof(typename View::value_type)) * static_cast<double>(rows_.stored());
        if (bytes <= std::max(kKeptBytes, of_X)) kept_.resize(static_cast<std::size_t>(m));
        for (ClusterSum<View>& sum : kept_) sum.reset(grid_, rows_.d());
    }

    struct Scratch {
        ClusterSum<View> sum;
        std::vector<int64_t> which;
        std::vector<double> factor;
    };
    /// changed(j, sum, W_j, scratch) for each cluster whose rows are others than in the call before, in parallel.
    /// by_label [n] are the rows by label, begin [m + 1] where each label begins in it.
    template <class F>
    void update(const Context& ctx, const std::vector<int32_t>& label, const std::vector<int64_t>& by_label,
                const std::vector<int64_t>& begin, F changed) {
        const auto m = static_cast<int64_t>(begin.size()) - 1;
        find_changes(ctx, label, m);
        std::vector<Scratch> scratch(static_cast<std::size_t>(workers(ctx, m)));
        parallel_for(ctx, m, [&](int64_t j, int worker) {
            const int64_t from = start_[j], to = start_[j + 1], size = begin[j + 1] - begin[j];
            if (from == to) return;
            Scratch& s = scratch[worker];
            const bool anew = kept_.empty() || to - from >= size;
            ClusterSum<View>& sum = kept_.empty() ? s.sum : kept_[j];
            s.which.clear();
            s.factor.clear();
            std::int64_t* total = total_.data() + j * BinGrid::kMostLevels;
            if (anew) {
                sum.reset(grid_, rows_.d());
                std::fill_n(total, BinGrid::kMostLevels, 0);
                for (int64_t r = begin[j]; r < begin[j + 1]; ++r) take(by_label[r], 1, total, s);
            } else {
                for (int64_t c = from; c < to; ++c) take(change_[c].row, change_[c].sign, total, s);
            }
            sum.add(rows_, s.which.data(), s.factor.data(), static_cast<int64_t>(s.which.size()));
            changed(j, sum, weight_grid_.value(total), worker);
        });
        summed_ = label;
    }

private:
    static constexpr double kKeptBytes = 64 << 20;

    struct Change {
        int64_t row;
        double sign;  // 1: the row has come; -1: it has gone
    };

    // The rows that came to and went from each cluster: change_ [start_[j], start_[j + 1]).
    void find_changes(const Context& ctx, const std::vector<int32_t>& label, int64_t m) {
        start_ = group_items(ctx, rows_.n(), m, change_, [&](int64_t i, auto put) {
            if (label[i] == summed_[i]) return;
            put(label[i], Change{i, 1.0});
            if (summed_[i] >= 0) put(summed_[i], Change{i, -1.0});
        });
    }

    void take(int64_t i, double sign, std::int64_t* total, Scratch& s) const {
        const double w = sign * weight(i);
        weight_grid_.add(w, total);
        if (w == 0 || !(rows_.norm2(i) > 0)) return;
        s.which.push_back(i);
        s.factor.push_back(metric_ == Metric::kCosine ? w / std::sqrt(rows_.norm2(i)) : w);
    }

    const Rows<View>& rows_;
    const double* weights_;
    Metric metric_;
    BinGrid grid_, weight_grid_;
    std::vector<int32_t> summed_;         // [n]: the labels that the sums are of; -1: none
    std::vector<ClusterSum<View>> kept_;  // [m], or empty: sums are made anew
    std::vector<std::int64_t> total_;     // [m, levels]: W
    std::vector<int64_t> start_;          // [m + 1]
    std::vector<Change> change_;
};

}  // namespace latom
