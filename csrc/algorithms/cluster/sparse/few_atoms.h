// few_atoms.h: the best atom of each sparse row where atoms are few: all scores in float64 at once.
//
// The atoms stand column by column, [d, m], so that a term of a row meets all of them in a cache line or two. Its
// scores are those of sparse_dot, bit by bit; nothing is screened and nothing kept between passes, and rows are read in
// their order.
//
// Cost      nnz * m multiply-adds; d * m numbers for the atoms.
#pragma once

#include "algorithms/cluster/drift.h"
#include "core/buffer.h"
#include "engines/product_select/score_rule.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class FewAtoms {
public:
    using T = typename View::value_type;
    /// Whether that is faster than a screen: few atoms, or all of them within the second cache. By measurement.
    static bool pays(int64_t m, int64_t d) {
        const double bytes = static_cast<double>(sizeof(T)) * static_cast<double>(m) * static_cast<double>(d);
        return m <= 144 || (m <= kMost && bytes <= kCacheBytes);
    }

    void prepare(const Context& ctx, const std::vector<Atom<T>>& atoms, int64_t d) {
        m_ = static_cast<int64_t>(atoms.size());
        stride_ = (m_ + 7) / 8 * 8;
        columns_.resize(static_cast<std::size_t>(d * stride_));
        const int64_t block = std::max<int64_t>(64, chunk_count(d, 16));
        parallel_for(ctx, chunk_count(d, block), [&](int64_t b, int) {
            const int64_t from = b * block, to = std::min(d, from + block);
            std::fill(columns_.begin() + from * stride_, columns_.begin() + to * stride_, T{0});
            for (int64_t j = 0; j < m_; ++j) {
                const auto& column = atoms[j].column;
                for (auto at = std::lower_bound(column.begin(), column.end(), from); at != column.end() && *at < to;
                     ++at)
                    columns_[*at * stride_ + j] = atoms[j].value[at - column.begin()];
            }
        });
    }

    /// Labels and scores of all rows. Returns the multiply-adds spent.
    double run(const Context& ctx, const Rows<View>& rows, const ScoreRule& decision, RowState& state) const {
        using I = typename View::index_type;
        const auto scores = rows.kernels()->template of<T, I>().sparse_scores;
        constexpr int64_t kRows = 512;
        const int32_t zero_label = decision.zero_label();
        parallel_for(ctx, chunk_count(rows.n(), kRows), [&](int64_t c, int) {
            double out[kMost];
            for (int64_t i = c * kRows; i < std::min(rows.n(), (c + 1) * kRows); ++i) {
                state.label[i] = zero_label;
                state.own[i] = decision(0.0, zero_label);
                if (!(rows.norm2(i) > 0)) continue;
                scores(rows.values(i), rows.columns(i), rows.size(i), columns_.data(), stride_, out);
                decision.score(out, m_);
                const int32_t best = first_highest(out, m_);
                state.label[i] = best;
                state.own[i] = out[best];
            }
        });
        return static_cast<double>(rows.stored()) * static_cast<double>(m_);
    }

private:
    static constexpr int64_t kMost = 512;  // atoms
    static constexpr double kCacheBytes = 1 << 20;

    // The lowest of the indices of the highest number.
    static int32_t first_highest(const double* score, int64_t count) {
        double high[4] = {score[0], score[0], score[0], score[0]};  // apart, so that none waits for the one before
        int64_t j = 0;
        for (; j + 4 <= count; j += 4)
            for (int lane = 0; lane < 4; ++lane) high[lane] = std::max(high[lane], score[j + lane]);
        for (; j < count; ++j) high[0] = std::max(high[0], score[j]);
        const double highest = std::max(std::max(high[0], high[1]), std::max(high[2], high[3]));
        return static_cast<int32_t>(std::find(score, score + count, highest) - score);
    }

    int64_t m_ = 0, stride_ = 0;
    AlignedVector<T> columns_;  // [d, stride]
};

}  // namespace latom
