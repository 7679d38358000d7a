// neighbor_blocks.h: rows of few columns in blocks of neighbors, as kernels/best_two.inl.h takes them.
//
// Rows stand by their label, and within a label by the cell of a grid that cuts its widest columns; `width` of them are
// a block. So blocks are small in space, and most of them can meet few atoms only: a block knows the box that holds its
// rows, and the ball around the middle of the box. Blocks are made once: rows that change their label later stay where
// they are, which costs time alone.
//
// Memory    per row 4 bytes per column and 8 more.     Cost      two readings of X.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/buffer.h"
#include "core/parallel.h"
#include "engines/product_select/column_screen.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class NeighborBlocks {
public:
    using T = typename View::value_type;

    struct Block {
        int64_t count = 0;    // of its rows; the lanes after them are empty
        double longest = 0;   // neither a row, less the origin, nor the middle is longer
        float radius2 = 0;    // of the ball around the middle that holds them
        bool uniform = true;  // all have the label of the first
    };

    bool built() const { return width_ > 0; }
    int64_t width() const { return width_; }
    int64_t size() const { return static_cast<int64_t>(blocks_.size()); }
    void clear() { *this = {}; }

    /// Rows by their labels in [0, m): all, or those of `some`. `width` is at most 64.
    void build(const Context& ctx, const Rows<View>& rows, const std::vector<T>& origin, int64_t width,
               const std::vector<int32_t>& label, int64_t m, const std::vector<int32_t>& some = {});
    /// Takes labels that others have changed.
    void read(const Context& ctx, const std::vector<int32_t>& label);

    Block& operator[](int64_t b) { return blocks_[b]; }
    const Block& operator[](int64_t b) const { return blocks_[b]; }
    const float* columns(int64_t b) const { return columns_.data() + b * d_ * width_; }
    const int32_t* rows(int64_t b) const { return row_.data() + b * width_; }
    int32_t* labels(int64_t b) { return label_.data() + b * width_; }
    /// The middle of the box, and half its width, per column.
    const float* middle(int64_t b) const { return middle_.data() + b * d_; }
    const float* half(int64_t b) const { return half_.data() + b * d_; }

private:
    static constexpr int64_t kLabelRows = 16384;  // of a label, in a stretch of X

    std::vector<int64_t> sort_by_label(const Context& ctx, const std::vector<int32_t>& label, int64_t m,
                                       const std::vector<int32_t>& some);
    void sort_by_cell(const Rows<View>& rows, int64_t from, int64_t to);
    void enclose(int64_t b);

    int64_t d_ = 0, width_ = 0;
    std::vector<Block> blocks_;
    std::vector<int32_t> row_, label_;  // [blocks, width]; row -1: none
    AlignedVector<float> columns_;      // [blocks, d, width]
    AlignedVector<float> middle_, half_;
};

// Row numbers by label within each stretch of X, from a new block on for each label; returns where each begins and ends
// [stretches, m][2].
template <class View>
std::vector<int64_t> NeighborBlocks<View>::sort_by_label(const Context& ctx, const std::vector<int32_t>& label,
                                                         int64_t m, const std::vector<int32_t>& some) {
    const auto n = static_cast<int64_t>(some.empty() ? label.size() : some.size()),
               rows = std::max<int64_t>(16384, chunk_count(n, 64));
    const int64_t chunks = chunk_count(n, rows), chunks_of = chunk_count(kLabelRows * m, rows);  // of a stretch
    const auto number = [&some](int64_t i) { return some.empty() ? static_cast<int32_t>(i) : some[i]; };
    std::vector<int64_t> next(static_cast<std::size_t>(chunks * m), 0), range;
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        for (int64_t i = c * rows; i < std::min(n, (c + 1) * rows); ++i) ++next[c * m + label[number(i)]];
    });
    int64_t place = 0;
    for (int64_t from = 0; from < chunks; from += chunks_of)
        for (int64_t j = 0; j < m; ++j) {
            range.push_back(place);
            for (int64_t c = from; c < std::min(chunks, from + chunks_of); ++c)
                place += std::exchange(next[c * m + j], place);
            range.push_back(place);
            place = chunk_count(place, width_) * width_;
        }
    row_.assign(static_cast<std::size_t>(place), -1);
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        for (int64_t i = c * rows; i < std::min(n, (c + 1) * rows); ++i)
            row_[next[c * m + label[number(i)]]++] = number(i);
    });
    return range;
}

// Places [from, to), the rows of one label, by the cells of a grid: each bit of a cell's number halves the column that
// is widest then. Columns are taken to reach two deviations from their mean.
template <class View>
void NeighborBlocks<View>::sort_by_cell(const Rows<View>& rows, int64_t from, int64_t to) {
    constexpr int kMostBits = 12;
    constexpr int64_t kSample = 256;  // rows
    constexpr int64_t kAhead = 16;    // rows that are on their way from memory
    int bits = 0;
    while (bits < kMostBits && (to - from) >> bits > width_ / 2) ++bits;
    if (bits < 2) return;
    // Some rows tell where columns lie.
    const int64_t step = chunk_count(to - from, kSample);
    std::vector<double> mean(static_cast<std::size_t>(d_), 0.0), spread(mean);
    const double count = static_cast<double>(chunk_count(to - from, step));
    for (int64_t p = from; p < to; p += step) {
        const T* x = rows.values(row_[p]);
        for (int64_t t = 0; t < d_; ++t) mean[t] += static_cast<double>(x[t]);
    }
    for (double& v : mean) v /= count;
    for (int64_t p = from; p < to; p += step) {
        const T* x = rows.values(row_[p]);
        for (int64_t t = 0; t < d_; ++t) {
            const double gap = static_cast<double>(x[t]) - mean[t];
            spread[t] += gap * gap;
        }
    }
    for (double& v : spread) v = std::sqrt(v / count);
    struct Cut {
        int64_t column;
        float first, scale, most;
        int bits;
    };
    std::vector<int> cut_bits(static_cast<std::size_t>(d_), 0);
    for (int b = 0; b < bits; ++b) {
        int64_t widest = 0;
        for (int64_t t = 1; t < d_; ++t)
            if (std::ldexp(spread[t], -cut_bits[t]) > std::ldexp(spread[widest], -cut_bits[widest])) widest = t;
        ++cut_bits[widest];
    }
    std::vector<Cut> cuts;
    for (int64_t t = 0; t < d_; ++t)
        if (cut_bits[t] > 0 && spread[t] > 0 && std::isfinite(1 / spread[t]))
            cuts.push_back({t, static_cast<float>(mean[t] - 2 * spread[t]),
                            static_cast<float>(std::ldexp(1.0, cut_bits[t]) / (4 * spread[t])),
                            static_cast<float>((1 << cut_bits[t]) - 1), cut_bits[t]});
    std::vector<int32_t> cell(static_cast<std::size_t>(to - from)), rows_before(row_.begin() + from, row_.begin() + to);
    std::vector<int64_t> next((std::size_t{1} << bits) + 1, 0);
    for (int64_t p = from; p < to; ++p) {
        if (p + kAhead < to) rows.prefetch(row_[p + kAhead]);
        const T* x = rows.values(row_[p]);
        int32_t number = 0;
        for (const Cut& cut : cuts) {
            const float at = (static_cast<float>(x[cut.column]) - cut.first) * cut.scale;
            const float low = at < cut.most ? at : cut.most;
            number = (number << cut.bits) | static_cast<int32_t>(low > 0 ? low : 0.0f);  // what is no number is 0
        }
        cell[p - from] = number;
        ++next[number + 1];
    }
    std::partial_sum(next.begin(), next.end(), next.begin());
    for (std::size_t p = 0; p < cell.size(); ++p) row_[from + next[cell[p]]++] = rows_before[p];
}

template <class View>
void NeighborBlocks<View>::enclose(int64_t b) {
    const float* x = columns(b);
    float* middle = middle_.data() + b * d_;
    float* half = half_.data() + b * d_;
    float far2[64] = {};
    double length2 = 0;
    for (int64_t t = 0; t < d_; ++t, x += width_) {
        float low = x[0], high = x[0];
        for (int64_t r = 1; r < blocks_[b].count; ++r) {
            low = std::min(low, x[r]);
            high = std::max(high, x[r]);
        }
        middle[t] = 0.5f * low + 0.5f * high;
        length2 += static_cast<double>(middle[t]) * static_cast<double>(middle[t]);
        half[t] = std::max(high - middle[t], middle[t] - low) * (1 + 1e-6f);
        for (int64_t r = 0; r < width_; ++r) far2[r] += (x[r] - middle[t]) * (x[r] - middle[t]);
    }
    float most = 0;
    for (int64_t r = 0; r < blocks_[b].count; ++r) most = std::max(most, far2[r]);
    blocks_[b].longest = std::max(blocks_[b].longest, std::sqrt(length2) * (1 + 1e-5));
    blocks_[b].radius2 = most * (1 + 1e-4f) + std::numeric_limits<float>::min();
}

template <class View>
void NeighborBlocks<View>::build(const Context& ctx, const Rows<View>& rows, const std::vector<T>& origin,
                                 int64_t width, const std::vector<int32_t>& label, int64_t m,
                                 const std::vector<int32_t>& some) {
    constexpr int64_t kBlocks = 64;
    NeighborBlocks made;  // an interrupt leaves nothing half built
    made.d_ = rows.d();
    made.width_ = width;
    const std::vector<int64_t> range = made.sort_by_label(ctx, label, m, some);
    parallel_for(ctx, static_cast<int64_t>(range.size()) / 2,
                 [&](int64_t j, int) { made.sort_by_cell(rows, range[2 * j], range[2 * j + 1]); });
    const auto places = static_cast<int64_t>(made.row_.size()), blocks = places / width;
    made.blocks_.resize(static_cast<std::size_t>(blocks));
    made.columns_.resize(static_cast<std::size_t>(places * made.d_));
    made.middle_.resize(static_cast<std::size_t>(blocks * made.d_));
    made.half_.resize(static_cast<std::size_t>(blocks * made.d_));
    parallel_for(ctx, chunk_count(blocks, kBlocks), [&](int64_t c, int) {
        for (int64_t b = c * kBlocks; b < std::min(blocks, (c + 1) * kBlocks); ++b) {
            const int32_t* row = made.rows(b);
            made.blocks_[b].count = std::find(row, row + width, -1) - row;
            made.blocks_[b].longest = load_columns<false>(
                rows, origin, made.blocks_[b].count, width, [row](int64_t r) { return row[r]; },
                made.columns_.data() + b * made.d_ * width);
            made.enclose(b);
        }
    });
    made.read(ctx, label);
    *this = std::move(made);
}

template <class View>
void NeighborBlocks<View>::read(const Context& ctx, const std::vector<int32_t>& label) {
    constexpr int64_t kBlocks = 256;
    label_.resize(row_.size());
    parallel_for(ctx, chunk_count(size(), kBlocks), [&](int64_t c, int) {
        for (int64_t b = c * kBlocks; b < std::min(size(), (c + 1) * kBlocks); ++b) {
            const int32_t* row = rows(b);
            int32_t* own = labels(b);
            blocks_[b].uniform = true;
            for (int64_t r = 0; r < width_; ++r) {
                own[r] = r < blocks_[b].count ? label[row[r]] : own[0];
                blocks_[b].uniform &= own[r] == own[0];
            }
        }
    });
}

}  // namespace latom
