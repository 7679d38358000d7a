// progressive_cholesky.h: least squares over unknowns that come one at a time.
//
//   G c = b,     G = L L^T,  [size, size]
//
// add() takes the next row of G with its b and extends L by one row, and y of L y = b by one number; solve() gives c.
// float64, sums in order; products rounded before they are added. Cost: size^2 / 2 multiply-adds each.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace latom {

class ProgressiveCholesky {
public:
    void clear() {
        size_ = 0;
        L_.clear();
        y_.clear();
    }
    std::int64_t size() const { return size_; }

    /// products [size]: the new row of G left of its diagonal. False, with nothing changed, where the pivot's square is
    /// at most `least`: the new unknown depends on those before.
    bool add(const double* products, double diagonal, double b, double least) {
        const std::size_t at = L_.size();
        double rest = diagonal, right = b;
        for (std::int64_t p = 0; p < size_; ++p) {
            const double* row = this->row(p);
            double value = products[p];
            for (std::int64_t q = 0; q < p; ++q) value -= row[q] * L_[at + static_cast<std::size_t>(q)];
            value /= row[p];
            L_.push_back(value);
            rest -= value * value;
            right -= value * y_[p];
        }
        if (!(rest > least)) {
            L_.resize(at);
            return false;
        }
        const double pivot = std::sqrt(rest);
        L_.push_back(pivot);
        y_.push_back(right / pivot);
        ++size_;
        return true;
    }

    /// The square of the newest number of y: what the new unknown takes from the squared residual.
    double gain() const { return y_.back() * y_.back(); }

    void solve(double* c) const {
        for (std::int64_t p = 0; p < size_; ++p) c[p] = y_[p];
        for (std::int64_t p = size_ - 1; p >= 0; --p) {
            const double* row = this->row(p);
            c[p] /= row[p];
            for (std::int64_t q = 0; q < p; ++q) c[q] -= row[q] * c[p];
        }
    }

private:
    const double* row(std::int64_t p) const { return L_.data() + p * (p + 1) / 2; }

    std::int64_t size_ = 0;
    std::vector<double> L_, y_;  // L by rows, packed
};

}  // namespace latom
