// small_problem.h: one factorization that is one thread's work from start to end, whatever holds its X.
#pragma once

#include <algorithm>

#include "core/buffer.h"
#include "engines/small_solve/small_solve.h"
#include "rows/rows.h"

namespace latom {

/// Dense X [n, d] and its transpose, made here.
template <class T>
class DenseProducts {
public:
    DenseProducts(const Context& ctx, const T* X, int64_t n, int64_t d)
        : ctx_(ctx), n_(n), d_(d), X_(X), turned_(static_cast<std::size_t>(n * d)) {
        for (int64_t i = 0; i < n; ++i) {
            poll();
            for (int64_t j = 0; j < d; ++j) turned_[j * n + i] = X[i * d + j];
        }
    }
    double norm2() const { return ctx_.kernels->of<T>().dense_dot(X_, X_, n_ * d_); }
    /// P [n, width] = X V, or P [d, width] = X^T V; width whole lines of 64 bytes.
    void multiply(bool by_columns, const T* V, int64_t width, T* P) const {
        constexpr int64_t kEach = 1 << 24, kTogether = 8;  // multiply-adds at once; rows that the kernel takes
        const T* X = by_columns ? turned_.data() : X_;
        const int64_t rows = by_columns ? d_ : n_, columns = by_columns ? n_ : d_;
        const int64_t some = std::max<int64_t>(1, kEach / (columns * width * kTogether)) * kTogether;
        for (int64_t i = 0; i < rows; i += some) {
            poll();
            ctx_.kernels->of<T>().small_product(X + i * columns, std::min(some, rows - i), columns, V, width,
                                                P + i * width);
        }
    }

private:
    const Context& ctx_;
    int64_t n_, d_;
    const T* X_;
    AlignedVector<T> turned_;
};

/// Its rows of k numbers at whole lines of 64 bytes with zeros behind them, so that columns are summed in vectors.
template <class T, class Products>
class SmallProblem {
public:
    /// W [n, k], F [d, k] are starts. X must outlive the object.
    SmallProblem(const Context& ctx, const Products& X, int64_t n, int64_t d, int64_t k, const T* W, const T* F)
        : ctx_(ctx),
          X_(X),
          n_(n),
          d_(d),
          k_(k),
          width_(whole_lines<T>(k)),
          W_(padded(W, n)),
          F_(padded(F, d)),
          P_(static_cast<std::size_t>(std::max(n, d) * width_)),
          G_(static_cast<std::size_t>(width_ * width_)),
          H_(G_.size()),
          norm2_(X.norm2()) {
        gram(ctx_, view(F_, d_), G_.data());
    }

    /// Iterations until the violation is at most tol times the first, or max_iter; returns how many.
    int64_t run(const SweepOptions& sweeps, double tol, int64_t max_iter) {
        int64_t iteration = 0;
        for (double first = 0; iteration < max_iter;) {
            const double violation = step(sweeps);
            if (iteration++ == 0) first = violation;
            if (violation <= tol * first) break;
        }
        return iteration;
    }

    double loss() const { return loss_; }
    void store(T* W, T* F) const {
        for (int64_t i = 0; i < n_; ++i) std::copy_n(W_.data() + i * width_, k_, W + i * k_);
        for (int64_t j = 0; j < d_; ++j) std::copy_n(F_.data() + j * width_, k_, F + j * k_);
    }

private:
    AlignedVector<T> padded(const T* rows, int64_t count) const {
        AlignedVector<T> out(static_cast<std::size_t>(count * width_), T{0});
        for (int64_t i = 0; i < count; ++i) std::copy_n(rows + i * k_, k_, out.data() + i * width_);
        return out;
    }
    DenseView<T> view(const AlignedVector<T>& rows, int64_t count) const {
        return {rows.data(), count, width_, width_};
    }

    /// One iteration; returns the violation met and leaves the loss.
    double step(const SweepOptions& sweeps) {
        const double of_W = half(false, n_, F_, W_, sweeps).violation;
        gram(ctx_, view(W_, n_), G_.data());
        const SweepStats stats = half(true, d_, W_, F_, sweeps);
        std::swap(G_, H_);
        gram(ctx_, view(F_, d_), G_.data());
        double quadratic = 0;
        for (std::size_t q = 0; q < G_.size(); ++q) quadratic += G_[q] * H_[q];
        loss_ = norm2_ / 2 - stats.cross + quadratic / 2;
        return of_W + stats.violation;
    }

    /// A [rows, k] swept with V fixed, whose Gram matrix is G.
    SweepStats half(bool by_columns, int64_t rows, const AlignedVector<T>& V, AlignedVector<T>& A,
                    const SweepOptions& sweeps) {
        X_.multiply(by_columns, V.data(), width_, P_.data());
        return coordinate_sweep(ctx_, G_.data(), view(P_, rows), sweeps, A.data(), A.data());
    }

    const Context& ctx_;
    const Products& X_;
    int64_t n_, d_, k_, width_;
    AlignedVector<T> W_, F_, P_;
    std::vector<double> G_, H_;
    double norm2_, loss_ = 0;
};

}  // namespace latom
