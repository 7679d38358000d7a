// row_reader.h: blocks of dense rows as T, widened from half precision where they are stored so, with their norms.
//
// Where rows are read once, norms are found on the way and no pass over X comes before. A row that is not acceptable
// (acceptable.h) reads as zeros and is remembered for check().
#pragma once

#include <atomic>
#include <type_traits>

#include "core/buffer.h"
#include "kernels/table.h"
#include "rows/acceptable.h"

namespace latom {

template <class T>
class RowReader {
public:
    RowReader(const KernelTable* kernels, const StoredRows& X) : kernels_(kernels), X_(X), bad_(X.n) {}

    struct Block {
        std::vector<const T*> row;  // [count]
        std::vector<double> norm2;  // [count]
        AlignedVector<T> wide;
        std::vector<T> zero;  // [d] stands for a row that cannot be used
    };

    /// Squared lengths of all rows of a matrix.
    static void measure(const Context& ctx, const DenseView<T>& X, double* norm2) {
        const auto dots = ctx.kernels->of<T>().dense_dots;
        const int64_t rows = std::clamp<int64_t>((1 << 18) / X.d, 4, 1024);
        parallel_for(ctx, chunk_count(X.n, rows), [&](int64_t c, int) {
            const int64_t from = c * rows, end = std::min(X.n, from + rows), run = chunk_count(end - from, 4);
            for (int64_t i = from; i < from + run; ++i) {  // four runs of neighbors: long streams
                const T* row[4];
                double out[4];
                int64_t count = 0;
                for (; count < 4 && i + count * run < end; ++count) row[count] = X.row(i + count * run);
                dots(row, row, count, X.d, out);
                for (int64_t r = 0; r < count; ++r) norm2[i + r * run] = out[r];
            }
        });
    }

    /// The rows `which`.
    void read(const std::vector<int64_t>& which, Block& block) const {
        block.row.resize(which.size());
        block.norm2.resize(which.size());
        const int64_t d = X_.d;
        if (X_.storage != Storage::kNative) block.wide.resize(which.size() * static_cast<std::size_t>(d));
        const auto dot = kernels_->of<T>().dense_dot;
        for (std::size_t r = 0; r < which.size(); ++r) {
            const int64_t i = which[r];
            block.row[r] = row(i, block.wide.data() + static_cast<int64_t>(r) * d);
            block.norm2[r] = dot(block.row[r], block.row[r], d);
            if (!acceptable(block.row[r], d, block.norm2[r])) {
                block.norm2[r] = 0;
                block.zero.assign(static_cast<std::size_t>(d), T{0});
                block.row[r] = block.zero.data();
                int64_t seen = bad_.load(std::memory_order_relaxed);
                while (i < seen && !bad_.compare_exchange_weak(seen, i)) {
                }
            }
        }
    }

    bool sound() const { return bad_.load(std::memory_order_relaxed) == X_.n; }
    /// Throws if a row that was read cannot be used.
    void check(const Context& ctx) const {
        if (sound()) return;
        const int64_t i = bad_.load();
        AlignedVector<T> wide(static_cast<std::size_t>(X_.d));
        const T* x = row(i, wide.data());
        refuse_row(ctx, "X", i, x, X_.d);
    }

private:
    /// Row i, widened into `wide` [d] where it is stored in half precision.
    const T* row(int64_t i, T* wide) const {
        if constexpr (std::is_same_v<T, float>)
            if (X_.storage != Storage::kNative) {
                const auto* half = static_cast<const std::uint16_t*>(X_.data) + i * X_.d;
                (X_.storage == Storage::kFloat16 ? kernels_->widen_f16 : kernels_->widen_bf16)(half, X_.d, wide);
                return wide;
            }
        return static_cast<const T*>(X_.data) + i * X_.d;
    }

    const KernelTable* kernels_;
    StoredRows X_;
    mutable std::atomic<int64_t> bad_;  // the lowest such row
};

}  // namespace latom
