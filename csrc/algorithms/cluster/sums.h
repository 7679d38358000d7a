// sums.h: sums of rows on their way to a new center.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "latom/views.h"

namespace latom {

/// Float64 accumulator [d].
class DenseSum {
public:
    void resize(int64_t d) { sum_.assign(static_cast<std::size_t>(d), 0.0); }
    double* data() { return sum_.data(); }
    /// f(column, sum) over the columns in rising order.
    template <class F>
    void drain(F f) {
        for (std::size_t t = 0; t < sum_.size(); ++t) f(static_cast<int64_t>(t), sum_[t]);
    }
    double norm2() const {
        double total = 0;
        for (const double v : sum_) total += v * v;
        return total;
    }

private:
    std::vector<double> sum_;
};

/// Float64 accumulator [d] that remembers which columns were touched, as a bitmap.
class SumScratch {
public:
    void resize(int64_t d) {
        if (static_cast<int64_t>(sum_.size()) == d) return;
        sum_.assign(static_cast<std::size_t>(d), 0.0);
        touched_.assign(static_cast<std::size_t>((d + 63) / 64), 0);
    }
    void add(int64_t t, double v) {
        sum_[t] += v;
        touched_[t >> 6] |= std::uint64_t{1} << (t & 63);
    }
    /// f(column, sum) over touched columns in rising order; the sums are zero afterwards.
    template <class F>
    void drain(F f) {
        each([&](int64_t t) {
            f(t, sum_[t]);
            sum_[t] = 0;
        });
        std::fill(touched_.begin(), touched_.end(), 0);
    }
    double norm2() const {
        double total = 0;
        each([&](int64_t t) { total += sum_[t] * sum_[t]; });
        return total;
    }

private:
    template <class F>
    void each(F f) const {
        for (std::size_t word = 0; word < touched_.size(); ++word)
            for (std::uint64_t bits = touched_[word]; bits; bits &= bits - 1)
                f(static_cast<int64_t>(word * 64) + std::countr_zero(bits));
    }
    std::vector<double> sum_;
    std::vector<std::uint64_t> touched_;
};

}  // namespace latom
