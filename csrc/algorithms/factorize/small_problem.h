// small_problem.h: factorizations that are one thread's work from start to end, whatever holds their X.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

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

/// One factorization: starts W [n, k] and F [d, k], then results.
template <class T>
struct Factors {
    int64_t k;
    T *W, *F;
    double loss = 0;  // ||X - W F^T||^2 / 2
    int64_t n_iter = 0;
};

/// Factorizations of one X that advance together: their factors stand beside each other, so that one product of X
/// serves all, and a gathered row is read for many columns. Each has the bits that it has alone.
///
/// Factors are extrapolated while the loss falls; an iteration after which it has risen is undone, and the next is plain
/// (Ang & Gillis, "Accelerating nonnegative matrix factorization algorithms using extrapolation", 2019).
template <class T, class Products>
class Together {
public:
    /// X must outlive the object.
    Together(const Context& ctx, const Products& X, int64_t n, int64_t d, const std::vector<Factors<T>*>& all)
        : ctx_(ctx), X_(X), n_(n), d_(d), norm2_(X.norm2()), rounding_(norm2_ * std::numeric_limits<T>::epsilon() / 4) {
        for (Factors<T>* one : all) {
            const auto square = static_cast<std::size_t>(one->k * one->k);
            members_.push_back({one, 0, std::vector<double>(square), std::vector<double>(square),
                                std::vector<T>(static_cast<std::size_t>(n * one->k))});
        }
        place();
        for (Member& m : members_) {
            restore(m);
            gram(ctx_, view(F_, d_, m), m.of_F.data());
        }
    }

    /// Iterations of each until its violation is at most tol times the first, max_iter, or where all that moves it is
    /// rounding, which extrapolation keeps in motion.
    void run(const SweepOptions& sweeps, double tol, int64_t max_iter) {
        while (!members_.empty()) {
            step(sweeps);
            const auto ended = [&](const Member& m) {
                return m.violation <= tol * m.first || m.factors->n_iter == max_iter || m.idle == kIdle;
            };
            if (std::erase_if(members_, ended) > 0) place();
        }
    }

private:
    static constexpr int kIdle = 100;  // iterations that together gain no more than rounding
    struct Member {
        Factors<T>* factors;              // the lowest so far
        int64_t at;                       // its first column
        std::vector<double> of_W, of_F;   // Gram matrices
        std::vector<T> last;              // W [n, k] before it was extrapolated
        double first = 0, violation = 0;  // of the first iteration, of the last
        double beta = 0.5, most = 1;      // how far factors are extrapolated, and may be
        bool plain = true;                // W is not, in this iteration
        int idle = 0;                     // iterations since the loss was lower by more than rounding
        double mark = HUGE_VAL;           // the loss then
    };

    DenseView<T> view(const AlignedVector<T>& rows, int64_t count, const Member& m) const {
        return {rows.data() + m.at, count, m.factors->k, width_};
    }
    /// f(where a row of A stands, its row of `own`) for all rows of a member.
    template <class F>
    void each_row(const Member& m, AlignedVector<T>& A, T* own, F f) const {
        const int64_t k = m.factors->k, rows = static_cast<int64_t>(A.size()) / width_;
        for (int64_t i = 0; i < rows; ++i) f(A.data() + i * width_ + m.at, own + i * k, k);
    }
    /// The columns of all members side by side, at whole lines of 64 bytes with zeros behind them.
    void place() {
        const int64_t before = width_;
        width_ = 0;
        for (const Member& m : members_) width_ += m.factors->k;
        width_ = whole_lines<T>(width_);
        const auto moved = [&](AlignedVector<T>& A, int64_t rows) {
            AlignedVector<T> out(static_cast<std::size_t>(rows * width_), T{0});
            int64_t at = 0;
            for (const Member& m : members_) {
                for (int64_t i = 0; i < rows && before > 0; ++i)
                    std::copy_n(A.data() + i * before + m.at, m.factors->k, out.data() + i * width_ + at);
                at += m.factors->k;
            }
            A.swap(out);
        };
        moved(W_, n_);
        moved(F_, d_);
        P_.resize(static_cast<std::size_t>(std::max(n_, d_) * width_));
        int64_t at = 0;
        for (Member& m : members_) {
            m.at = at;
            at += m.factors->k;
        }
    }
    void restore(const Member& m) {
        const auto copy = [](T* here, const T* own, int64_t k) { std::copy_n(own, k, here); };
        each_row(m, W_, m.factors->W, copy);
        each_row(m, F_, m.factors->F, copy);
    }
    /// x and what it was before -> a step beyond x, and x.
    static void extrapolate(T* x, T* before, int64_t k, T beta) {
        for (int64_t c = 0; c < k; ++c) {
            const T step = beta * (x[c] - before[c]), ahead = x[c] + step;
            before[c] = x[c];
            x[c] = ahead > 0 ? ahead : 0;
        }
    }

    /// One iteration of all.
    void step(const SweepOptions& sweeps) {
        X_.multiply(false, F_.data(), width_, P_.data());
        for (Member& m : members_) {
            m.violation = sweep(m, n_, m.of_F, W_, sweeps).violation;
            each_row(m, W_, m.last.data(), [&](T* here, T* before, int64_t k) {
                extrapolate(here, before, k, m.plain ? T{0} : static_cast<T>(m.beta));
            });
            gram(ctx_, view(W_, n_, m), m.of_W.data());
        }
        X_.multiply(true, W_.data(), width_, P_.data());
        for (Member& m : members_) {
            const SweepStats stats = sweep(m, d_, m.of_W, F_, sweeps);
            gram(ctx_, view(F_, d_, m), m.of_F.data());
            double quadratic = 0;
            for (std::size_t q = 0; q < m.of_F.size(); ++q) quadratic += m.of_W[q] * m.of_F[q];
            m.violation += stats.violation;
            if (m.factors->n_iter++ == 0) m.first = m.violation;
            judge(m, norm2_ / 2 - stats.cross + quadratic / 2);
            gram(ctx_, view(F_, d_, m), m.of_F.data());
        }
    }
    /// Keeps what an iteration has found, unless extrapolation has led beyond rounding above what was kept.
    void judge(Member& m, double loss) {
        constexpr double kGrow = 1.05, kGrowMost = 1.01, kShrink = 1.5;
        ++m.idle;
        if (loss < m.mark - rounding_) {
            m.mark = loss;
            m.idle = 0;
        }
        const bool risen = !m.plain && loss > m.factors->loss + rounding_;
        m.plain = risen;
        if (risen) {
            restore(m);
            m.most = m.beta;
            m.beta /= kShrink;
            return;
        }
        m.factors->loss = loss;
        each_row(m, W_, m.factors->W, [](const T* here, T* own, int64_t k) { std::copy_n(here, k, own); });
        each_row(m, F_, m.factors->F,
                 [&](T* here, T* before, int64_t k) { extrapolate(here, before, k, static_cast<T>(m.beta)); });
        m.most = std::min(1.0, kGrowMost * m.most);
        m.beta = std::min(m.most, kGrow * m.beta);
    }
    SweepStats sweep(const Member& m, int64_t rows, const std::vector<double>& G, AlignedVector<T>& A,
                     const SweepOptions& sweeps) {
        return coordinate_sweep(ctx_, G.data(), view(P_, rows, m), sweeps, A.data() + m.at, A.data() + m.at, width_);
    }

    const Context& ctx_;
    const Products& X_;
    int64_t n_, d_, width_ = 0;
    std::vector<Member> members_;
    AlignedVector<T> W_, F_, P_;
    double norm2_, rounding_;  // rounding_: what the loss is known to
};

/// Which of some factorizations of one X advance together, by indices: at most kTogether columns where there are more
/// than one, about as many in each group, and a group for each worker.
inline std::vector<std::vector<int64_t>> groups_of(const std::vector<int64_t>& k, int64_t at_least) {
    constexpr int64_t kTogether = 64;  // by measurement: more rows of factors would leave the second cache
    const auto count = static_cast<int64_t>(k.size());
    const int64_t columns = std::accumulate(k.begin(), k.end(), int64_t{0});
    std::vector<std::vector<int64_t>> groups(
        static_cast<std::size_t>(std::min(count, std::max(at_least, chunk_count(columns, kTogether)))));
    std::vector<int64_t> order(k.size()), width(groups.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return k[a] > k[b]; });
    for (const int64_t one : order) {
        const auto least = std::min_element(width.begin(), width.end()) - width.begin();
        groups[least].push_back(one);
        width[least] += k[one];
    }
    return groups;
}

}  // namespace latom
