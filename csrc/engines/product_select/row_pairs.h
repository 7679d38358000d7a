// row_pairs.h: the k best of atoms for the atoms themselves, with one product for each pair of them.
//
//   blocks       rows [positions b R, (b + 1) R) of the panels, each with the candidates of all its rows, to the end
//   first        each block meets itself, which sets thresholds
//   then         rounds of a tournament: each block meets one other (RowBlock::scan_pairs), so that no two threads write
//                to one block; all have met after as many rounds as there are others
//
// The order of positions is as good as random, and all blocks have seen as many others after a round: thresholds are
// those that rows can hope for (RowBlock::see).
//
// Cost      d flops per score. Memory: kRoom candidates of 12 bytes beyond 2 k for each row, and the
//           rows once more in the screen's precision.
#pragma once

#include <functional>
#include <vector>

#include "engines/product_select/row_block.h"

namespace latom {

template <class T>
class RowPairs {
public:
    /// The panels, which are kept, must outlive the object.
    RowPairs(const AtomPanels<T>& panels, int64_t threads);

    int64_t blocks() const { return static_cast<int64_t>(blocks_.size()); }
    /// After scan(), once.
    const RowBlock<T>& finished(int64_t b) {
        blocks_[b].finish();
        return blocks_[b];
    }
    /// The atoms that are the rows of a block.
    std::vector<int64_t> rows(int64_t b) const;
    /// load(b, block) loads rows(b) into the block and may raise thresholds; threads call it. False if most rows are
    /// overflowed: then all have to be looked at in another way.
    bool scan(const Context& ctx, const std::function<void(int64_t, RowBlock<T>&)>& load);

    /// Bytes for each row, beside those of its numbers.
    static constexpr int64_t row_bytes(int64_t k) { return 12 * RowBlock<T>::capacity(k); }

private:
    static constexpr int64_t kLeastBlocks = 16, kLeastRows = 128, kMostRows = 1024;
    static constexpr int64_t kWhole = 32;  // rows: whole panels of every variant

    int64_t first(int64_t b) const { return b * size_; }
    bool lost() const;

    const AtomPanels<T>& panels_;
    int64_t size_;  // rows of a block
    std::vector<RowBlock<T>> blocks_;
};

}  // namespace latom
