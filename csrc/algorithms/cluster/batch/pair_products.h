// pair_products.h: the products of all pairs of a few rows.
//
//   PairProducts   <x_i, x_l> in float64, by the kernel that decides (kernels/dot.inl.h), for who needs its bits
//   PairCosines    <x_i, x_l> / |x_i| |x_l| in float32, four times as fast, within error() of the truth: of rows at
//                  length 1, u half a unit of float32, numbers are off by u of themselves, and d products and their
//                  sums by (d + 1) u in whatever order,
//                    error = 1.01 (d + 4) u + 1e-30 d         (numbers too small for float32 included)
//                  A row of norm 0 has products 0.
//
// Cost      n^2 d / 2 multiply-adds.    Memory  8 (4) bytes per pair; PairCosines: two copies of the rows in float32.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/buffer.h"
#include "core/parallel.h"
#include "kernels/table.h"
#include "latom/views.h"

namespace latom {

/// Numbers of all pairs, with room for whole lines; those beyond n are 0.
template <class U>
class PairMatrix {
public:
    static constexpr int64_t kSide = 16;

    void reset(int64_t n) {
        n_ = n;
        width_ = chunk_count(n, kSide) * kSide;
        numbers_.resize(static_cast<std::size_t>(width_ * width_));
        std::fill(numbers_.begin(), numbers_.end(), U{0});
    }
    int64_t n() const { return n_; }
    /// Numbers from one row to the next.
    int64_t width() const { return width_; }
    U* row(int64_t i) { return numbers_.data() + i * width_; }
    const U* row(int64_t i) const { return numbers_.data() + i * width_; }

    /// From what stands above the diagonal, what is below it: blocks of a few lines at a time.
    void mirror() {
        constexpr int64_t kBlock = 8;
        for (int64_t a = 0; a < width_; a += kBlock) {
            for (int64_t b = a; b < width_; b += kBlock)
                for (int64_t i = a; i < a + kBlock; ++i)
                    for (int64_t j = std::max(b, i + 1); j < b + kBlock; ++j) row(j)[i] = row(i)[j];
            poll();
        }
    }

private:
    int64_t n_ = 0, width_ = 0;
    AlignedVector<U> numbers_;
};

/// rows [n, d], C-contiguous. wide is scratch: products of float32 are exact in float64, so that widening rows once
/// leaves their bits as they are, and it is what costs.
template <class T>
void multiply_pairs(const KernelTable* kernels, const T* rows, int64_t n, int64_t d, AlignedVector<double>& wide,
                    PairMatrix<double>& out) {
    constexpr int64_t kSide = 8;  // rows that the first cache holds
    out.reset(n);
    wide.resize(static_cast<std::size_t>(n * d));
    for (int64_t p = 0; p < n * d; ++p) wide[p] = static_cast<double>(rows[p]);
    const double *x[kSide], *y[kSide];
    for (int64_t from = 0; from < n; from += kSide) {
        const int64_t some = std::min(kSide, n - from);
        for (int64_t i = 0; i < some; ++i) x[i] = wide.data() + (from + i) * d;
        for (int64_t l = 0; l < from + some; ++l) {
            std::fill_n(y, some, wide.data() + l * d);
            kernels->f64.dense_dots(x, y, some, d, out.row(l) + from);
        }
        poll();
    }
    out.mirror();
}

template <class T>
class PairCosines {
public:
    /// rows [n, d], C-contiguous, with these squared norms.
    void make(const KernelTable* kernels, const T* rows, const double* norm2, int64_t n, int64_t d) {
        constexpr int64_t kSide = PairMatrix<float>::kSide;
        error_ = 1.01 * static_cast<double>(d + 4) * 0x1p-24 + 1e-30 * static_cast<double>(d);
        cosines_.reset(n);
        unit_.resize(static_cast<std::size_t>(n * d));
        for (int64_t i = 0; i < n; ++i) {
            const double inverse = norm2[i] > 0 ? 1 / std::sqrt(norm2[i]) : 0.0;
            const T* x = rows + i * d;
            float* to = unit_.data() + i * d;
            for (int64_t t = 0; t < d; ++t) to[t] = static_cast<float>(static_cast<double>(x[t]) * inverse);
        }
        turned_.assign(static_cast<std::size_t>(d * kSide), 0.0f);
        out_.resize(static_cast<std::size_t>(cosines_.width() * kSide));
        for (int64_t from = 0; from < n; from += kSide) {
            const int64_t some = std::min(kSide, n - from), above = from + some;
            if (some < kSide) std::fill(turned_.begin(), turned_.end(), 0.0f);
            kernels->f32.transpose(unit_.data() + from * d, some, d, d, turned_.data(), kSide);
            kernels->f32.small_product(unit_.data(), above, d, turned_.data(), kSide, out_.data());
            for (int64_t i = 0; i < above; ++i) std::copy_n(out_.data() + i * kSide, kSide, cosines_.row(i) + from);
            poll();
        }
        cosines_.mirror();
    }

    double error() const { return error_; }
    int64_t n() const { return cosines_.n(); }
    int64_t width() const { return cosines_.width(); }
    const float* row(int64_t i) const { return cosines_.row(i); }

private:
    double error_ = 0;
    PairMatrix<float> cosines_;
    AlignedVector<float> unit_, turned_, out_;
};

}  // namespace latom
