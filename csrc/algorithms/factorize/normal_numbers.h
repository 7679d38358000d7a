// normal_numbers.h: the random matrix that a range finder starts from.
#pragma once

#include <algorithm>

#include "core/philox.h"
#include "rows/rows.h"

namespace latom {

/// out [rows, width]: normal numbers of ctx.seed in the first `columns`, zeros behind them.
template <class T>
void fill_normal(const Context& ctx, int64_t rows, int64_t columns, int64_t width, T* out) {
    constexpr int64_t kRows = 256;
    const Philox draws(ctx.seed, Purpose::kProjection);
    parallel_for(ctx, chunk_count(rows, kRows), [&](int64_t c, int) {
        for (int64_t i = c * kRows; i < std::min(rows, (c + 1) * kRows); ++i)
            for (int64_t t = 0; t < width; t += 2) {
                const auto pair = draws.normals(static_cast<std::uint64_t>(i * width + t));
                out[i * width + t] = t < columns ? static_cast<T>(pair[0]) : T{0};
                if (t + 1 < width) out[i * width + t + 1] = t + 1 < columns ? static_cast<T>(pair[1]) : T{0};
            }
    });
}

}  // namespace latom
