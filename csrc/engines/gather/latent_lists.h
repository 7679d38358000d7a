// latent_lists.h: the entries of codes by latent: a counting sort, so that what is summed for a latent has one order.
//
// Memory    4 bytes per entry and part that is kept, 8 per latent.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.h"
#include "engines/gather/slices.h"
#include "kernels/table.h"
#include "latom/views.h"

namespace latom {

/// Places of entries, in the order in which they were counted and then added.
class LatentLists {
public:
    explicit LatentLists(int64_t m) : starts_(static_cast<std::size_t>(m + 1), 0) {}

    /// Counts entries; all of them, before the first is placed.
    void count(const int32_t* indices, int64_t nnz) {
        for (int64_t p = 0; p < nnz; ++p) ++starts_[static_cast<std::size_t>(indices[p]) + 1];
    }
    /// Makes starts of counts; returns how many entries there are.
    int64_t finish() {
        for (std::size_t j = 1; j < starts_.size(); ++j) starts_[j] += starts_[j - 1];
        next_.assign(starts_.begin(), starts_.end() - 1);
        return starts_.back();
    }
    /// Where the next entry of a latent goes.
    int64_t place(int32_t latent) { return next_[latent]++; }

    int64_t begin(int64_t j) const { return starts_[j]; }
    int64_t size(int64_t j) const { return starts_[j + 1] - starts_[j]; }
    int64_t entries() const { return starts_.back(); }

private:
    std::vector<int64_t> starts_, next_;
};

/// Columns of a batch [n, d] that latents gather from together: all, where the cache holds most of it as it is.
template <class T>
int64_t batch_columns(int64_t n, int64_t d) {
    return n * d * static_cast<int64_t>(sizeof(T)) <= 2 * kSliceBytes ? d : slice_columns<T>(n, d);
}

/// sum [d] += the weighted rows of W; runs of 256 terms apart (partial [d] is scratch), since a sum of very many loses
/// digits.
template <class T>
void gather_run(const KernelTable* kernels, const int32_t* rows, const T* values, int64_t count, int64_t ahead,
                const DenseView<T>& W, T* partial, T* sum) {
    constexpr int64_t kRun = 256;
    const auto add = kernels->of<T, int32_t>().gather_add;
    if (count <= kRun) {
        add(rows, values, count, ahead, W.data, W.stride, W.d, sum);
        return;
    }
    for (int64_t p = 0; p < count; p += kRun) {
        for (int64_t c = 0; c < W.d; ++c) partial[c] = T{0};
        add(rows + p, values + p, count - p < kRun ? count - p : kRun, ahead - p, W.data, W.stride, W.d, partial);
        for (int64_t c = 0; c < W.d; ++c) sum[c] += partial[c];
    }
}

}  // namespace latom
