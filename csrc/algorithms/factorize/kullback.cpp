// kullback.cpp: the multiplicative step for the Kullback-Leibler divergence, by rows of X or by its columns.
#include <algorithm>
#include <numeric>

#include "latom/factorize.h"
#include "rows/transposed.h"

namespace latom {
namespace {

constexpr int64_t kRun = 64;        // entries whose rows are gathered twice while the cache has them
constexpr double kLeast = 0x1p-23;  // what a product or denominator of 0 counts as, as in scikit-learn

/// Rows of k numbers at whole lines, zeros behind them; the rows themselves where they are so already.
template <class T>
class Padded {
public:
    Padded(const T* rows, int64_t n, int64_t k, int64_t width) : data_(rows) {
        if (k == width) return;
        copy_.assign(static_cast<std::size_t>(n * width), T{0});
        for (int64_t i = 0; i < n; ++i) std::copy_n(rows + i * k, k, copy_.data() + i * width);
        data_ = copy_.data();
    }
    const T* data() const { return data_; }

private:
    const T* data_;
    AlignedVector<T> copy_;
};

/// The sum over some entries of one row: products, quotients, their part of the numerator [width].
template <class T, class I>
class Accumulate {
public:
    Accumulate(const KernelTable* kernels, int64_t width)
        : dots_(kernels->of<T, I>().dots_at),
          log_(kernels->of<T>().log_dot),
          add_(kernels->of<T, I>().gather_add),
          width_(width) {}

    double operator()(const I* index, const T* values, int64_t count, int64_t ahead, const T* a, const T* F,
                      T* numerator) const {
        double logs = 0;
        T y[kRun], quotient[kRun];
        for (int64_t p = 0; p < count; p += kRun) {
            const int64_t some = std::min(kRun, count - p);
            dots_(index + p, some, ahead - p, a, F, width_, y);
            for (int64_t q = 0; q < some; ++q) {
                y[q] = y[q] < static_cast<T>(kLeast) ? static_cast<T>(kLeast) : y[q];
                quotient[q] = values[p + q] / y[q];
            }
            logs += log_(values + p, y, some);
            add_(index + p, quotient, some, some, F, width_, width_, numerator);
        }
        return logs;
    }

private:
    decltype(IndexedKernels<T, I>::dots_at) dots_;
    decltype(TypedKernels<T>::log_dot) log_;
    decltype(IndexedKernels<T, I>::gather_add) add_;
    int64_t width_;
};

template <class T>
void finish(const KullbackStep<T>& step, int64_t i, const T* numerator) {
    const int64_t k = step.F.d;
    for (int64_t c = 0; c < k; ++c) {
        const T a = step.A[i * k + c];
        const T bottom = static_cast<T>(step.sums[c] + step.l1 + step.l2 * static_cast<double>(a));
        step.out[i * k + c] = a * (numerator[c] / (bottom == 0 ? static_cast<T>(kLeast) : bottom));
    }
}

}  // namespace

template <class T, class I>
double kullback_step(const Context& ctx, const Rows<CsrView<T, I>>& rows, const KullbackStep<T>& step) {
    const CsrView<T, I>& X = rows.view();
    constexpr int64_t kRows = 64;
    const int64_t k = step.F.d, width = whole_lines<T>(k), chunks = chunk_count(X.n, kRows);
    const Padded<T> F(step.F.data, step.F.n, k, width);
    const Accumulate<T, I> accumulate(ctx.kernels, width);
    std::vector<double> logs(static_cast<std::size_t>(chunks));
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        AlignedVector<T> row(static_cast<std::size_t>(2 * width));
        std::fill_n(row.data(), 2 * width, T{0});
        T *a = row.data(), *numerator = a + width;
        const int64_t last = std::min(X.n, (c + 1) * kRows);
        for (int64_t i = c * kRows; i < last; ++i) {
            std::copy_n(step.A + i * k, k, a);
            std::fill_n(numerator, width, T{0});
            const int64_t p = X.begin(i);
            logs[c] += accumulate(X.indices + p, X.data + p, X.size(i), X.indptr[last] - p, a, F.data(), numerator);
            finish(step, i, numerator);
        }
    });
    return std::accumulate(logs.begin(), logs.end(), 0.0);
}

template <class T>
double kullback_step(const Context& ctx, const Transposed<T>& X, const KullbackStep<T>& step) {
    const int64_t k = step.F.d, width = whole_lines<T>(k);
    const Padded<T> F(step.F.data, step.F.n, k, width), A(step.A, X.d(), k, width);
    const Accumulate<T, int32_t> accumulate(ctx.kernels, width);
    const std::vector<int64_t>& borders = X.borders();
    const auto chunks = static_cast<int64_t>(borders.size()) - 1;
    std::vector<double> logs(static_cast<std::size_t>(chunks));
    AlignedVector<T> numerators(static_cast<std::size_t>(X.d() * width));
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        const int64_t first = borders[c], last = borders[c + 1];
        std::fill(numerators.data() + first * width, numerators.data() + last * width, T{0});
        X.each_segment(first, last, [&](int64_t j, int64_t row, const auto& segment, int64_t ahead) {
            logs[c] += accumulate(segment.rows, segment.values, segment.count, ahead, A.data() + j * width,
                                  F.data() + row * width, numerators.data() + j * width);
        });
        for (int64_t j = first; j < last; ++j) finish(step, j, numerators.data() + j * width);
    });
    return std::accumulate(logs.begin(), logs.end(), 0.0);
}

template double kullback_step(const Context&, const Rows<CsrView<float, int32_t>>&, const KullbackStep<float>&);
template double kullback_step(const Context&, const Rows<CsrView<float, int64_t>>&, const KullbackStep<float>&);
template double kullback_step(const Context&, const Rows<CsrView<double, int32_t>>&, const KullbackStep<double>&);
template double kullback_step(const Context&, const Rows<CsrView<double, int64_t>>&, const KullbackStep<double>&);
template double kullback_step(const Context&, const Transposed<float>&, const KullbackStep<float>&);
template double kullback_step(const Context&, const Transposed<double>&, const KullbackStep<double>&);

}  // namespace latom
