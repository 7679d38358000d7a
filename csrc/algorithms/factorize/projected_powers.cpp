// projected_powers.cpp: a random matrix that exists only in the buffer of the second power, and products on top of it.
#include <algorithm>
#include <cmath>

#include "core/buffer.h"
#include "core/philox.h"
#include "latom/spectral.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kRows = 64;  // of a block

/// Rows [first, last) of R, a block of kRows. A sparse block is drawn by the gaps between its entries.
template <class T>
void fill_block(const Philox& draws, const RandomProjection& R, int64_t first, int64_t last, T* out) {
    const int64_t width = R.width, numbers = (last - first) * width;
    const auto scale = [&](int64_t i) { return R.factor ? R.factor[i] : 1.0; };
    if (R.density <= 0) {
        const double deviation = 1 / std::sqrt(static_cast<double>(width));
        for (int64_t i = first; i < last; ++i)
            for (int64_t t = 0; t < width; t += 2) {
                const auto pair = draws.normals(static_cast<std::uint64_t>(i * width + t));
                T* to = out + (i - first) * width + t;
                to[0] = static_cast<T>(scale(i) * deviation * pair[0]);
                if (t + 1 < width) to[1] = static_cast<T>(scale(i) * deviation * pair[1]);
            }
        return;
    }
    std::fill_n(out, numbers, T{0});
    const double value = 1 / std::sqrt(R.density * static_cast<double>(width));
    const double rate = R.density < 1 ? std::log1p(-R.density) : -HUGE_VAL;
    std::uint64_t counter = static_cast<std::uint64_t>(first) * static_cast<std::uint64_t>(width);  // more than entries
    for (int64_t at = 0;; ++at, ++counter) {
        const auto [gap, sign] = draws.uniforms(counter);
        const double skipped = std::floor(std::log(1 - gap) / rate);
        if (!(skipped < static_cast<double>(numbers - at))) return;
        at += static_cast<int64_t>(skipped);
        out[at] = static_cast<T>((sign < 0.5 ? -value : value) * scale(first + at / width));
    }
}

/// Adds weight times the rows, or these with length 1, to where a power goes.
template <class T>
struct Target {
    T* out;
    int64_t stride;
    double weight;
    bool normalize;

    void add(const KernelTable* kernels, const T* rows, int64_t first, int64_t count, int64_t width) const {
        if (!out || weight == 0) return;
        for (int64_t i = 0; i < count; ++i) {
            const T* row = rows + i * width;
            double factor = weight;
            if (normalize) {
                const double norm2 = kernels->of<T>().dense_dot(row, row, width);
                factor = norm2 > 0 ? weight / std::sqrt(norm2) : 0;
            }
            const T by = static_cast<T>(factor);
            T* to = out + (first + i) * stride;
            for (int64_t t = 0; t < width; ++t) to[t] += by * row[t];
        }
    }
};

}  // namespace

template <class T, class I>
void projected_powers(const Context& ctx, const Rows<CsrView<T, I>>& A, const RandomProjection& R,
                      const PowerOptions& options, T* out) {
    const CsrView<T, I>& view = A.view();
    const int64_t n = view.n, width = R.width, blocks = chunk_count(n, kRows);
    const int64_t powers = static_cast<int64_t>(options.weights.size());
    const int64_t stride = options.concatenate ? powers * width : width;
    AlignedVector<T> now(static_cast<std::size_t>(n * width)), next(now.size());
    const auto add = ctx.kernels->of<T, I>().gather_add;
    const Philox draws(ctx.seed, Purpose::kProjection);
    const auto target = [&](int64_t p) {
        return Target<T>{out + (options.concatenate ? p * width : 0), stride, options.weights[p], options.normalize};
    };
    parallel_for(ctx, blocks, [&](int64_t block, int) {
        const int64_t first = block * kRows, last = std::min(n, first + kRows);
        fill_block(draws, R, first, last, now.data() + first * width);
        std::fill_n(out + first * stride, (last - first) * stride, T{0});
        if (options.from_start) target(0).add(ctx.kernels, now.data() + first * width, first, last - first, width);
    });
    for (int64_t p = options.from_start ? 1 : 0; p < powers; ++p) {
        parallel_for(ctx, blocks, [&](int64_t block, int) {
            const int64_t first = block * kRows, last = std::min(n, first + kRows);
            T* rows = next.data() + first * width;
            std::fill_n(rows, (last - first) * width, T{0});
            for (int64_t i = first; i < last; ++i) {
                const int64_t begin = view.begin(i);
                T* row = next.data() + i * width;
                add(view.indices + begin, view.data + begin, view.size(i), view.indptr[last] - begin, now.data(), width,
                    width, row);
                if (!options.transition) continue;
                double sum = 0;
                for (int64_t q = 0; q < view.size(i); ++q) sum += static_cast<double>(view.data[begin + q]);
                const T by = sum > 0 ? static_cast<T>(1 / sum) : T{0};
                for (int64_t t = 0; t < width; ++t) row[t] *= by;
            }
            target(p).add(ctx.kernels, rows, first, last - first, width);
        });
        std::swap(now, next);
    }
}

#define LATOM_INSTANTIATE(T, I)                                                                         \
    template void projected_powers(const Context&, const Rows<CsrView<T, I>>&, const RandomProjection&, \
                                   const PowerOptions&, T*);
LATOM_INSTANTIATE(float, int32_t)
LATOM_INSTANTIATE(float, int64_t)
LATOM_INSTANTIATE(double, int32_t)
LATOM_INSTANTIATE(double, int64_t)
#undef LATOM_INSTANTIATE

}  // namespace latom
