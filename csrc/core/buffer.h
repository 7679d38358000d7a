// buffer.h: memory aligned to cache lines, for kernels that load whole lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace latom {

inline constexpr std::size_t kCacheLine = 64;

template <class T>
struct AlignedAllocator {
    using value_type = T;
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}

    T* allocate(std::size_t count) {
        if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_alloc();
        const std::size_t bytes = count * sizeof(T);
        void* p = ::operator new(bytes, alignment(bytes));
#ifdef __linux__
        if (bytes >= kHugePage) madvise(p, bytes, MADV_HUGEPAGE);  // scattered reads then miss the TLB less
#endif
        return static_cast<T*>(p);
    }
    void deallocate(T* p, std::size_t count) { ::operator delete(p, alignment(count * sizeof(T))); }
    /// resize() leaves numbers as they are: large buffers are written once, by the threads that fill them.
    template <class U>
    void construct(U* p) {
        ::new (static_cast<void*>(p)) U;
    }
    template <class U, class... Args>
    void construct(U* p, Args&&... args) {
        ::new (static_cast<void*>(p)) U(std::forward<Args>(args)...);
    }
    bool operator==(const AlignedAllocator&) const { return true; }

private:
    static constexpr std::size_t kHugePage = std::size_t{1} << 21;
    static std::align_val_t alignment(std::size_t bytes) {
        return std::align_val_t{bytes >= kHugePage ? kHugePage : kCacheLine};
    }
};

/// A std::vector whose first element starts a cache line; resize(n) does not zero.
template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

/// The least multiple of a cache line's numbers that holds k of them.
template <class T>
constexpr std::int64_t whole_lines(std::int64_t k) {
    constexpr auto kLine = static_cast<std::int64_t>(kCacheLine / sizeof(T));
    return (k + kLine - 1) / kLine * kLine;
}

}  // namespace latom
