// transposed_product.cpp: columns gather rows of W. A thread has a block of rows, so that what it gathers stays in its
// cache, and sums of blocks are added in order.
#include "engines/gather/transposed_product.h"

#include <algorithm>

namespace latom {
namespace {

constexpr int64_t kTaskEntries = 1 << 16;  // of a task, about
constexpr int64_t kBytes = 32 << 20;       // of sums of blocks at once, about
constexpr int64_t kColumns = 256;          // of a task that adds these

template <class T>
class PartProduct {
public:
    PartProduct(const Context& ctx, const Transposed<T>& X, const typename Transposed<T>::Part& part,
                const DenseView<T>& W, T* out)
        : ctx_(ctx), X_(X), part_(part), W_(W), out_(out) {}

    /// Sums of blocks: `sums` is scratch. A part of one block writes to out.
    void run(AlignedVector<T>& sums) const {
        const int64_t k = W_.d, count = part_.count(), blocks = part_.blocks();
        const int64_t most =
            blocks == 1 ? 1 : std::max<int64_t>(1, kBytes / (count * k * static_cast<int64_t>(sizeof(T))));
        const int64_t group = std::min(blocks, most);
        if (blocks > 1) sums.resize(std::max(sums.size(), static_cast<std::size_t>(group * count * k)));
        for (int64_t b = 0; b < blocks; b += group) {
            const int64_t some = std::min(group, blocks - b);
            multiply(b, some, sums.data());
            if (blocks > 1) add(some, b == 0, sums.data());
        }
    }

private:
    T* out(int64_t c) const { return out_ + part_.columns()[c] * W_.d; }

    void multiply(int64_t first, int64_t blocks, T* sums) const {
        const int64_t k = W_.d, count = part_.count();
        const int64_t entries = part_.starts(first + blocks - 1)[count] - part_.starts(first)[0];
        const int64_t pieces = std::clamp<int64_t>(entries / (blocks * kTaskEntries), 1, count);
        const auto gather = ctx_.kernels->of<T, int32_t>().gather_add;
        parallel_for(ctx_, blocks * pieces, [&](int64_t task, int) {
            const int64_t b = task / pieces, piece = task % pieces, row = (first + b) * part_.block_rows();
            const int64_t from = count * piece / pieces, to = count * (piece + 1) / pieces;
            const auto sum_of = [&](int64_t c) { return part_.blocks() == 1 ? out(c) : sums + (b * count + c) * k; };
            for (int64_t c = from; c < to; ++c) std::fill_n(sum_of(c), k, T{0});
            X_.each_of_block(part_, first + b, from, to, [&](int64_t c, const auto& segment, int64_t ahead) {
                gather(segment.rows, segment.values, segment.count, ahead, W_.row(row), W_.stride, k, sum_of(c));
            });
        });
    }
    void add(int64_t blocks, bool first, const T* sums) const {
        const int64_t k = W_.d, count = part_.count();
        parallel_for(ctx_, chunk_count(count, kColumns), [&](int64_t chunk, int) {
            for (int64_t c = chunk * kColumns; c < std::min(count, (chunk + 1) * kColumns); ++c) {
                T* total = out(c);
                if (first) std::fill_n(total, k, T{0});
                for (int64_t b = 0; b < blocks; ++b) {
                    const T* sum = sums + (b * count + c) * k;
                    for (int64_t t = 0; t < k; ++t) total[t] += sum[t];
                }
            }
        });
    }

    const Context& ctx_;
    const Transposed<T>& X_;
    const typename Transposed<T>::Part& part_;
    const DenseView<T>& W_;
    T* out_;
};

}  // namespace

template <class T>
void transposed_product(const Context& ctx, const Transposed<T>& X, const DenseView<T>& W, T* out) {
    AlignedVector<T> sums;
    for (const auto& part : X.parts()) PartProduct<T>(ctx, X, part, W, out).run(sums);
}

template void transposed_product(const Context&, const Transposed<float>&, const DenseView<float>&, float*);
template void transposed_product(const Context&, const Transposed<double>&, const DenseView<double>&, double*);

}  // namespace latom
