// ward_tree.h: the dendrogram of one small set of rows, by chains of nearest neighbors.
//
//   D(i, j) = |x_i - x_j|^2 = s_i + s_j - 2 <x_i, x_j>,       s_i = |x_i|^2; rows at length 1 under cosine
//   D(i, j) = (1 - cos)^2 where hosts take 1 - cos for a Euclidean distance
//   D(a + b, c) = ((n_a + n_c) D(a, c) + (n_b + n_c) D(b, c) - n_c D(a, b)) / (n_a + n_b + n_c)     (Lance & Williams)
//
// A chain goes from a cluster to its nearest, from that to its nearest, and so on; where two are each other's nearest
// they are merged, which Ward's criterion allows at any time. So all merges are found in O(n^2) steps; sorted by height
// they are the dendrogram. The nearest is the lowest row among equals, but the one that the chain came from goes first.
//
// D stands in float32, from float32 cosines (pair_products.h); heights, and who of near ties is nearest, are decided in
// float64, by sums of rows. Let the longest row have length 1. Distances of pairs are off by at most 2 error() and a
// few units u. D(A, C) is 2 n_A n_C / (n_A + n_C) =: w times the mean distance between A and C less half of that within
// each, so that errors delta of pairs make one of 2 delta w <= 4 min(n_A, n_C) delta; a rounding of the update, 24 u w
// at most, is one more delta of 24 u for all pairs of its two clusters. So with h merges one above the other
//
//   |D~(A, C) - D(A, C)| <= 4 n_A (2 error() + 8 u + 32 u h)
//
// Where ties are many (copies of rows), or D is no distance of rows, D stands in float64 and decides.
#pragma once

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "algorithms/cluster/batch/pair_products.h"

namespace latom {

/// Clusters `into` and `gone`, each known by one of its rows, become one.
struct Merge {
    int64_t gone, into;
    double height2;
};

/// Rows joined to clusters. A cluster is known by the number of its tree.
class Forest {
public:
    void reset(int64_t n) {
        parent_.resize(static_cast<std::size_t>(n));
        std::iota(parent_.begin(), parent_.end(), int64_t{0});
    }
    int64_t root(int64_t i) {
        while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
        return i;
    }
    /// The root of the two together: the lower.
    int64_t join(int64_t a, int64_t b) {
        a = root(a);
        b = root(b);
        return parent_[std::max(a, b)] = std::min(a, b);
    }

private:
    std::vector<int64_t> parent_;
};

/// Labels [n] in the order of first rows, after the first `made` merges; returns how many there are.
inline int64_t label_merged(const std::vector<Merge>& merges, int64_t made, int64_t n, Forest& forest,
                            int32_t* labels) {
    forest.reset(n);
    for (int64_t t = 0; t < made; ++t) forest.join(merges[t].gone, merges[t].into);
    int32_t found = 0;
    for (int64_t i = 0; i < n; ++i) {
        const int64_t root = forest.root(i);  // the lowest row, so it has its label
        labels[i] = root == i ? found++ : labels[root];
    }
    return found;
}

template <class T>
class WardTree {
public:
    /// rows [n, d], C-contiguous, with these squared norms; cosines: of all pairs, or null. n - 1 merges of rising
    /// height.
    const std::vector<Merge>& grow(const KernelTable* kernels, const T* rows, const double* norm2, int64_t n, int64_t d,
                                   Metric metric, bool one_minus_cosine, const PairCosines<T>* cosines) {
        merges_.clear();
        if (n < 2) return merges_;
        kernels_ = kernels;
        n_ = n;
        d_ = d;
        set_scale(norm2, metric);
        if (one_minus_cosine || !grow_near(rows, norm2, cosines)) {
            set_scale(norm2, metric);
            multiply_pairs(kernels, rows, n, d, sum_, wide_);
            measure(wide_, [&](int64_t i, int64_t j, double product) {
                // Both factors in one product, so that it is the same from either side.
                const double v = std::max(square_[i] + square_[j] - 2 * (product * (scale_[i] * scale_[j])), 0.0);
                return one_minus_cosine ? 0.25 * v * v : v;  // |x - y|^2 / 2, squared
            });
            merge_all(wide_);
        }
        std::stable_sort(merges_.begin(), merges_.end(),
                         [](const Merge& a, const Merge& b) { return a.height2 < b.height2; });
        return merges_;
    }

private:
    static constexpr int64_t kPolled = 64;       // rows from one look for a signal to the next
    static constexpr int64_t kMostDecided = 16;  // near ties per row from which on float32 does not pay

    // Rows at length 1 (cosine), or as they are: what they are multiplied by, and then their squares.
    void set_scale(const double* norm2, Metric metric) {
        const auto count = static_cast<std::size_t>(chunk_count(n_, 16) * 16);
        square_.assign(count, 0.0);
        scale_.assign(count, 1.0);
        longest2_ = 0;
        for (int64_t i = 0; i < n_; ++i) {
            square_[i] = norm2[i];
            if (metric == Metric::kCosine) {
                scale_[i] = norm2[i] > 0 ? 1 / std::sqrt(norm2[i]) : 0.0;
                square_[i] = norm2[i] > 0 ? 1.0 : 0.0;
            }
            longest2_ = std::max(longest2_, square_[i]);
        }
    }

    // f(i, j, number) in the place of each; what is not there, and a row itself, is infinitely far.
    template <class U, class F>
    void measure(PairMatrix<U>& matrix, F f) const {
        for (int64_t i = 0; i < n_; ++i) {
            U* row = matrix.row(i);
            for (int64_t j = 0; j < n_; ++j) row[j] = static_cast<U>(f(i, j, row[j]));
            row[i] = std::numeric_limits<U>::infinity();
            std::fill(row + n_, row + matrix.width(), std::numeric_limits<U>::infinity());
            if (i % kPolled == 0) poll();
        }
    }

    // In float32; false where float64 has to decide too much.
    bool grow_near(const T* rows, const double* norm2, const PairCosines<T>* cosines) {
        if (!(longest2_ > 0)) return false;
        if (!cosines) {
            own_.make(kernels_, rows, norm2, n_, d_);
            cosines = &own_;
        }
        error_ = cosines->error();
        near_.reset(n_);
        length_.resize(static_cast<std::size_t>(n_));
        part_.resize(length_.size());
        for (int64_t i = 0; i < n_; ++i) {
            part_[i] = static_cast<float>(square_[i] / longest2_);
            length_[i] = static_cast<float>(std::sqrt(square_[i] / longest2_));
        }
        for (int64_t i = 0; i < n_; ++i) {
            float* to = near_.row(i);
            const float *cosine = cosines->row(i), *part = part_.data(), *length = length_.data();
            const float mine = part[i], twice = 2 * length[i];
            for (int64_t j = 0; j < n_; ++j) to[j] = mine + part[j] - twice * length[j] * cosine[j];
            to[i] = std::numeric_limits<float>::infinity();
            std::fill(to + n_, to + near_.width(), std::numeric_limits<float>::infinity());
            if (i % kPolled == 0) poll();
        }
        sum_.resize(static_cast<std::size_t>(n_ * d_));
        for (int64_t i = 0; i < n_; ++i)
            for (int64_t t = 0; t < d_; ++t) sum_[i * d_ + t] = static_cast<double>(rows[i * d_ + t]) * scale_[i];
        return merge_all(near_);
    }

    // In float64: D of two clusters by the sums of their rows, whose squares square_ holds.
    double exactly(int64_t a, int64_t b) const {
        return apart(a, b, kernels_->f64.dense_dot(sum_.data() + a * d_, sum_.data() + b * d_, d_));
    }
    double apart(int64_t a, int64_t b, double dot) const {
        const double na = size_[a], nb = size_[b];
        const double v = square_[a] / (na * na) + square_[b] / (nb * nb) - 2 * dot / (na * nb);
        return std::max(v, 0.0) * (2 * na * nb / (na + nb));
    }

    template <class U>
    static U lowest(const U* row, int64_t width) {
        constexpr int kLanes = 16 / sizeof(U);
        typedef U Part __attribute__((vector_size(16)));
        Part least[4];
        for (auto& part : least) part = std::numeric_limits<U>::infinity() - Part{};
        for (int64_t j = 0; j < width; j += 4 * kLanes)
            for (int p = 0; p < 4; ++p) {
                Part v;
                __builtin_memcpy(&v, row + j + kLanes * p, sizeof v);
                least[p] = v < least[p] ? v : least[p];
            }
        U out = std::numeric_limits<U>::infinity();
        for (const auto& part : least)
            for (int l = 0; l < kLanes; ++l) out = std::min(out, part[l]);
        return out;
    }

    // The cluster nearest to `top`, which the chain has come to from `before` (-1: from nowhere).
    int64_t nearest(const PairMatrix<double>& matrix, int64_t top, int64_t before) {
        const double *row = matrix.row(top), least = lowest(row, matrix.width());
        if (before >= 0 && !(least < row[before])) return before;
        return std::find(row, row + n_, least) - row;
    }
    int64_t nearest(const PairMatrix<float>& matrix, int64_t top, int64_t before) {
        const float* row = matrix.row(top);
        const double off = 4 * size_[top] * (2 * error_ + (8 + 32 * static_cast<double>(depth_)) * 0x1p-24);
        const auto limit =
            static_cast<float>((static_cast<double>(lowest(row, matrix.width())) + 2 * off) * (1 + 1e-6));
        hopeful_.clear();
        for (int64_t from = 0; from < matrix.width(); from += 16) {
            int any = 0;
            for (int64_t j = from; j < from + 16; ++j) any |= row[j] <= limit;
            for (int64_t j = from; any && j < from + 16; ++j)
                if (row[j] <= limit) hopeful_.push_back(j);
        }
        if (hopeful_.size() == 1) return hopeful_[0];
        decided_ += static_cast<int64_t>(hopeful_.size());
        int64_t best = -1;
        double least = HUGE_VAL;
        for (const int64_t j : hopeful_) {
            const double v = exactly(top, j);
            if (best >= 0 && !(v < least) && !(v == least && j == before)) continue;
            least = v;
            best = j;
        }
        return best;
    }

    // Merges until one is left; false where too much had to be decided.
    template <class U>
    bool merge_all(PairMatrix<U>& matrix) {
        merges_.clear();
        size_.assign(static_cast<std::size_t>(n_), 1.0f);
        level_.assign(static_cast<std::size_t>(n_), 0);
        depth_ = decided_ = 0;
        alive_.resize(static_cast<std::size_t>(n_));
        std::iota(alive_.begin(), alive_.end(), int64_t{0});
        chain_.clear();
        while (alive_.size() > 1) {
            if (chain_.empty()) chain_.push_back(alive_[0]);
            const int64_t top = chain_.back(), before = chain_.size() > 1 ? chain_[chain_.size() - 2] : -1;
            const int64_t next = nearest(matrix, top, before);
            if (decided_ > kMostDecided * n_) return false;
            if (next != before) {
                if (chain_.size() % kPolled == 0) poll();
                chain_.push_back(next);
                continue;
            }
            chain_.resize(chain_.size() - 2);
            merge(matrix, std::max(top, before), std::min(top, before));
            poll();
        }
        return true;
    }

    template <class U>
    void merge(PairMatrix<U>& matrix, int64_t gone, int64_t into) {
        U *a = matrix.row(gone), *b = matrix.row(into);
        const U height2 = a[into], na = static_cast<U>(size_[gone]), nb = static_cast<U>(size_[into]);
        if constexpr (sizeof(U) == 8) merges_.push_back({gone, into, height2});
        else merges_.push_back({gone, into, join(gone, into)});
        level_[into] = 1 + std::max(level_[gone], level_[into]);
        depth_ = std::max(depth_, level_[into]);
        alive_.erase(std::lower_bound(alive_.begin(), alive_.end(), gone));
        const float* size = size_.data();
        for (int64_t c = 0; c < n_; ++c) {
            const auto nc = static_cast<U>(size[c]);
            b[c] = ((na + nc) * a[c] + (nb + nc) * b[c] - nc * height2) / (na + nb + nc);
        }
        size_[into] += size_[gone];
        b[into] = b[gone] = std::numeric_limits<U>::infinity();
        for (const int64_t c : alive_) {
            U* row = matrix.row(c);
            row[gone] = std::numeric_limits<U>::infinity();
            row[into] = b[c];
        }
    }

    // The sum of both in the place of `into`; returns D of the two.
    double join(int64_t gone, int64_t into) {
        double *a = sum_.data() + gone * d_, *b = sum_.data() + into * d_;
        const double dot = kernels_->f64.dense_dot(a, b, d_), found = apart(gone, into, dot);
        for (int64_t t = 0; t < d_; ++t) b[t] += a[t];
        square_[into] += square_[gone] + 2 * dot;
        return found;
    }

    const KernelTable* kernels_ = nullptr;
    int64_t n_ = 0, d_ = 0;
    PairMatrix<float> near_;
    PairMatrix<double> wide_;
    PairCosines<T> own_;
    std::vector<double> square_, scale_;  // [n]
    double longest2_ = 0, error_ = 0;
    std::vector<float> part_, length_;  // [n]: squares, lengths, the longest 1
    AlignedVector<double> sum_;         // [n, d]
    std::vector<float> size_;           // [n]
    std::vector<int64_t> level_;        // [n]: merges one above the other
    int64_t depth_ = 0, decided_ = 0;
    std::vector<int64_t> alive_, chain_, hopeful_;
    std::vector<Merge> merges_;
};

}  // namespace latom
