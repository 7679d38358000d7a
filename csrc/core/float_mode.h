// float_mode.h: the arithmetic that all bounds and proofs rest on, whatever the process has set.
//
// Rounding to nearest, subnormal numbers kept, no traps. Other libraries set another mode for a thread: torch flushes
// subnormal numbers to zero (set_flush_denormal), which would make float16 read as 0 and change who is nearest. Helpers
// work in the mode of the thread that calls them (parallel.cpp).
#pragma once

#ifdef __SSE2__
#include <immintrin.h>
#else
#include <cfenv>
#endif

namespace latom {

/// The mode is this while it lives; afterwards what it was, flags included.
class FloatMode {
public:
    FloatMode(const FloatMode&) = delete;
    FloatMode& operator=(const FloatMode&) = delete;
#ifdef __SSE2__
    FloatMode() : before_(_mm_getcsr()) { _mm_setcsr(kDefault); }
    ~FloatMode() { _mm_setcsr(before_); }

private:
    static constexpr unsigned kDefault = 0x1F80;  // as a process starts
    unsigned before_;
#else
    FloatMode() {
        std::fegetenv(&before_);
        std::fesetenv(FE_DFL_ENV);
    }
    ~FloatMode() { std::fesetenv(&before_); }

private:
    std::fenv_t before_;
#endif
};

}  // namespace latom
