// context.h: what every algorithm is told besides its data.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace latom {

struct KernelTable;

struct Context {
    int n_threads = 1;
    const KernelTable* kernels = nullptr;
    /// The function or method that the user called; every message starts with it.
    std::string function = "latom";
    /// The key of every random draw (core/philox.h).
    std::uint64_t seed = 0;
    /// The number of a CUDA device, or kCpu.
    int device = kCpu;
    /// Called on the calling thread between blocks of work; throws to stop the call (Ctrl-C).
    std::function<void()> check_interrupt;

    static constexpr int kCpu = -1;
};

}  // namespace latom
