// keep_largest.cpp: rows, or columns, packed side by side in lines of 64 bytes.
#include <algorithm>
#include <cmath>

#include "core/buffer.h"
#include "latom/factorize.h"
#include "rows/rows.h"

namespace latom {
template <class T>
void keep_largest(const Context& ctx, T* X, int64_t n, int64_t d, int64_t k, Axis axis, int64_t* kept) {
    constexpr int64_t kLine = 64 / sizeof(T);
    const bool rows = axis == Axis::kRow;
    const int64_t lines = rows ? n : d, count = rows ? d : n;
    const int64_t beside = rows ? d : 1, along = rows ? 1 : d;  // to the next row (column), to the next number of one
    const int64_t chunks = chunk_count(lines, kLine);
    std::vector<AlignedVector<T>> packed(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        const int64_t first = c * kLine, width = std::min(kLine, lines - first);
        T* first_number = X + first * beside;
        auto& x = packed[worker];
        x.assign(static_cast<std::size_t>(count * kLine), T{0});
        for (int64_t i = 0; i < count; ++i)
            for (int64_t l = 0; l < width; ++l) x[i * kLine + l] = first_number[l * beside + i * along];
        alignas(64) T bar[kLine];
        ctx.kernels->of<T>().kth_magnitude(x.data(), count, k, bar);
        for (int64_t l = 0; l < width; ++l) kept[first + l] = 0;
        for (int64_t i = 0; i < count; ++i)
            for (int64_t l = 0; l < width; ++l) {
                const T value = x[i * kLine + l];
                if (std::abs(value) < bar[l]) first_number[l * beside + i * along] = 0;
                else kept[first + l] += value != 0;
            }
    });
}

template void keep_largest(const Context&, float*, int64_t, int64_t, int64_t, Axis, int64_t*);
template void keep_largest(const Context&, double*, int64_t, int64_t, int64_t, Axis, int64_t*);

}  // namespace latom
