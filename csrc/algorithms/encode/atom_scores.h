// atom_scores.h: float64 scores of rows with atoms, and a row's k best of them.
//
// engines/product_select/score_rule.h has what atoms are ranked by, include/latom/encode.h what a user gets.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/encode/ranking.h"
#include "engines/product_select/decide.h"
#include "latom/encode.h"
#include "rows/row_reader.h"

namespace latom {

/// One call of AtomIndex::topk.
template <class T>
struct TopKJob {
    const Context& ctx;
    const StoredRows& X;
    const RowReader<T>& reader;
    int64_t k;
    Rank rank;
    const Thresholds& thresholds;
    T* score;  // null, as `exact` then is: indices alone
    int32_t* index;
    int64_t* found;
    double* exact = nullptr;                    // in place of `score`: scores as float64, as k-means has them
    const Pattern<int32_t>* without = nullptr;  // atoms that rows leave out
};

template <class T>
class AtomScores {
public:
    AtomScores(const DenseView<T>& atoms, const double* bias, Similarity similarity)
        : atoms_(atoms), similarity_(similarity) {
        if (bias) rule_.bias.assign(bias, bias + atoms.n);
    }
    /// Squared lengths [m] of the atoms: needed unless the similarity is kDot.
    void set_lengths(const std::vector<double>& norm2) {
        for (const double v : norm2) {
            if (similarity_ == Similarity::kCosine) rule_.add(Metric::kCosine, v);
            if (similarity_ == Similarity::kEuclidean) rule_.add(Metric::kEuclidean, v);
        }
    }

    int64_t m() const { return atoms_.n; }
    int64_t d() const { return atoms_.d; }
    const DenseView<T>& atoms() const { return atoms_; }
    Similarity similarity() const { return similarity_; }
    const ScoreRule& rule() const { return rule_; }
    const std::vector<double>& factor() const { return rule_.factor; }  // [m], or empty: 1
    const std::vector<double>& bias() const { return rule_.bias; }      // [m], or empty: 0

    /// A number that S exceeds for an atom above the threshold, whatever the rounding.
    double least(double norm2, double threshold) const {
        if (similarity_ == Similarity::kDot) return threshold;
        if (similarity_ == Similarity::kCosine) return threshold * std::sqrt(norm2) - 1e-12 * std::sqrt(norm2);
        return 0.5 * (threshold + norm2) - 1e-12 * (std::abs(threshold) + norm2);
    }

    struct Scratch {
        std::vector<Fetch> order;
        std::vector<std::uint32_t> at;
    };
    /// Scores of the entries, whose rows are counted in `rows`.
    void score(const KernelTable* kernels, const std::vector<const T*>& rows, std::vector<Entry>& entries,
               Scratch& scratch) const {
        order_by_atom(entries, m(), scratch.order, scratch.at);
        const std::vector<Fetch>& order = scratch.order;
        table(kernels).pairs(
            order.size(), [&](std::size_t p) { return std::pair(rows[order[p].row], order[p].atom); },
            [&](std::size_t p, double score, double) { entries[order[p].entry].score = score; });
    }

    /// Scores of x with atoms [from, to) into out [m].
    void score_all(const KernelTable* kernels, const T* x, int64_t from, int64_t to, double* out) const {
        table(kernels).run(x, from, to, out);
    }

    /// Ranks the entries of row i and writes the k best. Returns the key of the last, or minus infinity if there are
    /// fewer.
    double write(const TopKJob<T>& job, int64_t i, double norm2, std::vector<Entry>& entries) const {
        const auto count = static_cast<int64_t>(entries.size());
        const int64_t k = job.k, kept = std::min(k, count);
        if (kept < count) std::nth_element(entries.begin(), entries.begin() + kept, entries.end(), before(job.rank));
        std::sort(entries.begin(), entries.begin() + kept, before(job.rank));
        const double inverse = norm2 > 0 ? 1 / std::sqrt(norm2) : 0.0;
        const T filling = job.without ? -std::numeric_limits<T>::infinity() : T{0};
        int64_t found = 0;
        for (int64_t r = 0; r < k; ++r) {
            double score = r < kept ? entries[r].score : 0;
            if (similarity_ == Similarity::kCosine) {
                // Divided, a score is that of Lloyd's steps (algorithms/cluster/lloyd.cpp) to the last bit.
                score = job.exact && norm2 > 0 ? score / std::sqrt(norm2) : score * inverse;
                score = std::clamp(score, -1.0, 1.0);
            }
            if (similarity_ == Similarity::kEuclidean) score = std::min(0.0, 2 * score - norm2);
            const bool none = r >= kept || (job.rank == Rank::kAbove && !(score > job.thresholds[i]));
            found += !none;
            if (job.exact) job.exact[i * k + r] = none ? 0 : score;
            else if (job.score) job.score[i * k + r] = none ? filling : static_cast<T>(score);
            job.index[i * k + r] = none ? -(job.without != nullptr) : entries[r].atom;
        }
        if (job.found) job.found[i] = found;
        return kept == k ? key(job.rank, entries[k - 1].score) : -HUGE_VAL;
    }

    /// The same from the scores [m] of all atoms. entries is scratch.
    double write_all(const TopKJob<T>& job, int64_t i, double norm2, const double* scores,
                     std::vector<Entry>& entries) const {
        entries.clear();
        double bar = -HUGE_VAL;  // k earlier atoms reach it
        const int32_t *left_out = nullptr, *end = nullptr;
        if (job.without) {
            left_out = job.without->indices + job.without->indptr[i];
            end = job.without->indices + job.without->indptr[i + 1];
        }
        for (int64_t j = 0; j < m(); ++j) {
            if (left_out < end && *left_out == j) {
                ++left_out;
                continue;
            }
            if (!(key(job.rank, scores[j]) > bar)) continue;
            entries.push_back({scores[j], 0, static_cast<int32_t>(j)});
            if (static_cast<int64_t>(entries.size()) < 4 * job.k + 64) continue;
            std::nth_element(entries.begin(), entries.begin() + (job.k - 1), entries.end(), before(job.rank));
            entries.resize(static_cast<std::size_t>(job.k));
            bar = key(job.rank, entries.back().score);
        }
        return write(job, i, norm2, entries);
    }

private:
    auto table(const KernelTable* kernels) const { return AtomTable<T, RowOf>(kernels, d(), rule_, RowOf{atoms_}); }
    struct RowOf {
        const DenseView<T>& atoms;
        const T* operator()(int64_t j) const { return atoms.row(j); }
    };

    DenseView<T> atoms_;
    Similarity similarity_;
    ScoreRule rule_;
};

}  // namespace latom
