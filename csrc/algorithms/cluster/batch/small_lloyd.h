// small_lloyd.h: Lloyd's steps on the few rows of one problem, with the bits of Lloyd (cluster.h) on them.
//
// Scores of all rows with all centers are kept, so that a step works for the centers that moved. What is kept of a pair
// is <x_i, c_j> in float64 (kernels/dot.inl.h); or, where the products of all pairs of rows are known, an estimate
//
//   <x_i, c_j> ~ p_ij / L_j,       p_ij = sum over the rows l of cluster j of f_l <x_i, x_l>,    L_j its divisor
//
// which costs an addition per row instead of d. c_j is s_j / L_j rounded to T, s_j = sum f_l x_l, so
//
//   |<x_i, c_j> - |x_i| p_ij / L_j| <= |x_i| (r u |c_j| (1 + 1%) + (e W_j + sqrt(d) n 2^-56 M) / L_j),
//   W_j = sum f_l |x_l|,      M the largest f_l |x_l| of all rows,      e = that of the cosines + (d + n) 2^-52
//
// with u the half unit of T and r the roundings of the center, one or two; then of sums in float64 (each at most
// (d + n) 2^-53 of the sum of absolute values, twice) and of the exact sum's last unit. A row whose best estimate
// leads by more than the bounds has its label; else the centers within reach are scored in float64, which decides.
//
// Cost      see kmeans_batch (latom/batch.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "algorithms/cluster/batch/pair_products.h"
#include "core/bin_grid.h"
#include "engines/product_select/score_rule.h"
#include "rows/rows.h"

namespace latom {

template <class T>
class SmallLloyd {
public:
    /// Takes the rows [n, d] of a problem, their squared norms and weights (null: 1); fixed [n] as in BatchInputs.
    void take(const KernelTable* kernels, const T* rows, const double* norm2, const double* weights,
              const int32_t* fixed, int64_t n, int64_t d, int64_t m, Metric metric, bool use_pairs);
    /// Centers [m, d]; each is scaled to length 1 under cosine.
    void set_centers(const T* centers);
    /// The means of the clusters of these labels [n], each in [0, m), or -1 for rows that belong to none yet.
    void set_means(const int32_t* labels);
    /// One center, scaled likewise.
    void set_center(int64_t j, const T* center);
    /// Means are scaled to length 1 once more (cosine), as centers are that a run is given.
    void scale_means();
    /// A run that knows nothing of the one before it.
    void forget();

    /// New labels; returns how many changed (all, the first time).
    int64_t assign();
    /// New centers; returns sum_j |c_j new - c_j old|^2 where `measure`, else 0.
    double update(bool measure);
    /// Scores of rows with the centers of their labels, as they stand.
    void score_own();
    double objective() const;

    /// The products of all pairs of rows, where take() was told to use them.
    const PairCosines<T>& pairs() const { return pairs_; }
    const std::vector<int32_t>& labels() const { return label_; }
    const std::vector<T>& centers() const { return centers_; }
    bool has_rows(int64_t j) const { return size_[j] > 0; }

private:
    const T* row(int64_t i) const { return rows_ + i * d_; }
    T* center(int64_t j) { return centers_.data() + j * d_; }
    const T* center(int64_t j) const { return centers_.data() + j * d_; }
    double weight(int64_t i) const { return weights_ ? weights_[i] : 1.0; }
    bool is_fixed(int64_t i) const { return fixed_ && fixed_[i] >= 0; }
    double cosine(int64_t i) const {
        return norm2_[i] > 0 ? std::clamp(own_[i] / std::sqrt(norm2_[i]), -1.0, 1.0) : 0.0;
    }
    double cost(int64_t i) const {
        if (metric_ == Metric::kCosine) return 1.0 - cosine(i);
        return std::max(0.0, norm2_[i] - 2 * own_[i]);
    }
    bool misfits(int64_t i) const {
        if (is_fixed(i) || !(weight(i) > 0)) return false;
        if (metric_ == Metric::kCosine) return norm2_[i] > 0 && cost(i) > 1e-12;
        return cost(i) > 1e-12 * norm2_[i];
    }

    double self_dot(int64_t j) const { return kernels_->of<T>().dense_dot(center(j), center(j), d_); }
    void sort_by_label();
    void relocate();
    double sum_cluster(int64_t j);
    double replace(int64_t j, double total, bool measure);
    double shift_of(int64_t j) const;
    void score_moved();
    void estimate(int64_t j);
    void score_exactly(int64_t j);
    void measure_reach();
    int32_t decide(int64_t i) const;
    bool scale(int64_t j);

    const KernelTable* kernels_ = nullptr;
    const T* rows_ = nullptr;
    const double *norm2_ = nullptr, *weights_ = nullptr;
    const int32_t* fixed_ = nullptr;
    int64_t n_ = 0, d_ = 0, m_ = 0;
    Metric metric_ = Metric::kCosine;
    bool use_pairs_ = false, assigned_ = false;

    PairCosines<T> pairs_;
    BinGrid grid_, weight_grid_;
    double largest_ = 1;  // |f x|
    ScoreRule rule_;
    std::vector<T> centers_, next_;         // [m, d], [d]
    std::vector<double> center2_, length_;  // [m]: squared norm; what the sum was divided by, 0 where there is none
    std::vector<double> mass_;              // [m]: W_j
    std::vector<char> moved_;               // [m]: its scores are those of another center
    std::vector<int32_t> label_, before_, summed_;
    std::vector<int64_t> by_label_, begin_, size_;
    std::vector<double> own_, factor_;  // [n]
    AlignedVector<double> dot_;         // [m, width]: products, or estimates of them
    std::vector<double> error_;         // [m]: bound on those of a row of length 1; 0 where dot_ is exact
    std::vector<int> roundings_;        // [m]: of a center that was a sum
    // Scores as the bounds take them, factor dot + bias, and what they may be off: slope |x| + base  [m]
    std::vector<double> scale_, bias_, slope_, base_;
    std::vector<double> length_of_, bar_;  // [n]: |x|, and what the best score is sure to reach
    std::vector<int32_t> hopeful_, last_;  // [n]: centers that may be best, and the last of them
    std::vector<std::int64_t> sum_;        // [levels, d]
    std::vector<double> value_;            // [d]
    std::vector<const T*> x_, y_;
    std::vector<double> out_;
};

extern template class SmallLloyd<float>;
extern template class SmallLloyd<double>;

}  // namespace latom
