// widen.cpp: a stream of numbers in chunks, in parallel.
#include "rows/widen.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/table.h"

namespace latom {

void widen(const Context& ctx, const std::uint16_t* half, int64_t count, Storage storage, float* out) {
    constexpr int64_t kChunk = 1 << 18;  // numbers per chunk: some 50 us of work, more than it costs to wake a thread
    const auto* kernels = ctx.kernels;
    const auto run = storage == Storage::kFloat16 ? kernels->widen_f16 : kernels->widen_bf16;
    parallel_for(ctx, chunk_count(count, kChunk), [&](int64_t c, int) {
        run(half + c * kChunk, std::min(kChunk, count - c * kChunk), out + c * kChunk);
    });
}

}  // namespace latom
