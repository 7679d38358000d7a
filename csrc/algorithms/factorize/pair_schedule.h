// pair_schedule.h: which pairs an epoch visits, by which task, and in which round.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/buffer.h"
#include "core/parallel.h"
#include "core/philox.h"
#include "latom/pointwise.h"

namespace latom {

struct Pair {
    int32_t row, column;
    float weight;
};

/// A range of integers [first, last).
struct Span {
    int64_t first, last;
    int64_t size() const { return last - first; }
};

/// A number in [0, count) from a uniform word.
inline int64_t scaled(std::uint32_t word, int64_t count) {
    return static_cast<int64_t>((std::uint64_t{word} * static_cast<std::uint64_t>(count)) >> 32);
}

/// The seed of an epoch's draws.
inline std::uint64_t epoch_seed(std::uint64_t seed, int64_t epoch) {
    const auto w = Philox(seed, Purpose::kEpoch).words(static_cast<std::uint64_t>(epoch));
    return (std::uint64_t{w[1]} << 32) | w[0];
}

class PairSchedule {
public:
    /// So many that the factors of a task stay in the cache, with columns enough in a set to draw negatives from, and
    /// pairs enough in a task to be worth a turn.
    static int64_t parts(int64_t n, int64_t m, int64_t nnz) {
        int64_t parts = 1;
        while (parts < 64 && (parts + 1) * (parts + 1) * 512 <= nnz) ++parts;
        return std::clamp<int64_t>(std::min({n, m / 64, parts}), 1, 64);
    }

    PairSchedule(const Context& ctx, const PairProblem& problem, std::uint64_t seed)
        : problem_(problem),
          parts_(parts(problem.positives.n, problem.m, problem.positives.indptr[problem.positives.n])) {
        shuffle_columns(Philox(seed, Purpose::kItems));
        const int64_t n = problem.positives.n, nnz = problem.positives.indptr[n];
        pairs_.resize(static_cast<std::size_t>(nnz));
        starts_.resize(static_cast<std::size_t>(parts_ * parts_) + 1);
        starts_.back() = nnz;
        rows_.push_back(0);
        const int64_t* indptr = problem.positives.indptr;
        for (int64_t t = 1; t < parts_; ++t) {  // as many positives and rows, so that empty rows are shared out too
            const int64_t goal = (nnz + n) * t / parts_;
            int64_t low = rows_.back(), high = n;
            while (low < high) {
                const int64_t middle = (low + high) / 2;
                if (indptr[middle] + middle < goal) low = middle + 1;
                else high = middle;
            }
            rows_.push_back(low);
        }
        rows_.push_back(n);
        parallel_for(ctx, parts_, [&](int64_t run, int) { sort_run(run); });
    }

    int64_t parts() const { return parts_; }
    Span rows(int64_t run) const { return {rows_[run], rows_[run + 1]}; }
    /// Where the pairs of a run and a set stand; a pair's place is the number of its sample.
    Span samples(int64_t run, int64_t set) const {
        const int64_t at = run * parts_ + set;
        return {starts_[at], starts_[at + 1]};
    }
    Pair* pairs() { return pairs_.data(); }
    const int32_t* columns(int64_t set) const { return columns_.data() + first_column(set); }
    int64_t columns_size(int64_t set) const { return first_column(set + 1) - first_column(set); }

private:
    int64_t first_column(int64_t set) const { return problem_.m * set / parts_; }

    void shuffle_columns(const Philox& draws) {
        columns_.resize(static_cast<std::size_t>(problem_.m));
        std::iota(columns_.begin(), columns_.end(), 0);
        set_of_.resize(columns_.size());
        for (int64_t j = 0; j < problem_.m; ++j) {
            const std::uint32_t word = draws.words(static_cast<std::uint64_t>(j))[0];
            std::swap(columns_[j], columns_[j + scaled(word, problem_.m - j)]);
        }
        for (int64_t set = 0; set < parts_; ++set)
            for (int64_t j = first_column(set); j < first_column(set + 1); ++j)
                set_of_[columns_[j]] = static_cast<std::uint8_t>(set);
    }

    /// The pairs of a run by sets, within a set as they are stored.
    void sort_run(int64_t run) {
        const Pattern<int32_t>& X = problem_.positives;
        const int64_t first = X.indptr[rows_[run]], last = X.indptr[rows_[run + 1]];
        int64_t* start = starts_.data() + run * parts_;
        std::vector<int64_t> next(static_cast<std::size_t>(parts_));
        for (int64_t p = first; p < last; ++p) ++next[set_of_[X.indices[p]]];
        std::exclusive_scan(next.begin(), next.end(), start, first);
        std::copy_n(start, parts_, next.begin());
        for (int64_t i = rows_[run]; i < rows_[run + 1]; ++i)
            for (int64_t p = X.indptr[i]; p < X.indptr[i + 1]; ++p)
                pairs_[next[set_of_[X.indices[p]]]++] = {static_cast<int32_t>(i), X.indices[p],
                                                         problem_.weights ? problem_.weights[p] : 1.0f};
    }

    const PairProblem& problem_;
    int64_t parts_;
    std::vector<int64_t> rows_, starts_;
    std::vector<int32_t> columns_;
    std::vector<std::uint8_t> set_of_;
    AlignedVector<Pair> pairs_;
};

}  // namespace latom
