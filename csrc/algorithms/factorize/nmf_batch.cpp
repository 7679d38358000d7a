// nmf_batch.cpp: many small factorizations; each is one chunk, so one thread's work from start to end.
#include <algorithm>

#include "core/buffer.h"
#include "engines/small_solve/small_solve.h"
#include "latom/factorize.h"
#include "rows/rows.h"

namespace latom {
namespace {

/// One problem, its rows of k numbers at whole lines of 64 bytes with zeros behind them, so that columns are summed in
/// vectors.
template <class T>
class Problem {
public:
    Problem(const Context& ctx, const SmallProblems<T>& all, int64_t b)
        : ctx_(ctx),
          n_(all.n),
          d_(all.d),
          k_(all.k),
          width_(whole_lines<T>(all.k)),
          X_(all.X + (all.shared ? 0 : b * n_ * d_)),
          turned_(static_cast<std::size_t>(n_ * d_)),
          W_(padded(all.W + b * n_ * k_, n_)),
          F_(padded(all.F + b * d_ * k_, d_)),
          P_(static_cast<std::size_t>(std::max(n_, d_) * width_)),
          G_(static_cast<std::size_t>(width_ * width_)),
          H_(G_.size()) {
        for (int64_t i = 0; i < n_; ++i) {
            poll();
            for (int64_t j = 0; j < d_; ++j) turned_[j * n_ + i] = X_[i * d_ + j];
        }
        norm2_ = ctx.kernels->of<T>().dense_dot(X_, X_, n_ * d_);
        gram(ctx_, view(F_, d_), G_.data());
    }

    /// One iteration; returns the violation met and leaves the loss.
    double step(const SweepOptions& sweeps) {
        const double of_W = half(X_, n_, d_, F_, W_, sweeps).violation;
        gram(ctx_, view(W_, n_), G_.data());
        const SweepStats stats = half(turned_.data(), d_, n_, W_, F_, sweeps);
        std::swap(G_, H_);
        gram(ctx_, view(F_, d_), G_.data());
        double quadratic = 0;
        for (std::size_t q = 0; q < G_.size(); ++q) quadratic += G_[q] * H_[q];
        loss_ = norm2_ / 2 - stats.cross + quadratic / 2;
        return of_W + stats.violation;
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

    /// A [rows, k] swept with V [columns, k] fixed, whose Gram matrix is G.
    SweepStats half(const T* X, int64_t rows, int64_t columns, const AlignedVector<T>& V, AlignedVector<T>& A,
                    const SweepOptions& sweeps) {
        constexpr int64_t kEach = 1 << 24, kTogether = 8;  // multiply-adds at once; rows that the kernel takes
        const int64_t some = std::max<int64_t>(1, kEach / (columns * width_ * kTogether)) * kTogether;
        for (int64_t i = 0; i < rows; i += some) {
            poll();
            ctx_.kernels->of<T>().small_product(X + i * columns, std::min(some, rows - i), columns, V.data(), width_,
                                                P_.data() + i * width_);
        }
        return coordinate_sweep(ctx_, G_.data(), view(P_, rows), sweeps, A.data(), A.data());
    }

    const Context& ctx_;
    int64_t n_, d_, k_, width_;
    const T* X_;
    AlignedVector<T> turned_;
    AlignedVector<T> W_, F_, P_;
    std::vector<double> G_, H_;
    double norm2_ = 0, loss_ = 0;
};

}  // namespace

template <class T>
void factorize_small(const Context& ctx, const SmallProblems<T>& all, const SweepOptions& sweeps, double tol,
                     int64_t max_iter) {
    parallel_for(ctx, all.problems, [&](int64_t b, int) {
        Problem<T> problem(ctx, all, b);
        int64_t iteration = 0;
        for (double first = 0; iteration < max_iter;) {
            const double violation = problem.step(sweeps);
            if (iteration++ == 0) first = violation;
            if (violation <= tol * first) break;
        }
        problem.store(all.W + b * all.n * all.k, all.F + b * all.d * all.k);
        all.loss[b] = problem.loss();
        all.n_iter[b] = iteration;
    });
}

template void factorize_small(const Context&, const SmallProblems<float>&, const SweepOptions&, double, int64_t);
template void factorize_small(const Context&, const SmallProblems<double>&, const SweepOptions&, double, int64_t);

}  // namespace latom
