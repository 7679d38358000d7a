// launching.h: what the host side of kernels is written with: checks, parts of a workspace, a stream beside another.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "cuda/simt.h"

namespace latom::cuda {

inline void check(cudaError_t status, const char* what) {
    if (status != cudaSuccess)
        throw std::runtime_error(std::string("CUDA: ") + what + " failed: " + cudaGetErrorString(status));
}
inline void check_launch() { check(cudaGetLastError(), "a launch"); }

inline std::int64_t padded(std::int64_t count, std::int64_t to = 8) { return (count + to - 1) / to * to; }
inline unsigned blocks(std::int64_t count, std::int64_t each) {
    return static_cast<unsigned>((count + each - 1) / each);
}

/// Hands out parts of a workspace; without one it only counts.
class Parts {
public:
    explicit Parts(void* base) : base_(static_cast<char*>(base)) {}
    template <class P>
    P* take(std::int64_t count) {
        char* const at = base_ ? base_ + used_ : nullptr;
        used_ += padded(count * static_cast<std::int64_t>(sizeof(P)), 256);
        return reinterpret_cast<P*>(at);
    }
    std::int64_t used() const { return used_; }

private:
    char* base_;
    std::int64_t used_ = 0;
};

/// A stream and the events by which two take turns at two buffers.
class Beside {
public:
    Beside() {
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
        for (cudaEvent_t* e : {&start, &ready[0], &ready[1], &free[0], &free[1]})
            check(cudaEventCreateWithFlags(e, cudaEventDisableTiming), "cudaEventCreate");
    }
    Beside(const Beside&) = delete;
    Beside& operator=(const Beside&) = delete;
    ~Beside() {  // both are released when what is queued has been done
        for (cudaEvent_t e : {start, ready[0], ready[1], free[0], free[1]}) cudaEventDestroy(e);
        cudaStreamDestroy(stream_);
    }
    operator cudaStream_t() const { return stream_; }
    cudaEvent_t start, ready[2], free[2];

private:
    cudaStream_t stream_;
};

}  // namespace latom::cuda
