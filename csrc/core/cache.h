// cache.h: how much memory a core has near it. Blocks are sized by it; no result depends on it.
#pragma once

#include <cstdint>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace latom {

/// Bytes of a core's second-level cache, read once; 1 MiB where the system does not say.
inline std::int64_t l2_bytes() {
    static const std::int64_t bytes = [] {
#ifdef _SC_LEVEL2_CACHE_SIZE
        const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
        if (size > 0) return static_cast<std::int64_t>(size);
#endif
        return std::int64_t{1} << 20;
    }();
    return bytes;
}

}  // namespace latom
