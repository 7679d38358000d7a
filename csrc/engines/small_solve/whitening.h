// whitening.h: coordinates in which what many systems have in common is the identity.
//
//   (G + ridge I + S_u) x = b       H = G + least ridge I = R^T R,   y = R x,   w_p = R^-T v_p
//   (I + more_u N + sum_p a_p w_p w_p^T) y = sum_p b_p w_p              N = R^-T R^-1,   more_u = ridge_u - least ridge
//
// Since S_u <= max a G, eigenvalues are in [1, 1 + max a] where ridges are equal: conjugate gradients in these
// coordinates take as many steps as the weights ask for, whatever the condition of G, and none multiplies with G. That
// is G + ridge I as their preconditioner, at a product with a triangle for each row of V, and two for each solution.
#pragma once

#include "engines/small_solve/weighted_gram.h"

namespace latom {

template <class T>
class Whitening {
public:
    /// Of G [k, k] for systems with ridge [n]; floor is the least that the diagonal gets of its mean.
    Whitening(const Context& ctx, const double* G, const double* ridge, int64_t n, int64_t k, double floor)
        : ctx_(ctx), k_(k), width_(whole_lines<T>(k)) {
        const auto kk = static_cast<std::size_t>(k * k), numbers = static_cast<std::size_t>(width_ * width_);
        double mean = 0, most = n ? ridge[0] : 0;
        for (int64_t t = 0; t < k; ++t) mean += G[t * (k + 1)] / static_cast<double>(k);
        least_ = most;
        for (int64_t i = 0; i < n; ++i) {
            least_ = std::min(least_, ridge[i]);
            most = std::max(most, ridge[i]);
        }
        constexpr double kRepresented = sizeof(T) == 4 ? 1e-30 : 1e-200;  // R and its inverse are numbers T
        least_ = std::max({least_, floor * mean, kRepresented});
        AlignedVector<double> R, inverse(kk, 0.0), nothing(static_cast<std::size_t>(k));
        for (double more = 0;; more = more ? 1e3 * more : 1e-6) {
            R.assign(G, G + kk);
            const double added = least_ + more * std::max(mean, kRepresented);
            for (int64_t t = 0; t < k; ++t) R[t * (k + 1)] += added;
            if (!ctx.kernels->solve_cholesky(R.data(), nothing.data(), k) && more < 1e7) continue;
            least_ = added;
            break;
        }
        invert(R.data(), inverse.data());
        for (AlignedVector<T>* matrix : {&to_rows_, &to_white_, &from_white_}) matrix->resize(numbers, T{0});
        for (int64_t s = 0; s < k; ++s)
            for (int64_t t = s; t < k; ++t) {
                to_white_[t * width_ + s] = static_cast<T>(R[s * k + t]);
                to_rows_[s * width_ + t] = static_cast<T>(inverse[s * k + t]);
                from_white_[t * width_ + s] = static_cast<T>(inverse[s * k + t]);
            }
        if (!(most > least_)) return;
        spread_.resize(numbers, T{0});
        parallel_for(ctx, k, [&](int64_t s, int) {
            AlignedVector<double> row(static_cast<std::size_t>(k), 0.0);
            for (int64_t p = 0; p <= s; ++p)
                ctx.kernels->f64.add_scaled(inverse.data() + p * (k + 1), inverse[p * k + s], k - p, row.data() + p);
            for (int64_t t = 0; t < k; ++t) spread_[s * width_ + t] = static_cast<T>(row[t]);
        });
    }

    /// out [count, width] = rows w of rows v [count, width], both with zeros behind k.
    void rows(const T* v, int64_t count, T* out) const { product(v, count, to_rows_, true, out); }
    /// y of x.
    void enter(const T* x, int64_t count, T* out) const { product(x, count, to_white_, false, out); }
    /// x of y.
    void leave(const T* y, int64_t count, T* out) const { product(y, count, from_white_, false, out); }

    bool equal_ridges() const { return spread_.empty(); }
    double more(double ridge) const { return std::max(0.0, ridge - least_); }
    /// out = N y.
    void spread(const T* y, int64_t count, T* out) const {
        ctx_.kernels->of<T>().small_product(y, count, width_, spread_.data(), width_, out);
    }

private:
    void product(const T* x, int64_t count, const AlignedVector<T>& F, bool upper, T* out) const {
        ctx_.kernels->of<T>().triangular_product(x, count, width_, F.data(), width_, upper, out);
    }

    /// inverse [k, k] of R, upper triangular: row by row from the last, columns among threads.
    void invert(const double* R, double* inverse) const {
        constexpr int64_t kColumns = 64;
        const auto add = ctx_.kernels->f64.add_scaled;
        parallel_for(ctx_, chunk_count(k_, kColumns), [&](int64_t c, int) {
            const int64_t end = std::min(k_, (c + 1) * kColumns);
            for (int64_t p = end - 1; p >= 0; --p) {
                const int64_t first = std::max(p, c * kColumns);
                double* row = inverse + p * k_;
                if (p == first) row[p] = 1;
                for (int64_t j = p + 1; j < end; ++j) {
                    const int64_t from = std::max(j, first);
                    add(inverse + j * k_ + from, -R[p * k_ + j], end - from, row + from);
                }
                for (int64_t t = first; t < end; ++t) row[t] /= R[p * k_ + p];
            }
        });
    }

    const Context& ctx_;
    int64_t k_, width_;
    double least_ = 0;
    AlignedVector<T> to_rows_, to_white_, from_white_, spread_;  // [width, width]
};

}  // namespace latom
