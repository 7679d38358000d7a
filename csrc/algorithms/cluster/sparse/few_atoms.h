// few_atoms.h: the best atom of each sparse row where atoms are few: all scores at once.
//
// The atoms stand column by column, [d, m], so that a term of a row meets all of them in a cache line or two. Nothing
// is kept between passes, and rows are read in their order. Rows of float64 have float64 scores, those of sparse_dot
// bit by bit. Rows of float32 have scores in float32 first (kernels/sparse_two.inl.h): a row of q entries has
//
//   |score_j - S_j| <= e = gamma |x| W + B + L (1 + |x|),      gamma = 1.01 (q + 12) 2^-24,  W = max_j factor_j |w_j|
//
// with two roundings for factor and bias, which gamma and B = 2^-21 max_j |bias_j| cover beside what float64 rounds; L
// is for what is lost below the range of float32. The best is the answer where it leads by more than 2 e, and is scored
// in float64 when somebody asks; other rows have all their scores in float64.
//
// Cost      nnz * m multiply-adds; d * m numbers for the atoms.
#pragma once

#include <limits>
#include <numeric>

#include "algorithms/cluster/drift.h"
#include "core/buffer.h"
#include "engines/product_select/score_rule.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class FewAtoms {
public:
    using T = typename View::value_type;
    static constexpr int64_t kMost = 144;                              // atoms; by measurement
    static constexpr int64_t kMostNear = 512, kNearNumbers = 1 << 18;  // or these, where the second cache has them all

    static bool takes(int64_t m, int64_t d) {
        return m <= kMost || (sizeof(T) == 4 && m <= kMostNear && m * d <= kNearNumbers);
    }

    void prepare(const Context& ctx, const std::vector<Atom<T>>& atoms, int64_t d) {
        m_ = static_cast<int64_t>(atoms.size());
        stride_ = chunk_count(m_, kTogether) * kTogether;
        columns_.resize(static_cast<std::size_t>(d * stride_));
        norm_.clear();
        for (const auto& atom : atoms) norm_.push_back(std::sqrt(atom.norm2));
        const int64_t block = std::max<int64_t>(64, chunk_count(d, 16));
        parallel_for(ctx, chunk_count(d, block), [&](int64_t b, int) {
            const int64_t from = b * block, to = std::min(d, from + block);
            std::fill(columns_.begin() + from * stride_, columns_.begin() + to * stride_, T{0});
            for (int64_t j = 0; j < m_; ++j) {
                const auto& column = atoms[j].column;
                for (auto at = std::lower_bound(column.begin(), column.end(), from); at != column.end() && *at < to;
                     ++at)
                    columns_[*at * stride_ + j] = atoms[j].value[at - column.begin()];
            }
        });
    }

    /// Labels of all rows, and their scores unless leaves_scores() says otherwise. Returns the multiply-adds spent.
    double run(const Context& ctx, const Rows<View>& rows, const ScoreRule& decision, RowState& state) {
        constexpr int64_t kRows = 512;
        const bool screen = screened_ = sizeof(T) == 4 && failed_ < kMostFailed && prepare_screen(decision);
        const int32_t zero_label = decision.zero_label();
        const int64_t chunks = chunk_count(rows.n(), kRows);
        std::vector<int64_t> near(static_cast<std::size_t>(chunks), 0);
        parallel_for(ctx, chunks, [&](int64_t c, int) {
            double out[kMostNear];
            for (int64_t i = c * kRows; i < std::min(rows.n(), (c + 1) * kRows); ++i) {
                if (!(rows.norm2(i) > 0)) {
                    state.label[i] = zero_label;
                    state.own[i] = decision(0.0, zero_label);
                } else if (!screen || !decide_fast(rows, i, state)) {
                    decide(rows, i, decision, state, out);
                    ++near[c];
                }
            }
        });
        const int64_t looked = std::accumulate(near.begin(), near.end(), int64_t{0});
        if (screen) failed_ = 2 * looked > rows.n() ? failed_ + 1 : 0;
        return static_cast<double>(rows.stored()) * static_cast<double>(m_);
    }

    /// Whether the last pass left no scores, and those of all rows with the atoms of their labels in their place.
    bool leaves_scores() const { return screened_; }
    void score_own(const Context& ctx, const Rows<View>& rows, const ScoreRule& decision, RowState& state) const {
        constexpr int64_t kRows = 2048;
        parallel_for(ctx, chunk_count(rows.n(), kRows), [&](int64_t c, int) {
            for (int64_t i = c * kRows; i < std::min(rows.n(), (c + 1) * kRows); ++i) {
                const T *x = rows.values(i), *y = columns_.data() + state.label[i];
                const auto* column = rows.columns(i);
                double sum[8] = {};  // in the order of kernels/dot.inl.h
                for (int64_t p = 0, nnz = rows.size(i); p < nnz; ++p)
                    sum[p % 8] += static_cast<double>(x[p]) * static_cast<double>(y[column[p] * stride_]);
                const double dot = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
                state.own[i] = decision(rows.norm2(i) > 0 ? dot : 0.0, state.label[i]);
            }
        });
    }

private:
    static constexpr double kLargest = 1e18;  // length whose products float32 holds
    // Passes in a row that left more than half to float64, after which it decides all. Where centers are rows of codes,
    // many tie in the first.
    static constexpr int kMostFailed = 2;
    static constexpr int64_t kTogether = sizeof(T) == 4 ? 16 : 8;  // atoms

    // Factors and biases in float32, W, B and L; false where float32 does not hold them.
    bool prepare_screen(const ScoreRule& decision) {
        factor_.assign(static_cast<std::size_t>(stride_), 0.0f);
        bias_.assign(static_cast<std::size_t>(stride_), -std::numeric_limits<float>::infinity());
        steepest_ = biased_ = lost_ = 0;
        for (int64_t j = 0; j < m_; ++j) {
            const double factor = decision.factor.empty() ? 1.0 : decision.factor[j];
            const double bias = decision.bias.empty() ? 0.0 : decision.bias[j];
            if (!(norm_[j] <= kLargest && factor <= kLargest)) return false;
            factor_[j] = static_cast<float>(factor);
            bias_[j] = static_cast<float>(bias);
            steepest_ = std::max(steepest_, factor * norm_[j] * (1 + 1e-6));
            biased_ = std::max(biased_, 0x1p-21 * std::abs(bias));
            lost_ = std::max(lost_, 0x1p-120 * (1 + factor) * (1 + norm_[j]));
        }
        return true;
    }

    // Whether float32 tells the best; then its label is written.
    bool decide_fast(const Rows<View>& rows, int64_t i, RowState& state) const {
        using I = typename View::index_type;
        const double length = std::sqrt(rows.norm2(i));
        if constexpr (sizeof(T) == 8) return false;
        else {
            if (!(length <= kLargest)) return false;
            const int64_t nnz = rows.size(i);
            int32_t label;
            float best, second;
            rows.kernels()->template of<T, I>().sparse_two(rows.values(i), rows.columns(i), nnz, columns_.data(),
                                                           stride_, factor_.data(), bias_.data(), &label, &best,
                                                           &second);
            const double gamma = 1.01 * static_cast<double>(nnz + 12) * 0x1p-24;
            const double error = gamma * length * steepest_ + biased_ + lost_ * (1 + length);
            if (!(static_cast<double>(best) - static_cast<double>(second) > 2 * error)) return false;
            state.label[i] = label;
            return true;
        }
    }

    void decide(const Rows<View>& rows, int64_t i, const ScoreRule& decision, RowState& state, double* out) const {
        using I = typename View::index_type;
        rows.kernels()->template of<T, I>().sparse_scores(rows.values(i), rows.columns(i), rows.size(i),
                                                          columns_.data(), stride_, out);
        decision.score(out, m_);
        const int32_t best = first_highest(out, m_);
        state.label[i] = best;
        state.own[i] = out[best];
    }

    // The lowest of the indices of the highest number.
    static int32_t first_highest(const double* score, int64_t count) {
        double high[4] = {score[0], score[0], score[0], score[0]};  // apart, so that none waits for the one before
        int64_t j = 0;
        for (; j + 4 <= count; j += 4)
            for (int lane = 0; lane < 4; ++lane) high[lane] = std::max(high[lane], score[j + lane]);
        for (; j < count; ++j) high[0] = std::max(high[0], score[j]);
        const double highest = std::max(std::max(high[0], high[1]), std::max(high[2], high[3]));
        if (count > 32) return static_cast<int32_t>(std::find(score, score + count, highest) - score);
        auto lowest = static_cast<int32_t>(count - 1);  // with no branch, whose end could not be foretold
        for (j = count - 2; j >= 0; --j) lowest = score[j] == highest ? static_cast<int32_t>(j) : lowest;
        return lowest;
    }

    int64_t m_ = 0, stride_ = 0;
    AlignedVector<T> columns_;  // [d, stride]
    std::vector<double> norm_;  // [m]
    AlignedVector<float> factor_, bias_;
    double steepest_ = 0, biased_ = 0, lost_ = 0;  // W, B, L
    bool screened_ = false;
    int failed_ = 0;
};

}  // namespace latom
