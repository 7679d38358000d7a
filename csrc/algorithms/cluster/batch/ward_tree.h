// ward_tree.h: the dendrogram of one small set of rows, by chains of nearest neighbors.
//
//   D(i, j) = |x_i - x_j|^2 = s_i + s_j - 2 <x_i, x_j>,       s_i = |x_i|^2; rows at length 1 under cosine
//   D(i, j) = (1 - cos)^2 where hosts take 1 - cos for a Euclidean distance
//   D(a + b, c) = ((n_a + n_c) D(a, c) + (n_b + n_c) D(b, c) - n_c D(a, b)) / (n_a + n_b + n_c)     (Lance & Williams)
//
// A chain goes from a cluster to its nearest, from that to its nearest, and so on; where two are each other's nearest
// they are merged, which Ward's criterion allows at any time. So all merges are found in O(n^2) steps; sorted by height
// they are the dendrogram. The nearest is the lowest row among equals, but the one that the chain came from goes first.
#pragma once

#include <cmath>
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
    /// Where the products of all pairs of rows are to be before grow(), which writes over them.
    PairProducts<T>& products() { return distance_; }

    /// The rows have these squared norms: n - 1 merges of rising height.
    const std::vector<Merge>& grow(const double* norm2, Metric metric, bool one_minus_cosine) {
        merges_.clear();
        if (distance_.n() < 2) return merges_;
        measure(norm2, metric, one_minus_cosine);
        merge_all();
        std::stable_sort(merges_.begin(), merges_.end(),
                         [](const Merge& a, const Merge& b) { return a.height2 < b.height2; });
        return merges_;
    }

private:
    typedef double Pair __attribute__((vector_size(16)));

    // Products become distances; rows that are not there, and a row itself, are infinitely far.
    void measure(const double* norm2, Metric metric, bool one_minus_cosine) {
        const int64_t n = distance_.n(), width = distance_.width();
        square_.assign(static_cast<std::size_t>(width), 0.0);
        scale_.assign(static_cast<std::size_t>(width), 1.0);
        for (int64_t i = 0; i < n; ++i) {
            square_[i] = norm2[i];
            if (metric != Metric::kCosine) continue;
            scale_[i] = norm2[i] > 0 ? 1 / std::sqrt(norm2[i]) : 0.0;
            square_[i] = norm2[i] > 0 ? 1.0 : 0.0;
        }
        for (int64_t i = 0; i < n; ++i) {
            double* row = distance_.row(i);
            for (int64_t j = 0; j < width; ++j) {
                // Both factors in one product, so that it is the same from either side.
                const double v = square_[i] + square_[j] - 2 * (row[j] * (scale_[i] * scale_[j]));
                row[j] = v > 0 ? v : 0.0;
            }
            if (one_minus_cosine)  // |x - y|^2 / 2, squared
                for (int64_t j = 0; j < n; ++j) row[j] *= 0.25 * row[j];
            row[i] = HUGE_VAL;
            std::fill(row + n, row + width, HUGE_VAL);
        }
    }

    double lowest(const double* row) const {
        Pair least[4];
        for (auto& part : least) part = Pair{HUGE_VAL, HUGE_VAL};
        for (int64_t j = 0; j < distance_.width(); j += 8)
            for (int p = 0; p < 4; ++p) {
                Pair v;
                __builtin_memcpy(&v, row + j + 2 * p, sizeof v);
                least[p] = v < least[p] ? v : least[p];
            }
        double out = HUGE_VAL;
        for (const auto& part : least) out = std::min({out, part[0], part[1]});
        return out;
    }

    void merge_all() {
        const int64_t n = distance_.n();
        size_.assign(static_cast<std::size_t>(distance_.width()), 1.0);
        alive_.assign(static_cast<std::size_t>(n), 1);
        chain_.clear();
        for (int64_t left = n, first = 0; left > 1;) {
            if (chain_.empty()) {
                while (!alive_[first]) ++first;
                chain_.push_back(first);
            }
            const int64_t top = chain_.back(), before = chain_.size() > 1 ? chain_[chain_.size() - 2] : -1;
            const double* row = distance_.row(top);
            const double least = lowest(row);
            if (before >= 0 && !(least < row[before])) {
                chain_.resize(chain_.size() - 2);
                merge(std::max(top, before), std::min(top, before));
                --left;
                poll();
                continue;
            }
            chain_.push_back(std::find(row, row + n, least) - row);
        }
    }

    void merge(int64_t gone, int64_t into) {
        const int64_t n = distance_.n();
        double *a = distance_.row(gone), *b = distance_.row(into);
        const double height2 = a[into], na = size_[gone], nb = size_[into];
        merges_.push_back({gone, into, height2});
        alive_[gone] = 0;
        size_[into] = na + nb;
        const double* size = size_.data();
        for (int64_t c = 0; c < n; ++c) {
            const double v = ((na + size[c]) * a[c] + (nb + size[c]) * b[c] - size[c] * height2) / (na + nb + size[c]);
            b[c] = v;
        }
        b[into] = b[gone] = HUGE_VAL;
        for (int64_t c = 0; c < n; ++c) {
            if (!alive_[c]) {
                b[c] = HUGE_VAL;
                continue;
            }
            double* row = distance_.row(c);
            row[gone] = HUGE_VAL;
            row[into] = b[c];
        }
    }

    PairProducts<T> distance_;
    std::vector<double> square_, scale_, size_;
    std::vector<char> alive_;
    std::vector<int64_t> chain_;
    std::vector<Merge> merges_;
};

}  // namespace latom
