// plain_lloyd.h: k-means as latom/cluster.h defines it, without an index, bounds, threads or memory of the last step.
//
// Sums have the order that the contract names, so its labels, scores and centers are compared bit by bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/bin_grid.h"
#include "data.h"
#include "latom/cluster.h"

namespace test {

/// Term p goes to partial sum p mod 8 (kernels/dot.inl.h).
template <class Term>
double sum8(int64_t count, Term term) {
    double s[8] = {};
    for (int64_t p = 0; p < count; ++p) s[p % 8] += term(p);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/// Sums of 4096 rows each, then over these.
template <class Term>
double block_sum(int64_t n, Term term) {
    double total = 0;
    for (int64_t from = 0; from < n; from += 4096) {
        double sum = 0;
        for (int64_t i = from; i < std::min(n, from + 4096); ++i) sum += term(i);
        total += sum;
    }
    return total;
}

template <class T>
class PlainLloyd {
public:
    PlainLloyd(const Sparse<T>& X, const double* weights, Metric metric)
        : X_(X), weights_(weights), cosine_(metric == Metric::kCosine), labels(X.n, 0), own_(X.n), norm2_(X.n) {
        for (int64_t i = 0; i < X.n; ++i)
            norm2_[i] = sum8(size(i), [&](int64_t p) { return square(X_.value[X_.indptr[i] + p]); });
        double largest = 0, heaviest = 0;
        for (int64_t i = 0; i < X.n; ++i) {
            heaviest = std::max(heaviest, weight(i));
            largest = std::max(largest, cosine_ ? weight(i) : weight(i) * std::sqrt(norm2_[i]));
        }
        grid_ = BinGrid(largest > 0 ? largest : 1.0);
        weight_grid_ = BinGrid(heaviest > 0 ? heaviest : 1.0);
    }

    void set_centers(const Sparse<T>& C, bool normalize) {
        centers.assign(static_cast<std::size_t>(C.n), std::vector<T>(static_cast<std::size_t>(C.d), T{0}));
        for (int64_t j = 0; j < C.n; ++j) {
            for (int64_t p = C.indptr[j]; p < C.indptr[j + 1]; ++p) centers[j][C.column64[p]] = C.value[p];
            const double norm2 = length2(centers[j]), inverse = 1 / std::sqrt(norm2);
            if (normalize && norm2 > 0)
                for (T& v : centers[j]) v = static_cast<T>(v * inverse);
        }
        assigned_ = false;
    }

    /// Rows whose label changed, and the objective.
    AssignStats assign() {
        AssignStats stats;
        std::vector<double> center2;
        for (const auto& center : centers) center2.push_back(length2(center));
        for (int64_t i = 0; i < X_.n; ++i) {
            const int32_t before = labels[i];
            own_[i] = -HUGE_VAL;
            for (std::size_t j = 0; j < centers.size(); ++j) {
                const double score = decision(i, centers[j], center2[j]);
                if (score > own_[i]) {
                    own_[i] = score;
                    labels[i] = static_cast<int32_t>(j);
                }
            }
            stats.changed += !assigned_ || labels[i] != before;
        }
        assigned_ = true;
        stats.objective = block_sum(X_.n, [&](int64_t i) { return weight(i) * cost(i); });
        return stats;
    }

    /// Atoms that changed, and empty clusters that took a row.
    UpdateStats update() {
        UpdateStats stats;
        stats.relocated = relocate();
        for (std::size_t j = 0; j < centers.size(); ++j) {
            // Integers on the grid that X and its weights ask for: sums of any order (core/bin_grid.h).
            std::vector<std::int64_t> parts(static_cast<std::size_t>(BinGrid::kMostLevels * X_.d), 0);
            std::int64_t weights[BinGrid::kMostLevels] = {};
            for (int64_t i = 0; i < X_.n; ++i) {
                if (labels[i] != static_cast<int32_t>(j)) continue;
                weight_grid_.add(weight(i), weights);
                if (weight(i) == 0 || !(norm2_[i] > 0)) continue;
                const double factor = cosine_ ? weight(i) / std::sqrt(norm2_[i]) : weight(i);
                for (int64_t p = X_.indptr[i]; p < X_.indptr[i + 1]; ++p)
                    grid_.add(factor * static_cast<double>(X_.value[p]),
                              parts.data() + BinGrid::kMostLevels * X_.column64[p]);
            }
            std::vector<double> sum;
            for (int64_t t = 0; t < X_.d; ++t) sum.push_back(grid_.value(parts.data() + BinGrid::kMostLevels * t));
            const double total = weight_grid_.value(weights);
            const double length = cosine_ ? std::sqrt(length2(sum)) : total;
            if (length > (cosine_ ? 1e-12 * total : 0.0)) {
                const std::vector<T> old = centers[j];
                for (int64_t t = 0; t < X_.d; ++t) centers[j][t] = static_cast<T>(sum[t] / length);
                stats.moved += centers[j] != old;
            }
        }
        for (int64_t i = 0; i < X_.n; ++i) own_[i] = decision(i, centers[labels[i]], length2(centers[labels[i]]));
        return stats;
    }

    std::vector<double> scores() const {
        std::vector<double> out;
        for (int64_t i = 0; i < X_.n; ++i) out.push_back(cosine_ ? cosine(i) : -cost(i));
        return out;
    }

private:
    static double square(T v) { return static_cast<double>(v) * static_cast<double>(v); }
    int64_t size(int64_t i) const { return X_.indptr[i + 1] - X_.indptr[i]; }
    double weight(int64_t i) const { return weights_ ? weights_[i] : 1.0; }
    double cosine(int64_t i) const {
        return norm2_[i] > 0 ? std::clamp(own_[i] / std::sqrt(norm2_[i]), -1.0, 1.0) : 0.0;
    }
    double cost(int64_t i) const { return cosine_ ? 1 - cosine(i) : std::max(0.0, norm2_[i] - 2 * own_[i]); }

    /// ||c||^2 over the stored entries, which are those that are not zero.
    template <class Number>
    static double length2(const std::vector<Number>& c) {
        std::vector<double> stored;
        std::copy_if(c.begin(), c.end(), std::back_inserter(stored), [](Number v) { return v != 0; });
        return sum8(static_cast<int64_t>(stored.size()), [&](int64_t p) { return stored[p] * stored[p]; });
    }

    double decision(int64_t i, const std::vector<T>& center, double center2) const {
        double dot = 0;
        if (norm2_[i] > 0)
            dot = sum8(size(i), [&](int64_t p) {
                const int64_t at = X_.indptr[i] + p;
                return static_cast<double>(X_.value[at]) * static_cast<double>(center[X_.column64[at]]);
            });
        if (!cosine_) return dot + -0.5 * center2;
        return dot * (center2 > 0 ? 1 / std::sqrt(center2) : 0.0);
    }

    /// Each empty cluster in turn takes the row that fits worst among clusters of two or more.
    int64_t relocate() {
        std::vector<int64_t> count(centers.size(), 0), rows;
        for (const int32_t label : labels) ++count[label];
        for (int64_t i = 0; i < X_.n; ++i)
            if (weight(i) > 0 && (cosine_ ? norm2_[i] > 0 && cost(i) > 1e-12 : cost(i) > 1e-12 * norm2_[i]))
                rows.push_back(i);
        std::stable_sort(rows.begin(), rows.end(),
                         [&](int64_t a, int64_t b) { return weight(a) * cost(a) > weight(b) * cost(b); });
        std::vector<int32_t> empty;
        for (std::size_t j = 0; j < count.size(); ++j)
            if (count[j] == 0) empty.push_back(static_cast<int32_t>(j));
        std::size_t next = 0;
        for (const int64_t i : rows) {
            if (next == empty.size()) break;
            if (count[labels[i]] < 2) continue;
            --count[labels[i]];
            labels[i] = empty[next++];
        }
        return static_cast<int64_t>(next);
    }

    const Sparse<T>& X_;
    const double* weights_;
    bool cosine_, assigned_ = false;

public:
    std::vector<int32_t> labels;
    std::vector<std::vector<T>> centers;

private:
    std::vector<double> own_, norm2_;
    BinGrid grid_, weight_grid_;
};

}  // namespace test
