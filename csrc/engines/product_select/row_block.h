// row_block.h: the atoms that may be among the k best of dense rows, found in low precision by a proven bound.
//
//   S(x, j) = factor_j <x, w_j> + bias_j                     as float64 decides it (kernels/dot.inl.h)
//
// Rows and atoms are scaled by powers of two, x^ = 2^p x and w^ = 2^q w, so that their length lies in [1/2, 1), or in
// [1/4, 1) where it is found on the way, and rounded to x~ and w~ (int16 in units of 2^-15, bfloat16, or float32). int8
// is of another kind: scaled so that the largest number is 127, by factors that stand for 2^p and 2^q below, and
// rounded to integers. One power of two g brings all factors and biases to at most 1 (to about 1, where lengths are
// found on the way):
//
//   screen units   2^p g S = phi <x^, w^> + rho beta,        phi = factor 2^-q g,   beta = bias g,   rho = 2^p
//
// Error of the screened score s = phi <x~, w~> + rho beta as the kernel computes it:
//   rounding of the data    |<x^, w^> - <x~, w~>| = |<x^ - x~, w^> + <x~, w^ - w~>|
//                                                <= |x^ - x~| |w^| + |x~| |w^ - w~|           (Cauchy-Schwarz)
//   float32 sums            d + 1 roundings of sums of products: <= gamma |x~| |w~|, gamma = (d + 8) 2^-24 (1 + 1%)
//   int16, int8             exact sums (kernels/product_screen.inl.h), rounded to float32: gamma = 8 2^-24 (1 + 1%)
//   int8                    x^ itself is rounded to float32 before: 2^-23 |x^| counts as residual
//   phi, beta, last steps   three roundings each: <= 2^-22 (phi |x~| |w~| + rho |beta|)
//
// so with D = |w^ - w~|, W = |w~| + D >= |w^|, likewise |x~| + |x^ - x~| for |x~|, and the lengths of the actual
// residuals
//
//   |2^p g S - s| <= eps(x, j) = (|x^ - x~| + (gamma + 2^-22) |x~|) phi W + |x~| phi D + 2^-22 rho |beta| + 1e-30
//
// d roundings to nearest cost at most d 2^-24 of the sum of absolute products (Jeannerod & Rump 2013). The last term
// covers underflow (subnormal numbers must not be flushed by the process); |beta| counts as at least 2^-126. Rounding
// of the float64 decision itself is below gamma's margin.
//
// A row's threshold tau is reached by the lower bounds s - eps of at least k atoms, so one with s + eps < tau is not
// among the k best, whatever its rank in ties; or the caller has raised it, and looks whether k atoms reached it.
// Panels are compared with tau less their largest eps; what passes is compared with its own and waits as a candidate.
// Each time that some k more have come, bisection over their lower bounds raises tau and those below it go. A row that
// cannot get rid of its candidates (ties within the bound) is `overflowed`: the caller asks a finer screen, or scores
// all atoms in float64.
//
// Rows that are atoms themselves (scan_pairs) take both scores of a pair from one product. Row i and atom i are rounded
// alike, x~_i = w~_i, where both are scaled alike, which the caller sees to. Then the product of row i with atom j is
// that of row j with atom i, float32 sums included, as they add the same products:
//
//   s(i, j) = phi_j <x~_i, w~_j> + rho_i beta_j        s(j, i) = phi_i <x~_i, w~_j> + rho_j beta_i
//
// and |2^p_j g S(j, i) - s(j, i)| <= eps(j, i): the bound above with the sides exchanged, in units of row j. What is
// compared with a panel on one side is compared with a tile on the other: tau_j less the largest eps(j, i) of the
// tile's rows i.
//
// A row that has seen a share f of the atoms in an order that is as good as random has met some f k of its k best, by
// the tail of that distribution hardly more than r = f k + 3 sqrt(f (1 - f) k) + 3. Where a query hopes so, the r-th
// lower bound is its threshold meanwhile; hope may fail, and then fewer than k atoms reach the ceiling, which the caller
// looks at.
//
// Residuals are some 2^-12 of the length with int16 (up to 2^-9 where d is large: bfloat16 then), 2^-9 with bfloat16,
// 2^-7 with int8, which takes half the time and leaves some times the candidates.
//
// Cost      2 d flops per score. Memory: atoms once more, in 1, 2 or 4 bytes per number; `capacity` candidates per row
// of a block.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "engines/product_select/atom_panels.h"

namespace latom {

/// Rows that are screened together: rounded, with their thresholds and candidates. Reused from block to block.
template <class T>
class RowBlock {
public:
    /// What is asked: the k best by score, or by |score|.
    struct Query {
        int64_t k = 1;
        bool magnitude = false;
        bool from_above = false;  // lower bounds do not hold: only raise() raises thresholds, and none are dropped
        int64_t room = 0;         // for candidates beyond what a fine screen leaves
        bool hope = false;        // thresholds may be such as fewer than k atoms reach, if luck fails
        // Atoms that row r of the block leaves out: row which[r] of `without`, whose indices rise. Both outlive scan()
        // and finish(). They go before a threshold is raised, so that k others reach it.
        const Pattern<int32_t>* without = nullptr;
        const int64_t* which = nullptr;
    };
    /// Places of a row: whole vectors, and a panel beyond what makes it overflowed.
    static constexpr int64_t capacity(int64_t k, int64_t room = 0) {
        return (2 * k + 143 + room) / 16 * 16 + kMostPanel;
    }

    /// rows [count] with their squared norms.
    void load(const AtomPanels<T>& atoms, const T* const* rows, const double* norm2, int64_t count, const Query& query);
    /// round(r, cells) gives row r of `count`, rounded for the screen of these atoms.
    void load(const AtomPanels<T>& atoms, int64_t count, const Query& query,
              const std::function<RoundedRow(int64_t, std::uint32_t*)>& round);
    /// Raises row r's threshold to a score that k atoms are known to reach, or that the caller will not do without.
    void raise(int64_t r, double score);
    /// Looks at panels [first, last), or for the rows of a tile at those before `end[tile]`.
    void scan(const AtomPanels<T>& atoms, int64_t first, int64_t last, const int64_t* end = nullptr);
    /// The same for rows that are atoms, those at positions own, own + 1, ..., and the rows of another block, or of this
    /// one, which are atoms from `at` on: each product is a score for both. The panels are kept, and own and `at` begin
    /// panels.
    void scan_pairs(const AtomPanels<T>& atoms, int64_t own, RowBlock& other, int64_t at);
    /// From now on thresholds are such as rows may hope for that have seen this share of the atoms. scan() does it by
    /// itself.
    void see(double share);
    /// Raises the thresholds of all rows to what their candidates tell.
    void tighten();
    /// Drops the candidates that the final threshold rules out.
    void finish();

    int64_t count() const { return count_; }
    int64_t tiles() const { return chunk_count(count_, tile_rows_); }
    bool overflowed(int64_t r) const { return overflowed_[r] != 0; }
    int64_t lost() const { return lost_; }  // rows that are overflowed
    /// Candidates of row r: bounds on their scores in screen units, and their positions.
    int64_t candidates(int64_t r) const { return filled_[r]; }
    const float* lower(int64_t r) const { return lower_.data() + r * capacity_; }
    const float* upper(int64_t r) const { return upper_.data() + r * capacity_; }
    const int32_t* position(int64_t r) const { return position_.data() + r * capacity_; }
    int32_t atom(int64_t r, int64_t c) const { return atoms_->atom(position(r)[c]); }
    /// No atom that is not among the candidates scores more than this, in units of S.
    double ceiling(int64_t r) const { return score_of(r, tau_[r]); }
    /// A bound in units of S, and the factor between them and screen units: one after the other, as their product may
    /// underflow.
    double score_of(int64_t r, float v) const { return static_cast<double>(v) / scale_[r] / unit_; }
    double to_screen(int64_t r) const { return scale_[r] * unit_; }
    /// The threshold, in screen units: k candidates' lower bounds reach it, or raise() set it.
    float threshold(int64_t r) const { return tau_[r]; }
    /// After finish(): what the lower bounds of k candidates reach, and hardly more do; minus infinity where there are
    /// fewer.
    float lead(int64_t r) const { return lead_[r]; }
    /// In screen units and rounded down: a threshold.
    float threshold_of(int64_t r, double score) const {
        const double v = score * unit_ * scale_[r];
        return static_cast<float>(v - 1e-6 * std::abs(v) - 1e-30);
    }

private:
    static constexpr int kMostTile = 16;       // rows
    static constexpr int64_t kMostPanel = 32;  // atoms: what one panel may add
    static constexpr int64_t kHopeful = 32;    // candidates between two looks at a threshold that has much to gain

    /// Candidates that come between two looks at the threshold.
    int32_t batch() const {
        const int64_t some = hope_ ? kHopeful : std::max<int64_t>(8, room_ / 8);
        return static_cast<int32_t>(std::max(k_, some));
    }

    void set_tau(int64_t r, float tau) {
        tau_[r] = tau;
        bar_[r] = tau - 1e-6f * std::abs(tau);
    }
    // What rows of a tile are compared with, at a panel of these largest errors. All lanes alike, so that they are
    // vectors.
    void limits(int64_t row, float length, float residual, float magnitude, float* __restrict limit) const {
        const float *bar = bar_.data() + row, *rounding = rounding_.data() + row, *lengths = length_.data() + row,
                    *bias = bias_error_.data() + row;
        for (int t = 0; t < kMostTile; ++t)
            limit[t] =
                bar[t] - detail::kWiden * (rounding[t] * length + lengths[t] * residual + bias[t] * magnitude + 1e-30f);
    }
    RowCandidates candidates_from(int64_t row);
    std::uint32_t open_rows(int64_t row) const;
    std::uint32_t tighten_rows(int64_t row, std::uint32_t full);
    float kth_lower(int64_t r, int64_t k, float low, int halvings) const;
    bool tighten(int64_t r);
    void leave_out(int64_t r);
    void drop(int64_t r);

    const KernelTable* kernels_ = nullptr;
    const AtomPanels<T>* atoms_ = nullptr;
    int64_t count_ = 0, k_ = 1, rank_ = 1, room_ = 0, capacity_ = 0, tile_rows_ = 1, lost_ = 0;
    bool magnitude_ = false, from_above_ = false, hope_ = false;
    AlignedVector<std::uint32_t> cells_;  // [tiles, cells, tile rows]
    // by row, padded to whole tiles, kMostTile and kMostPanel: |x^-x~| + gamma |x~|, |x~|, rho, 2^-22 rho, threshold and what a
    // panel is compared with
    AlignedVector<float> rounding_, length_, row_bias_, bias_error_, tau_, bar_, lead_;
    std::vector<double> scale_;
    double unit_ = 1;
    std::vector<int32_t> filled_, full_;  // candidates of a row, and how many make it tighten its threshold
    const Pattern<int32_t>* without_ = nullptr;
    const int64_t* which_ = nullptr;
    std::vector<int32_t> allowed_;  // candidates of a row, the first ones, that it does not leave out
    std::vector<char> overflowed_;
    AlignedVector<float> lower_, upper_;  // [count, capacity]
    AlignedVector<int32_t> position_;
    std::vector<std::uint32_t> rounded_;
    typename AtomPanels<T>::Store scratch_;
};

}  // namespace latom
