// sampling.h: draws in proportion to weights.
//
//   AliasTable     with replacement, O(1) a draw (Walker 1977, in Vose's order of 1991)
//   PrefixTable    with replacement, O(log n) a draw; summed in blocks, in parallel
//   race           without replacement, all at once: the smallest E_i / w_i, E_i exponential, in rising order, which is
//                  that of drawing one after another (Efraimidis & Spirakis 2006; the Gumbel top-k)
//
// Tables hold one or two numbers per row. A row of weight 0 is never drawn. All of it can be interrupted.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "core/parallel.h"
#include "core/philox.h"
#include "latom/views.h"

namespace latom {

/// To be called once per item of a long loop within a chunk: polls now and then.
class Ticker {
public:
    void operator()() {
        if ((++count_ & 0xFFFF) == 0) poll();
    }

private:
    std::uint32_t count_ = 0;
};

class AliasTable {
public:
    /// weight(i) >= 0, not all zero; n >= 1.
    template <class Weight>
    AliasTable(const Context& ctx, int64_t n, Weight weight)
        : keep_(static_cast<std::size_t>(n)), other_(static_cast<std::size_t>(n)) {
        parallel_for(ctx, 1, [&](int64_t, int) { fill(n, weight); });
    }

    int64_t draw(double uniform, double coin) const {
        const auto n = static_cast<int64_t>(keep_.size());
        const int64_t i = std::min(static_cast<int64_t>(uniform * static_cast<double>(n)), n - 1);
        return coin < keep_[i] ? i : other_[i];
    }

private:
    template <class Weight>
    void fill(int64_t n, Weight weight) {
        Ticker tick;
        double most = 0, total = 0;  // of numbers that neither overflow nor vanish
        for (int64_t i = 0; i < n; ++i, tick()) most = std::max(most, weight(i));
        for (int64_t i = 0; i < n; ++i, tick()) total += weight(i) / most;
        std::vector<int64_t> small, large;
        for (int64_t i = n - 1; i >= 0; --i, tick()) {
            keep_[i] = weight(i) / most / total * static_cast<double>(n);
            other_[i] = i;
            (keep_[i] < 1 ? small : large).push_back(i);
        }
        for (; !small.empty() && !large.empty(); tick()) {
            const int64_t less = small.back(), more = large.back();
            small.pop_back();
            other_[less] = more;
            keep_[more] -= 1 - keep_[less];
            if (keep_[more] < 1) {
                large.pop_back();
                small.push_back(more);
            }
        }
        // Rounding leaves some a little off 1; but a row of weight 0 must keep nothing.
        for (const int64_t i : large) keep_[i] = 1;
        int64_t heaviest = 0;
        for (int64_t i = 1; i < n; ++i)
            if (weight(i) > weight(heaviest)) heaviest = i;
        for (const int64_t i : small) {
            if (weight(i) > 0) keep_[i] = 1;
            else other_[i] = heaviest;
        }
    }

    std::vector<double> keep_;
    std::vector<int64_t> other_;
};

/// Sums of weights over blocks of rows, and a search in them. The weights stay with the caller: mass(i).
class PrefixTable {
public:
    static constexpr int64_t kBlock = 256;

    explicit PrefixTable(int64_t n = 0) : n_(n), sum_(static_cast<std::size_t>(chunk_count(n, kBlock))) {}

    double total() const { return prefix_.empty() ? 0.0 : prefix_.back(); }
    int64_t blocks() const { return static_cast<int64_t>(sum_.size()); }
    int64_t last(int64_t block) const { return std::min(n_, (block + 1) * kBlock); }

    /// New sum of a block; finish() must follow when all are set.
    template <class Mass>
    void sum(int64_t block, Mass mass) {
        double own = 0;
        for (int64_t i = block * kBlock; i < last(block); ++i) own += mass(i);
        sum_[block] = own;
    }
    void finish() {
        prefix_.resize(sum_.size() + 1);
        prefix_[0] = 0;
        std::partial_sum(sum_.begin(), sum_.end(), prefix_.begin() + 1);
    }
    template <class Mass>
    void sum_all(const Context& ctx, Mass mass) {
        constexpr int64_t kBlocks = 16;
        parallel_for(ctx, chunk_count(blocks(), kBlocks), [&](int64_t c, int) {
            for (int64_t b = c * kBlocks; b < std::min(blocks(), (c + 1) * kBlocks); ++b) sum(b, mass);
        });
        finish();
    }

    /// Row drawn by `uniform` in [0, 1); -1 if all weights are zero.
    template <class Mass>
    int64_t draw(double uniform, Mass mass) const {
        if (!(total() > 0)) return -1;
        const auto above = std::upper_bound(prefix_.begin() + 1, prefix_.end(), uniform * total());
        int64_t block = std::min<int64_t>(above - prefix_.begin() - 1, blocks() - 1);
        while (block > 0 && !(sum_[block] > 0))
            --block;  // rounding may leave a little after the end: the last possible row takes it
        double left = uniform * total() - prefix_[block];
        int64_t found = -1;
        for (int64_t i = block * kBlock; i < last(block); ++i) {
            const double v = mass(i);
            if (!(v > 0)) continue;
            found = i;
            if (left < v) return i;
            left -= v;
        }
        return found;
    }

private:
    int64_t n_;
    std::vector<double> sum_, prefix_;
};

/// `size` rows without replacement; fewer if fewer have a weight.
template <class Weight>
std::vector<int64_t> race(const Context& ctx, int64_t n, int64_t size, const Philox& random, Weight weight) {
    constexpr int64_t kRows = 4096;
    std::vector<double> time(static_cast<std::size_t>(n));
    parallel_for(ctx, chunk_count(n, kRows), [&](int64_t c, int) {
        for (int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i) {
            const double w = weight(i);
            // The logarithm of E / w: no overflow.
            time[i] =
                w > 0 ? std::log(-std::log1p(-random.uniform(static_cast<std::uint64_t>(i)))) - std::log(w) : HUGE_VAL;
        }
    });
    std::vector<int64_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    size = std::min(size, n);
    parallel_for(ctx, 1, [&](int64_t, int) {
        Ticker tick;
        const auto before = [&](int64_t a, int64_t b) {
            tick();
            return time[a] != time[b] ? time[a] < time[b] : a < b;
        };
        const auto end = order.begin() + size;
        if (size < n) std::nth_element(order.begin(), end, order.end(), before);
        std::sort(order.begin(), end, before);
    });
    while (size > 0 && time[order[size - 1]] == HUGE_VAL) --size;
    order.resize(static_cast<std::size_t>(size));
    return order;
}

}  // namespace latom
