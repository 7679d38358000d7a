// search.h: what searches of sparse and of dense documents share: scores as users see them, and answers written.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/message.h"
#include "engines/sparse_select/seeker.h"
#include "latom/neighbors.h"

namespace latom {

/// The rule that ranks documents [n] of these squared lengths.
template <class View>
ScoreRule rule_of(const Rows<View>& documents, Similarity similarity) {
    ScoreRule rule;
    for (int64_t j = 0; j < documents.n(); ++j) {
        if (similarity == Similarity::kCosine) rule.add(Metric::kCosine, documents.norm2(j));
        if (similarity == Similarity::kEuclidean) rule.add(Metric::kEuclidean, documents.norm2(j));
    }
    return rule;
}

/// Of one query: what S means to the user, and which S a threshold stands for.
struct UserScore {
    Similarity similarity;
    double norm2;

    double operator()(double s) const {
        if (similarity == Similarity::kCosine) return norm2 > 0 ? std::clamp(s / std::sqrt(norm2), -1.0, 1.0) : 0.0;
        if (similarity == Similarity::kEuclidean) return std::min(0.0, 2 * s - norm2);
        return s;
    }
    /// A number that S exceeds for a document above the threshold, whatever the rounding.
    double least(double threshold) const {
        if (!std::isfinite(threshold) || similarity == Similarity::kDot) return threshold;
        if (similarity == Similarity::kCosine) {
            if (!(norm2 > 0)) return threshold < 0 ? -HUGE_VAL : HUGE_VAL;
            return threshold <= -1 ? -HUGE_VAL : (threshold - 1e-12) * std::sqrt(norm2);
        }
        return threshold >= 0 ? HUGE_VAL : 0.5 * (threshold + norm2) - 1e-12 * (std::abs(threshold) + norm2);
    }
};

inline void check_search(const Context& ctx, int64_t columns, int64_t d, int64_t k, int64_t n) {
    if (columns != d)
        fail(ctx, "X must have as many columns as the indexed rows, " + std::to_string(d), columns,
             "Pass rows of the same features.");
    if (k < 1 || k > n) fail(ctx, "k must lie in [1, " + std::to_string(n) + "]", k, "Ask for fewer.");
}

/// The k best of found, best first, into score and index [k]; returns how many are above the threshold.
template <class T>
int64_t write_best(std::vector<Found>& found, const UserScore& user, double threshold, int64_t k, T* score,
                   int32_t* index) {
    std::sort(found.begin(), found.end());
    int64_t kept = 0;
    for (const Found& f : found) {
        const double s = user(f.score);
        if (!(s > threshold)) break;
        score[kept] = static_cast<T>(s);
        index[kept++] = f.document;
    }
    for (int64_t r = kept; r < k; ++r) {
        score[r] = -std::numeric_limits<T>::infinity();
        index[r] = -1;
    }
    return kept;
}

/// The answers to one query of above(), before all are joined.
template <class T>
struct QueryMatches {
    std::vector<int32_t> indices;
    std::vector<T> scores;

    void take(std::vector<Found>& found, const UserScore& user, double threshold) {
        std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.document < b.document; });
        for (const Found& f : found) {
            const double s = user(f.score);
            if (!(s > threshold)) continue;
            indices.push_back(f.document);
            scores.push_back(static_cast<T>(s));
        }
    }
};

template <class T>
Matches<T> join(const std::vector<QueryMatches<T>>& queries) {
    Matches<T> out;
    out.indptr.push_back(0);
    for (const QueryMatches<T>& query : queries)
        out.indptr.push_back(out.indptr.back() + static_cast<int64_t>(query.indices.size()));
    out.indices.reserve(static_cast<std::size_t>(out.indptr.back()));
    out.scores.reserve(out.indices.capacity());
    for (const QueryMatches<T>& query : queries) {
        out.indices.insert(out.indices.end(), query.indices.begin(), query.indices.end());
        out.scores.insert(out.scores.end(), query.scores.begin(), query.scores.end());
    }
    return out;
}

inline void check_thresholds(const Context& ctx, const Thresholds& thresholds, int64_t n) {
    for (int64_t i = 0; i < (thresholds.by_row ? n : 1); ++i)
        if (std::isnan(thresholds[i]))
            fail(ctx, "threshold must be a number", "NaN at " + std::to_string(i), "Use -numpy.inf for every row.");
}

}  // namespace latom
