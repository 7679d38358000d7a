// cluster_means.h: the rows of each cluster, their means in float64, and the products of rows with all means.
//
// Memory    8 bytes per cluster and column; of dense rows 16.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/buffer.h"
#include "core/grouped.h"
#include "core/parallel.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class ClusterMeans {
public:
    using T = typename View::value_type;

    /// Rows count at length 1 where `unit`; those of norm 0 then add nothing. labels [n] in [0, m).
    ClusterMeans(const Context& ctx, const Rows<View>& rows, const int32_t* labels, int64_t m, bool unit)
        : rows_(rows), m_(m), unit_(unit) {
        begin_ = group_rows(ctx, rows.n(), m, labels, order_);
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

    /// Rows that go together, at most.
    static constexpr int64_t kRows = 64;
    struct Scratch {
        AlignedVector<double> rows, products;
    };
    /// out(r, products [m]) for rows which [count <= kRows] as they stand in X, with all means.
    template <class Out>
    void products(const int64_t* which, int64_t count, Scratch& s, Out out) const {
        const int64_t d = rows_.d();
        s.products.resize(static_cast<std::size_t>(kRows * width_));
        if constexpr (kIsSparse<View>) {
            for (int64_t r = 0; r < count; ++r) {
                double* own = s.products.data() + r * width_;
                for (int64_t j = 0; j < m_; ++j) {
                    const double* mu = mean(j);
                    double sum = 0;
                    rows_.each(which[r], [&](int64_t t, T v) { sum += static_cast<double>(v) * mu[t]; });
                    own[j] = sum;
                }
            }
        } else {
            s.rows.resize(static_cast<std::size_t>(kRows * d));
            for (int64_t r = 0; r < count; ++r) std::copy_n(rows_.values(which[r]), d, s.rows.data() + r * d);
            rows_.kernels()->f64.small_product(s.rows.data(), count, d, turned_.data(), width_, s.products.data());
        }
        for (int64_t r = 0; r < count; ++r) out(r, s.products.data() + r * width_);
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
        width_ = whole_lines<double>(m_);
        if constexpr (!kIsSparse<View>) {
            turned_.assign(static_cast<std::size_t>(d * width_), 0.0);
            for (int64_t j = 0; j < m_; ++j)
                for (int64_t t = 0; t < d; ++t) turned_[t * width_ + j] = mean(j)[t];
        }
    }

    const Rows<View>& rows_;
    int64_t m_;
    bool unit_;
    std::vector<int64_t> begin_, order_;
    std::vector<double> mean_, norm2_;
    int64_t width_ = 0;             // m in whole lines
    AlignedVector<double> turned_;  // means of dense rows, by columns [d, width_]
};

}  // namespace latom
