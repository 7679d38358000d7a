// context.h: what every algorithm is told besides its data.
#pragma once

#include <functional>

namespace latom {

struct KernelTable;

struct Context {
    int n_threads = 1;
    const KernelTable* kernels = nullptr;
    /// Called on the calling thread between blocks of work; throws to stop the call (Ctrl-C).
    std::function<void()> check_interrupt;
};

}  // namespace latom
