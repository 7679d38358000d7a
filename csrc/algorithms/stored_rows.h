// stored_rows.h: blocks of dense rows as T, widened from half precision where they are stored so, with their norms.
#pragma once

#include <atomic>
#include <type_traits>

#include "algorithms/rows.h"
#include "latom/topk.h"

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

    /// Whether algorithms can use a row of this squared length. Squares that lose bits to underflow would make bounds
    /// wrong.
    static bool usable(const T* row, int64_t d, double norm2) {
        if (norm2 >= 1e-290) return norm2 < 1e290;
        return norm2 >= 0 && std::all_of(row, row + d, [](T v) { return v == T{0}; });
    }
    static constexpr const char* kUsable =
        " must be finite, without NaN or infinity, and of lengths 0 or within [1e-145, 1e145]";

    /// Squared lengths of all rows of a matrix.
    static void measure(const Context& ctx, const DenseView<T>& X, double* norm2) {
        const auto dots = detail::dense_dots(ctx.kernels, T{});
        const int64_t rows = std::clamp<int64_t>((1 << 18) / X.d, 4, 1024);
        parallel_for(ctx, chunk_count(X.n, rows), [&](int64_t c, int) {
            const int64_t from = c * rows, end = std::min(X.n, from + rows), run = chunk_count(end - from, 4);
            for (int64_t i = from; i < from + run; ++i) {  // four runs of neighbours: long streams
                const T* row[4];
                double out[4];
                int64_t count = 0;
                for (; count < 4 && i + count * run < end; ++count) row[count] = X.row(i + count * run);
                dots(row, row, count, X.d, out);
                for (int64_t r = 0; r < count; ++r) norm2[i + r * run] = out[r];
            }
        });
    }

    /// The rows `which`. A row that no algorithm can use reads as zeros and is remembered for check().
    void read(const std::vector<int64_t>& which, Block& block) const {
        block.row.resize(which.size());
        block.norm2.resize(which.size());
        const int64_t d = X_.d;
        if (X_.storage != Storage::kNative) block.wide.resize(which.size() * static_cast<std::size_t>(d));
        const auto dot = detail::dense_dot(kernels_, T{});
        for (std::size_t r = 0; r < which.size(); ++r) {
            const int64_t i = which[r];
            block.row[r] = static_cast<const T*>(X_.data) + i * d;
            if constexpr (std::is_same_v<T, float>)
                if (X_.storage != Storage::kNative) {
                    const auto* half = static_cast<const std::uint16_t*>(X_.data) + i * d;
                    float* wide = block.wide.data() + static_cast<int64_t>(r) * d;
                    (X_.storage == Storage::kFloat16 ? kernels_->widen_f16 : kernels_->widen_bf16)(half, d, wide);
                    block.row[r] = wide;
                }
            block.norm2[r] = dot(block.row[r], block.row[r], d);
            if (!usable(block.row[r], d, block.norm2[r])) {
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
    void check(const std::string& function) const {
        if (sound()) return;
        const std::string row = "row " + std::to_string(bad_.load());
        fail(function, std::string("X") + kUsable, "another value in " + row, "Drop or impute such rows, or scale X.");
    }

private:
    const KernelTable* kernels_;
    StoredRows X_;
    mutable std::atomic<int64_t> bad_;  // the lowest such row
};

}  // namespace latom
