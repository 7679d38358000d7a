// atom_scores.h: float64 scores of rows with atoms, and a row's k best of them.
//
//   S(x, j) = factor_j <x, w_j> + bias_j        what atoms are ranked by: include/latom/topk.h has the similarities
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/encode/entries.h"
#include "algorithms/pair_dots.h"
#include "algorithms/stored_rows.h"
#include "latom/topk.h"

namespace latom {

/// One call of AtomIndex::topk.
template <class T>
struct TopKJob {
    const Context& ctx;
    const StoredRows& X;
    const RowReader<T>& reader;
    int64_t k;
    Rank rank;
    double threshold;
    T* score;
    int32_t* index;
    int64_t* found;
    const std::string& function;
};

template <class T>
class AtomScores {
public:
    AtomScores(const DenseView<T>& atoms, const double* bias, Similarity similarity)
        : atoms_(atoms), similarity_(similarity) {
        if (bias) bias_.assign(bias, bias + atoms.n);
    }
    /// Squared lengths [m] of the atoms: needed unless the similarity is kDot.
    void set_lengths(const std::vector<double>& norm2) {
        for (const double v : norm2) {
            if (similarity_ == Similarity::kCosine) factor_.push_back(v > 0 ? 1 / std::sqrt(v) : 0.0);
            if (similarity_ == Similarity::kEuclidean) bias_.push_back(-0.5 * v);
        }
    }

    int64_t m() const { return atoms_.n; }
    int64_t d() const { return atoms_.d; }
    const DenseView<T>& atoms() const { return atoms_; }
    Similarity similarity() const { return similarity_; }
    const std::vector<double>& factor() const { return factor_; }  // [m], or empty: 1
    const std::vector<double>& bias() const { return bias_; }      // [m], or empty: 0

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
        detail::pair_dots<T>(
            kernels, order.size(), d(),
            [&](std::size_t p) { return std::pair(rows[order[p].row], atoms_.row(order[p].atom)); },
            [&](std::size_t p, double dot) { entries[order[p].entry].score = score_of(dot, order[p].atom); });
    }

    /// Scores of x with atoms [from, to) into out [m].
    void score_all(const KernelTable* kernels, const T* x, int64_t from, int64_t to, double* out) const {
        const auto dots = detail::dense_dots(kernels, T{});
        const T *atoms[4], *rows[4] = {x, x, x, x};
        // Four runs of neighbours at once: long streams, which the processor loads ahead.
        const int64_t run = chunk_count(to - from, 4);
        double dot[4];
        for (int64_t j = from; j < from + run; ++j) {
            int64_t count = 0;
            for (; count < 4 && j + count * run < to; ++count) atoms[count] = atoms_.row(j + count * run);
            dots(atoms, rows, count, d(), dot);
            for (int64_t i = 0; i < count; ++i) out[j + i * run] = score_of(dot[i], j + i * run);
        }
    }

    /// Ranks the entries of row i and writes the k best. Returns the key of the last, or minus infinity if there are
    /// fewer.
    double write(const TopKJob<T>& job, int64_t i, double norm2, std::vector<Entry>& entries) const {
        const auto count = static_cast<int64_t>(entries.size());
        const int64_t k = job.k, kept = std::min(k, count);
        if (kept < count) std::nth_element(entries.begin(), entries.begin() + kept, entries.end(), before(job.rank));
        std::sort(entries.begin(), entries.begin() + kept, before(job.rank));
        const double inverse = norm2 > 0 ? 1 / std::sqrt(norm2) : 0.0;
        int64_t found = 0;
        for (int64_t r = 0; r < k; ++r) {
            double score = r < kept ? entries[r].score : 0;
            if (similarity_ == Similarity::kCosine) score = std::clamp(score * inverse, -1.0, 1.0);
            if (similarity_ == Similarity::kEuclidean) score = std::min(0.0, 2 * score - norm2);
            const bool none = r >= kept || (job.rank == Rank::kAbove && !(score > job.threshold));
            found += !none;
            job.score[i * k + r] = none ? T{0} : static_cast<T>(score);
            job.index[i * k + r] = none ? 0 : entries[r].atom;
        }
        if (job.found) job.found[i] = found;
        return kept == k ? key(job.rank, entries[k - 1].score) : -HUGE_VAL;
    }

    /// The same from the scores [m] of all atoms. entries is scratch.
    double write_all(const TopKJob<T>& job, int64_t i, double norm2, const double* scores,
                     std::vector<Entry>& entries) const {
        entries.clear();
        double bar = -HUGE_VAL;  // k earlier atoms reach it
        for (int64_t j = 0; j < m(); ++j) {
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
    double score_of(double dot, int64_t j) const {
        if (!factor_.empty()) dot *= factor_[j];
        return bias_.empty() ? dot : dot + bias_[j];
    }

    DenseView<T> atoms_;
    Similarity similarity_;
    std::vector<double> factor_, bias_;
};

}  // namespace latom
