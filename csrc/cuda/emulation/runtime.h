// runtime.h: device memory, and streams whose work is done late.
//
// Work on a stream is queued, and done when something waits for it, in an order among streams that is drawn. So code
// that forgets to wait reads what is not there yet: device memory starts as bytes of 0xff, which are NaN.
#pragma once

#include "cuda/emulation/machine.h"

namespace latom::simt {
struct Event {
    bool recorded = false, done = false;
};
struct Item {
    std::function<void()> work;  // or null:
    std::shared_ptr<Event> set, wait;
};
struct Stream {
    std::vector<Item> queue;
    std::size_t next = 0;
    bool gone = false;  // destroyed: what is queued is still done
};
struct Streams {
    std::vector<std::unique_ptr<Stream>> all;
    std::mt19937 random{1};
    Streams() { all.push_back(std::make_unique<Stream>()); }
    static Streams& get() {
        static Streams s;
        return s;
    }
    static Stream* of(cudaStream_t s) { return s ? static_cast<Stream*>(s) : get().all[0].get(); }
    bool step(Stream& s) {
        if (s.next == s.queue.size()) return false;
        Item& item = s.queue[s.next];
        if (item.wait && !item.wait->done) return false;
        if (item.work) item.work();
        if (item.set) item.set->done = true;
        if (++s.next == s.queue.size()) s.queue.clear(), s.next = 0;
        return true;
    }
    template <class Done>
    void run(Done done) {
        while (!done()) {
            std::vector<std::size_t> turn(all.size());
            for (std::size_t i = 0; i < turn.size(); ++i) turn[i] = i;
            std::shuffle(turn.begin(), turn.end(), random);
            bool moved = false;
            for (std::size_t i : turn)
                if (step(*all[i])) {
                    moved = true;
                    break;
                }
            if (!moved) throw std::runtime_error("simt: a stream waits for an event that is never recorded");
        }
    }
};
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t stream, A&&... args) {
    std::function<void()> body = [kernel, ... held = static_cast<P>(args)] { kernel(held...); };
    Streams::of(stream)->queue.push_back({[=] { Machine::get().run(grid, block, body); }, nullptr, nullptr});
}
}  // namespace latom::simt
typedef std::shared_ptr<latom::simt::Event>* cudaEvent_t;
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDefault = 4 };
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaHostAllocDefault = 0;
inline cudaError_t cudaMalloc(void** p, std::size_t n) {
    *p = std::malloc(n ? n : 1);
    if (*p) std::memset(*p, 0xff, n);
    return *p ? 0 : 2;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    auto* q = latom::simt::Streams::of(s);
    latom::simt::Streams::get().run([=] { return q->queue.empty(); });
    return 0;
}
inline cudaError_t cudaDeviceSynchronize() {
    auto& all = latom::simt::Streams::get();
    all.run([&] {
        for (auto& s : all.all)
            if (!s->queue.empty()) return false;
        return true;
    });
    return 0;
}
inline cudaError_t cudaFree(void* p) {
    cudaDeviceSynchronize();
    std::free(p);
    return 0;
}
inline cudaError_t cudaMemcpyAsync(void* d, const void* s, std::size_t n, cudaMemcpyKind, cudaStream_t q) {
    latom::simt::Streams::of(q)->queue.push_back({[=] { std::memcpy(d, s, n); }, nullptr, nullptr});
    return 0;
}
inline cudaError_t cudaMemsetAsync(void* d, int v, std::size_t n, cudaStream_t q) {
    latom::simt::Streams::of(q)->queue.push_back({[=] { std::memset(d, v, n); }, nullptr, nullptr});
    return 0;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
    auto& all = latom::simt::Streams::get().all;
    std::erase_if(all, [](const auto& one) { return one->gone && one->queue.empty(); });
    all.push_back(std::make_unique<latom::simt::Stream>());
    *s = all.back().get();
    return 0;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t s) {  // what is queued is still done
    latom::simt::Streams::of(s)->gone = true;
    return 0;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
    *e = new std::shared_ptr<latom::simt::Event>(new latom::simt::Event{true, true});
    return 0;
}
inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    *e = std::make_shared<latom::simt::Event>();
    latom::simt::Streams::of(s)->queue.push_back({nullptr, *e, nullptr});
    return 0;
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned = 0) {
    latom::simt::Streams::of(s)->queue.push_back({nullptr, nullptr, *e});
    return 0;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    const std::shared_ptr<latom::simt::Event> event = *e;
    latom::simt::Streams::get().run([&] { return event->done; });
    return 0;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t e) {
    delete e;
    return 0;
}
inline cudaError_t cudaGetLastError() { return 0; }
inline const char* cudaGetErrorString(cudaError_t e) { return e == 2 ? "out of memory" : "an emulated error"; }
inline cudaError_t cudaHostAlloc(void** p, std::size_t n, unsigned) { return cudaMalloc(p, n); }
inline cudaError_t cudaFreeHost(void* p) { return cudaFree(p); }
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    *free = *total = std::size_t{1} << 40;
    return 0;
}
inline cudaError_t cudaSetDevice(int) { return 0; }
inline cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return 0;
}
inline cudaError_t cudaGetDeviceCount(int* count) {
    *count = 1;
    return 0;
}
// Host code under emulation that stands for a library's kernel (the product) is queued as one.
inline void latom_simt_queue(cudaStream_t s, std::function<void()> f) {
    latom::simt::Streams::of(s)->queue.push_back({std::move(f), nullptr, nullptr});
}
