// prefetch.h: rows that will be read soon and not in order, so that the processor does not wait for each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/buffer.h"

namespace latom {

/// The first 4 kB of a row at most: the processor finds the rest by itself.
template <class T>
void prefetch(const T* row, std::int64_t count) {
    const auto* next = reinterpret_cast<const char*>(row);
    const auto size = std::min<std::int64_t>(count * static_cast<std::int64_t>(sizeof(T)), 4096);
    for (std::int64_t byte = 0; byte < size; byte += kCacheLine) __builtin_prefetch(next + byte);
}

}  // namespace latom
