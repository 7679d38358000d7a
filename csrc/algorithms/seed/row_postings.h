// row_postings.h: CSR rows by columns, so that a centre meets only the rows that share a term with it.
//
// Rows stand in slabs whose products fit in the second cache; a slab is one thread's work, so sums have one order.
//
// Memory    as much as X, and 8 bytes a column and slab.        Cost of a centre: the rows that hold its terms.
#pragma once

#include <vector>

#include "algorithms/rows.h"
#include "core/buffer.h"

namespace latom {

template <class View>
class RowPostings {
public:
    using T = typename View::value_type;

    struct Scratch {
        std::vector<double> dot;       // [slab], 0 outside products()
        std::vector<char> seen;        // [slab]
        std::vector<int32_t> touched;  // rows of the slab
        double products = 0;
    };

    RowPostings(const Context& ctx, const Rows<View>& rows) : rows_(rows) {
        constexpr int64_t kSlabRows = 16384, kMostSlabs = 16;
        slab_ = std::max(kSlabRows, chunk_count(chunk_count(rows.n(), kMostSlabs), kSlabRows) * kSlabRows);
        const int64_t d = rows.d();
        begin_.resize(static_cast<std::size_t>(slabs()));
        parallel_for(ctx, slabs(), [&](int64_t s, int) {
            auto& begin = begin_[s];
            begin.assign(static_cast<std::size_t>(d) + 1, 0);
            for (int64_t i = first(s); i < last(s); ++i) rows.each(i, [&](int64_t t, T) { ++begin[t + 1]; });
            for (int64_t t = 0; t < d; ++t) begin[t + 1] += begin[t];
        });
        std::vector<int64_t> base(static_cast<std::size_t>(slabs()) + 1, 0);
        for (int64_t s = 0; s < slabs(); ++s) base[s + 1] = base[s] + begin_[s].back();
        row_.resize(static_cast<std::size_t>(base.back()));
        value_.resize(row_.size());
        parallel_for(ctx, slabs(), [&](int64_t s, int) {
            auto& begin = begin_[s];
            for (auto& b : begin) b += base[s];
            for (int64_t i = first(s); i < last(s); ++i)
                rows.each(i, [&](int64_t t, T v) {
                    row_[begin[t]] = static_cast<int32_t>(i - first(s));
                    value_[begin[t]++] = v;
                });
            // Each start has become its term's end: the next one's start.
            for (int64_t t = d; t > 0; --t) begin[t] = begin[t - 1];
            begin[0] = base[s];
        });
    }

    int64_t slabs() const { return chunk_count(rows_.n(), slab_); }
    int64_t first(int64_t s) const { return s * slab_; }
    int64_t last(int64_t s) const { return std::min(rows_.n(), (s + 1) * slab_); }

    /// f(i, <x_i, x_c>) for the rows of slab s that share a column with row c; for all of them if `all`.
    template <class F>
    void products(Scratch& scratch, int64_t s, int64_t c, bool all, F f) const {
        scratch.dot.resize(static_cast<std::size_t>(slab_), 0.0);
        scratch.seen.resize(static_cast<std::size_t>(slab_), 0);
        scratch.touched.clear();
        rows_.each(c, [&](int64_t t, T y) {
            for (int64_t p = begin_[s][t]; p < begin_[s][t + 1]; ++p) {
                const int32_t i = row_[p];
                const double product = static_cast<double>(value_[p]) * static_cast<double>(y);
                scratch.dot[i] += product;
                if (!scratch.seen[i]) scratch.touched.push_back(i);
                scratch.seen[i] = 1;
            }
            scratch.products += static_cast<double>(begin_[s][t + 1] - begin_[s][t]);
        });
        const auto leave = [&](int32_t i) {
            f(first(s) + i, scratch.dot[i]);
            scratch.dot[i] = 0;
            scratch.seen[i] = 0;
        };
        if (all)
            for (int64_t i = first(s); i < last(s); ++i) leave(static_cast<int32_t>(i - first(s)));
        else
            for (const int32_t i : scratch.touched) leave(i);
    }

private:
    const Rows<View>& rows_;
    int64_t slab_;
    std::vector<std::vector<int64_t>> begin_;  // [slabs][d + 1]
    AlignedVector<int32_t> row_;               // within the slab
    AlignedVector<T> value_;
};

}  // namespace latom
