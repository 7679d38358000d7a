// memory.h: device memory that Python holds, rows that come to it block by block, and what all bindings of a GPU share.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cuda/launching.h"
#include "cuda/product.h"

namespace latom::cuda {

namespace py = pybind11;
using Pointer = std::uintptr_t;

/// The device of a call, and the one before it when the call ends.
class OnDevice {
public:
    explicit OnDevice(int device) {
        check(cudaGetDevice(&before_), "cudaGetDevice");
        check(cudaSetDevice(device), "cudaSetDevice");
    }
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;
    ~OnDevice() { cudaSetDevice(before_); }

private:
    int before_ = 0;
};

inline cudaStream_t stream_of(Pointer handle) { return reinterpret_cast<cudaStream_t>(handle); }
template <class P>
P* at(Pointer p) {
    return reinterpret_cast<P*>(p);
}
inline void check_extents(std::initializer_list<std::int64_t> extents) {
    for (const std::int64_t extent : extents) {
        if (extent < 1) throw std::invalid_argument("extents must be positive");
        if (extent >= std::int64_t{1} << 31) throw std::invalid_argument("extents must be below 2^31");
    }
}

/// Device memory of our own, for what comes from numpy and for workspaces.
class Memory {
public:
    Memory(std::int64_t bytes, int device) : bytes_(bytes), device_(device) {
        const OnDevice on(device);
        if (cudaMalloc(&at_, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1))) != cudaSuccess) {
            at_ = nullptr;
            cudaGetLastError();  // forget it
            throw std::bad_alloc();
        }
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory() { cudaFree(at_); }

    void* data() const { return at_; }
    Pointer pointer() const { return reinterpret_cast<Pointer>(at_); }
    std::int64_t bytes() const { return bytes_; }
    int device() const { return device_; }
    void expect(std::int64_t bytes) const {
        if (bytes > bytes_) throw std::invalid_argument("the workspace is too small");
    }

    void write(const py::buffer& from, Pointer stream) {
        const py::buffer_info info = from.request();
        copy(at_, info.ptr, info, cudaMemcpyHostToDevice, stream);
    }
    /// Bytes from `offset` on.
    void read(const py::buffer& to, Pointer stream, std::int64_t offset) const {
        const py::buffer_info info = to.request(true);
        if (offset < 0 || offset > bytes_) throw std::out_of_range("a copy begins beyond the device memory");
        copy(info.ptr, static_cast<const char*>(at_) + offset, info, cudaMemcpyDeviceToHost, stream, offset);
    }
    void fill(int byte, Pointer stream) {
        const OnDevice on(device_);
        check(cudaMemsetAsync(at_, byte, static_cast<std::size_t>(bytes_), stream_of(stream)), "cudaMemset");
    }

private:
    void copy(void* to, const void* from, const py::buffer_info& host, cudaMemcpyKind kind, Pointer stream,
              std::int64_t offset = 0) const {
        if (host.size * host.itemsize > bytes_ - offset)
            throw std::out_of_range("a copy is longer than the device memory");
        const auto length = static_cast<std::size_t>(host.size * host.itemsize);
        const OnDevice on(device_);
        const py::gil_scoped_release released;
        check(cudaMemcpyAsync(to, from, length, kind, stream_of(stream)), "a copy");
        check(cudaStreamSynchronize(stream_of(stream)), "a copy");
    }
    void* at_ = nullptr;
    std::int64_t bytes_;
    int device_;
};

/// Blocks of rows from memory of the host, two at a time: while one is at work the next is copied into pinned memory,
/// and from there to the device on a stream of its own.
class RowFeed {
public:
    RowFeed(std::int64_t bytes, int device) : bytes_(bytes), device_(device) {
        const OnDevice on(device);
        beside_.emplace();
        for (int slot = 0; slot < 2; ++slot) {
            const auto length = static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1));
            if (cudaMalloc(&there_[slot], length) != cudaSuccess ||
                cudaHostAlloc(&here_[slot], length, cudaHostAllocDefault) != cudaSuccess) {
                cudaGetLastError();  // forget it
                release();
                throw std::bad_alloc();
            }
        }
    }
    RowFeed(const RowFeed&) = delete;
    RowFeed& operator=(const RowFeed&) = delete;
    ~RowFeed() {
        cudaStreamSynchronize(*beside_);
        release();
    }

    /// Begins the copy of a block to the device; returns its slot. Blocks take turns.
    int put(const py::buffer& block) {
        const py::buffer_info info = block.request();
        const auto length = static_cast<std::size_t>(info.size * info.itemsize);
        if (static_cast<std::int64_t>(length) > bytes_) throw std::out_of_range("a block is longer than its room");
        const int slot = turn_;
        turn_ ^= 1;
        const OnDevice on(device_);
        const py::gil_scoped_release released;
        check(cudaEventSynchronize(beside_->ready[slot]), "a copy");  // the block before has left the pinned memory
        copy(here_[slot], info.ptr, length);
        check(cudaStreamWaitEvent(*beside_, beside_->free[slot], 0), "a wait");
        check(cudaMemcpyAsync(there_[slot], here_[slot], length, cudaMemcpyHostToDevice, *beside_), "a copy");
        check(cudaEventRecord(beside_->ready[slot], *beside_), "cudaEventRecord");
        return slot;
    }
    /// Lets a stream wait for a block; returns where it lies.
    Pointer use(int slot, Pointer stream) const {
        const OnDevice on(device_);
        check(cudaStreamWaitEvent(stream_of(stream), beside_->ready[slot & 1], 0), "a wait");
        return reinterpret_cast<Pointer>(there_[slot & 1]);
    }
    /// What the stream has been given so far is the last that reads the block.
    void done(int slot, Pointer stream) {
        const OnDevice on(device_);
        check(cudaEventRecord(beside_->free[slot & 1], stream_of(stream)), "cudaEventRecord");
    }
    /// A stream on which results can be fetched while the next block is at work.
    Pointer stream() const { return reinterpret_cast<Pointer>(static_cast<cudaStream_t>(*beside_)); }

private:
    static void copy(void* to, const void* from, std::size_t length) {
        constexpr std::size_t kShare = std::size_t{4} << 20, kMost = 8;
        const std::size_t threads =
            std::min({kMost, length / kShare + 1, static_cast<std::size_t>(std::thread::hardware_concurrency()) + 1});
        const std::size_t share = (length + threads - 1) / threads;
        std::vector<std::thread> others;
        const auto part = [=](std::size_t t) {
            const std::size_t first = std::min(length, t * share), end = std::min(length, first + share);
            std::memcpy(static_cast<char*>(to) + first, static_cast<const char*>(from) + first, end - first);
        };
        for (std::size_t t = 1; t < threads; ++t) others.emplace_back(part, t);
        part(0);
        for (std::thread& other : others) other.join();
    }
    void release() {
        for (int slot = 0; slot < 2; ++slot) {
            cudaFree(there_[slot]);
            cudaFreeHost(here_[slot]);
        }
    }
    std::optional<Beside> beside_;  // of the device
    void *there_[2] = {}, *here_[2] = {};
    std::int64_t bytes_;
    int device_, turn_ = 0;
};

/// The product of a device, made once and kept, as other threads may be using it: by cuBLASLt from this path, or by our
/// own kernel where the path is empty.
ScreenProduct& product_of(const std::string& library, int device);

void define_select(py::module_& module);
void define_cluster(py::module_& module);
void define_gather(py::module_& module);
void define_csr(py::module_& module);

}  // namespace latom::cuda
