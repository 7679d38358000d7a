#include "engines/product_select/row_pairs.h"

#include "core/cache.h"
#include "core/parallel.h"

namespace latom {
namespace {

ScreenPairs* pairs_kernel(const KernelTable* kernels, Screen screen) {
    if (screen == Screen::kInt16) return kernels->pairs_i16;
    if (screen == Screen::kInt8) return kernels->pairs_i8;
    return screen == Screen::kBFloat16 ? kernels->pairs_bf16 : kernels->pairs_f32;
}

// The rows of a tile as atoms, from what is known of the block's. Those beyond the block are none.
template <class Run>
struct TileAsAtoms {
    static constexpr int kMost = 16;
    float factor[kMost] = {}, bias[kMost] = {}, length[kMost] = {}, residual[kMost] = {}, magnitude[kMost] = {};
    float most_length = 0, most_residual = 0, most_magnitude = 0;

    TileAsAtoms(const Run& block, int64_t row, int64_t rows) {
        for (int64_t t = 0; t < rows; ++t) {
            factor[t] = block.factor[row + t];
            bias[t] = block.bias[row + t];
            most_length = std::max(most_length, length[t] = block.length[row + t]);
            most_residual = std::max(most_residual, residual[t] = block.residual[row + t]);
            most_magnitude = std::max(most_magnitude, magnitude[t] = block.magnitude[row + t]);
        }
    }
};

// Leaves row r of a tile, which is column ahead + r of the panel, the columns from its own on, and those the row
// behind their own.
void each_pair_once(int64_t ahead, int64_t rows, std::uint32_t* hit, std::uint32_t* back_hit) {
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t own = ahead + r;
        const std::uint32_t from = own < 0 ? ~0u : own < 32 ? ~0u << own : 0u;
        hit[r] &= from;
        back_hit[r] &= own < 0 ? ~0u : own < 32 ? from & ~(1u << own) : 0u;
    }
}

}  // namespace

template <class T>
void RowBlock<T>::scan_pairs(const AtomPanels<T>& atoms, int64_t own, RowBlock& other, int64_t at) {
    ScreenPairs* const screen = pairs_kernel(kernels_, atoms.screen());
    const int64_t width = atoms.panel_atoms(), bytes = atoms.panel_bytes(), panels = chunk_count(other.count_, width);
    const int64_t step = std::max<int64_t>(1, l2_bytes() / 8 * 3 / bytes);
    const auto mine = atoms.run(own / width, tiles(), scratch_);
    const bool within = this == &other;
    alignas(kCacheLine) float score[kMostTile * kMostPanel], back[kMostTile * kMostPanel], limit[kMostTile];
    std::uint32_t hit[kMostTile], back_hit[kMostTile];
    for (int64_t from = 0; from < panels; from += step) {
        poll();
        const int64_t count = std::min(step, panels - from);
        const auto run = atoms.run(at / width + from, count, scratch_);
        for (int64_t tile = 0; tile < tiles(); ++tile) {
            const int64_t row = tile * tile_rows_, rows = std::min(tile_rows_, count_ - row);
            const std::uint32_t* cells = cells_.data() + row * atoms.cells();
            const RowCandidates into = candidates_from(row);
            const TileAsAtoms<typename AtomPanels<T>::Run> as_atoms(mine, row, rows);
            std::uint32_t open = open_rows(row);
            for (int64_t p = within ? std::max<int64_t>(0, row / width - from) : 0; p < count; ++p) {
                const int64_t column = (from + p) * width, left = other.count_ - column;
                limits(row, run.most_length[p], run.most_residual[p], run.most_magnitude[p], limit);
                PairHits hits = screen(
                    cells, run.cells + p * bytes, atoms.cells(),
                    {run.factor + p * width, run.bias + p * width, run.cells + p * bytes},
                    {limit, row_bias_.data() + row, false},
                    {as_atoms.factor, as_atoms.bias, as_atoms.most_length, as_atoms.most_residual,
                     as_atoms.most_magnitude, other.bar_.data() + column, other.rounding_.data() + column,
                     other.length_.data() + column, other.bias_error_.data() + column, other.row_bias_.data() + column},
                    score, hit, back, back_hit);
                hits.back &= (1u << rows) - 1;
                if (within && column < row + rows) each_pair_once(row - column, rows, hit, back_hit);
                const std::uint32_t valid = left < width ? (1u << left) - 1 : ~0u;
                if (hits.tile &= open) {
                    const AtomError error{run.length + p * width, run.residual + p * width, run.magnitude + p * width};
                    const auto position = static_cast<std::int32_t>(at + column);
                    open &= ~tighten_rows(row, kernels_->collect(hits.tile, hit, valid, score, error, position, into));
                }
                if (!hits.back) continue;
                const AtomError error{as_atoms.length, as_atoms.residual, as_atoms.magnitude};
                const auto position = static_cast<std::int32_t>(own + row);
                const std::uint32_t lost =
                    other.tighten_rows(column, kernels_->collect_back(hits.back, back_hit, valid, back, error, position,
                                                                      other.candidates_from(column)));
                if (within && lost) open &= open_rows(row);
            }
        }
    }
}

template <class T>
RowPairs<T>::RowPairs(const AtomPanels<T>& panels, int64_t threads) : panels_(panels) {
    const int64_t wanted = std::max(kLeastBlocks, 4 * threads);
    size_ = std::clamp(chunk_count(panels.m(), wanted), kLeastRows, kMostRows);
    size_ = chunk_count(size_, kWhole) * kWhole;
    blocks_ = std::vector<RowBlock<T>>(static_cast<std::size_t>(chunk_count(panels.m(), size_)));
}

template <class T>
std::vector<int64_t> RowPairs<T>::rows(int64_t b) const {
    std::vector<int64_t> rows(static_cast<std::size_t>(std::min(size_, panels_.m() - first(b))));
    for (std::size_t r = 0; r < rows.size(); ++r) rows[r] = panels_.atom(first(b) + static_cast<int64_t>(r));
    return rows;
}

template <class T>
bool RowPairs<T>::lost() const {
    int64_t rows = 0;
    for (const RowBlock<T>& block : blocks_) rows += block.lost();
    return 2 * rows > panels_.m();
}

template <class T>
bool RowPairs<T>::scan(const Context& ctx, const std::function<void(int64_t, RowBlock<T>&)>& load) {
    const int64_t count = blocks(), others = count - 1 + count % 2;  // an odd number of blocks: one of each round rests
    parallel_for(ctx, count, [&](int64_t b, int) {
        RowBlock<T>& block = blocks_[b];
        load(b, block);
        block.see(1.0 / static_cast<double>(count));
        block.scan_pairs(panels_, first(b), block, first(b));
        block.tighten();
    });
    for (int64_t round = 0; round < others; ++round) {
        if (lost()) return false;
        // The last of `others` + 1 stays, the rest turn around it.
        parallel_for(ctx, (others + 1) / 2, [&](int64_t pair, int) {
            const int64_t a = (round + pair) % others, b = pair ? (round - pair + others) % others : others;
            if (b >= count) return;
            const double seen = std::min(1.0, static_cast<double>(round + 2) / static_cast<double>(count));
            blocks_[a].see(seen);
            blocks_[b].see(seen);
            blocks_[a].scan_pairs(panels_, first(a), blocks_[b], first(b));
        });
    }
    return !lost();
}

template void RowBlock<float>::scan_pairs(const AtomPanels<float>&, int64_t, RowBlock&, int64_t);
template void RowBlock<double>::scan_pairs(const AtomPanels<double>&, int64_t, RowBlock&, int64_t);
template class RowPairs<float>;
template class RowPairs<double>;

}  // namespace latom
