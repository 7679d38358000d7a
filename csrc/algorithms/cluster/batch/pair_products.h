// pair_products.h: the products of all pairs of a few rows, in float64, by the Gram kernel.
//
// The kernel takes columns (kernels/gram.inl.h), so rows are turned some columns at a time; the sums of each product
// run over columns in order, so they are the same bits in every variant.
//
// Cost      n^2 d / 2 multiply-adds.    Memory  8 (width^2 + 64 width) bytes, width = n up to a multiple of 16.
#pragma once

#include <algorithm>

#include "core/buffer.h"
#include "core/parallel.h"
#include "kernels/table.h"
#include "latom/views.h"

namespace latom {

template <class T>
class PairProducts {
public:
    /// rows [n, d], C-contiguous.
    void make(const KernelTable* kernels, const T* rows, int64_t n, int64_t d) {
        n_ = n;
        width_ = chunk_count(n, 16) * 16;
        products_.resize(static_cast<std::size_t>(width_ * width_));
        std::fill(products_.begin(), products_.end(), 0.0);
        turned_.resize(static_cast<std::size_t>(kColumns * width_));
        wide_.resize(static_cast<std::size_t>(kColumns * width_));
        for (int64_t t = 0; t < d; t += kColumns) {
            const int64_t columns = std::min(kColumns, d - t);
            kernels->of<T>().transpose(rows + t, n, d, columns, turned_.data(), width_);
            kernels->of<T>().gram(turned_.data(), columns, width_, n, width_, wide_.data(), products_.data());
            poll();
        }
        mirror();
    }

    /// Takes over the products that another has made.
    void copy(const PairProducts& other) {
        n_ = other.n_;
        width_ = other.width_;
        products_ = other.products_;
    }

    int64_t n() const { return n_; }
    /// Numbers from one row to the next; those beyond n are 0.
    int64_t width() const { return width_; }
    double* row(int64_t i) { return products_.data() + i * width_; }
    const double* row(int64_t i) const { return products_.data() + i * width_; }

private:
    static constexpr int64_t kColumns = 64;

    // The kernel leaves pairs below the diagonal out: blocks of a few lines at a time.
    void mirror() {
        constexpr int64_t kBlock = 8;
        for (int64_t a = 0; a < width_; a += kBlock)
            for (int64_t b = a; b < width_; b += kBlock)
                for (int64_t i = a; i < a + kBlock; ++i)
                    for (int64_t j = std::max(b, i + 1); j < b + kBlock; ++j) row(j)[i] = row(i)[j];
    }

    int64_t n_ = 0, width_ = 0;
    AlignedVector<double> products_, wide_;
    AlignedVector<T> turned_;
};

}  // namespace latom
