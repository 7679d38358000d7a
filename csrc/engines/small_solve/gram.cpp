// gram.cpp: chunks of rows, summed in order.
#include <algorithm>

#include "core/buffer.h"
#include "engines/small_solve/small_solve.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kRows = 64;                  // widened at once: they stay in the second cache
constexpr int64_t kPartials = (16 << 20) / 8;  // numbers of all chunks together, about

}  // namespace

template <class T>
void gram(const Context& ctx, const DenseView<T>& V, double* G) {
    const int64_t n = V.n, k = V.d, width = chunk_count(k, 16) * 16, square = width * width;
    const int64_t most = std::clamp<int64_t>(kPartials / square, 4, 64);
    const int64_t rows = std::max<int64_t>(chunk_count(chunk_count(n, most), kRows) * kRows, 4 * kRows);
    const int64_t chunks = chunk_count(n, rows);
    AlignedVector<double> partial(static_cast<std::size_t>(chunks * square));
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        double* sum = partial.data() + c * square;
        std::fill_n(sum, square, 0.0);
        AlignedVector<double> wide(static_cast<std::size_t>(kRows * width));
        for (int64_t i = c * rows; i < std::min(n, (c + 1) * rows); i += kRows)
            ctx.kernels->of<T>().gram(V.row(i), std::min({kRows, n - i, (c + 1) * rows - i}), V.stride, k, width,
                                      wide.data(), sum);
    });
    for (int64_t a = 0; a < k; ++a)
        for (int64_t b = a; b < k; ++b) {
            double total = 0;
            for (int64_t c = 0; c < chunks; ++c) total += partial[c * square + a * width + b];
            G[a * k + b] = G[b * k + a] = total;
        }
}

template <class T>
void column_sums(const Context& ctx, const DenseView<T>& V, double* sums) {
    constexpr int64_t kRowsSummed = 4096;
    const int64_t k = V.d, chunks = chunk_count(V.n, kRowsSummed);
    const auto add = ctx.kernels->of<T>().add_scaled;
    AlignedVector<double> partial(static_cast<std::size_t>(chunks * k), 0.0);
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        for (int64_t i = c * kRowsSummed; i < std::min(V.n, (c + 1) * kRowsSummed); ++i)
            add(V.row(i), 1.0, k, partial.data() + c * k);
    });
    std::fill_n(sums, k, 0.0);
    for (int64_t c = 0; c < chunks; ++c) ctx.kernels->f64.add_scaled(partial.data() + c * k, 1.0, k, sums);
}

#define LATOM_INSTANTIATE(T)                                          \
    template void gram(const Context&, const DenseView<T>&, double*); \
    template void column_sums(const Context&, const DenseView<T>&, double*);
LATOM_INSTANTIATE(float)
LATOM_INSTANTIATE(double)
#undef LATOM_INSTANTIATE

}  // namespace latom
