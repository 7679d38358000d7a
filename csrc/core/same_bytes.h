// same_bytes.h: whether two pieces of memory are equal, by all threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/parallel.h"

namespace latom {

inline bool same_bytes(const Context& ctx, const void* a, const void* b, int64_t count) {
    constexpr int64_t kChunk = 1 << 20;
    std::atomic<bool> same{true};
    parallel_for(ctx, chunk_count(count, kChunk), [&](int64_t c, int) {
        const int64_t from = c * kChunk, bytes = std::min(kChunk, count - from);
        if (std::memcmp(static_cast<const char*>(a) + from, static_cast<const char*>(b) + from,
                        static_cast<std::size_t>(bytes)) != 0)
            same.store(false, std::memory_order_relaxed);
    });
    return same.load();
}

}  // namespace latom
