// cluster_means.h: the rows of each cluster, their means in float64, and the products of rows with all means.
//
// Memory    8 bytes per cluster and column.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/parallel.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class ClusterMeans {
public:
    using T = typename View::value_type;

    /// Rows count at length 1 where `unit`; those of norm 0 then add nothing. labels [n] in [0, m).
    ClusterMeans(const Context& ctx, const Rows<View>& rows, const int32_t* labels, int64_t m, bool unit)
        : rows_(rows), m_(m), unit_(unit), begin_(static_cast<std::size_t>(m) + 1, 0) {
        for (int64_t i = 0; i < rows.n(); ++i) ++begin_[labels[i] + 1];
        std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
        order_.resize(static_cast<std::size_t>(rows.n()));
        std::vector<int64_t> next(begin_.begin(), begin_.end() - 1);
        for (int64_t i = 0; i < rows.n(); ++i) order_[next[labels[i]]++] = i;
        sum(ctx);
    }

    int64_t m() const { return m_; }
    int64_t size(int64_t j) const { return begin_[j + 1] - begin_[j]; }
    int64_t begin(int64_t j) const { return begin_[j]; }
    const std::vector<int64_t>& begins() const { return begin_; }
    /// Rows by cluster, and within one by their index.
    const std::vector<int64_t>& order() const { return order_; }
    const double* mean(int64_t j) const { return mean_.data() + j * rows_.d(); }
    double norm2(int64_t j) const { return norm2_[j]; }

    struct Scratch {
        std::vector<double> row;
        std::vector<const double*> x, y;
    };
    /// out [m]: the products of row i, as it stands in X, with all means.
    void products(int64_t i, Scratch& s, double* out) const {
        const int64_t d = rows_.d();
        if constexpr (kIsSparse<View>) {
            for (int64_t j = 0; j < m_; ++j) {
                const double* mu = mean(j);
                double sum = 0;
                rows_.each(i, [&](int64_t t, T v) { sum += static_cast<double>(v) * mu[t]; });
                out[j] = sum;
            }
        } else {
            s.row.assign(rows_.values(i), rows_.values(i) + d);
            s.x.resize(static_cast<std::size_t>(m_));
            s.y.assign(static_cast<std::size_t>(m_), s.row.data());
            for (int64_t j = 0; j < m_; ++j) s.x[j] = mean(j);
            rows_.kernels()->f64.dense_dots(s.x.data(), s.y.data(), m_, d, out);
        }
    }

private:
    void sum(const Context& ctx) {
        const int64_t d = rows_.d();
        mean_.assign(static_cast<std::size_t>(m_ * d), 0.0);
        norm2_.assign(static_cast<std::size_t>(m_), 0.0);
        parallel_for(ctx, m_, [&](int64_t j, int) {
            double* mu = mean_.data() + j * d;
            for (int64_t r = begin_[j]; r < begin_[j + 1]; ++r) {
                const int64_t i = order_[r];
                if (!(rows_.norm2(i) > 0)) continue;
                const double factor = unit_ ? 1 / std::sqrt(rows_.norm2(i)) : 1.0;
                if constexpr (kIsSparse<View>) {
                    rows_.each(i, [&](int64_t t, T v) { mu[t] += factor * static_cast<double>(v); });
                } else {
                    rows_.kernels()->template of<T>().add_scaled(rows_.values(i), factor, d, mu);
                }
            }
            for (int64_t t = 0; t < d && size(j) > 0; ++t) mu[t] /= static_cast<double>(size(j));
            norm2_[j] = rows_.kernels()->f64.dense_dot(mu, mu, d);
        });
    }

    const Rows<View>& rows_;
    int64_t m_;
    bool unit_;
    std::vector<int64_t> begin_, order_;
    std::vector<double> mean_, norm2_;
};

}  // namespace latom
