// parallel.h: the one way to use several threads.
//
//   parallel_for(ctx, chunks, [&](int64_t chunk, int worker) { ... });
//
// Every chunk runs once; which worker runs it is not fixed, so a chunk writes only what belongs to it, and whatever
// is summed over chunks is summed afterwards in chunk order. Then no result depends on the number of threads.
// worker is in [0, workers(ctx, chunks)): an index for scratch memory.
//
// Threads that write into one line of the cache wait for each other: what a chunk counts or sums stays in a variable of
// its own until the chunk ends, and scratch memory that is written all the time begins a line (alignas(kCacheLine)).
//
// The caller works too; helpers (parallel.cpp) join it as they wake up, and it does not wait for those that have not
// begun. A call from inside a worker runs serially. The first exception stops the others and is rethrown on the caller;
// check_interrupt runs on the caller's thread only, at most every 20 ms over all its calls, so that a long row of short
// calls is stopped as well. It runs between chunks, and wherever a chunk that may take long calls poll().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>

#include "core/loop_times.h"
#include "latom/context.h"

namespace latom {

/// More than any machine has use for; a call that asks for more gets these.
inline constexpr int kMostThreads = 4096;

/// n_threads if positive, else threads_from_environment() as it was when the library was loaded, or the CPUs that
/// affinity and cgroup quota (as first read) allow; never more than thread_limit().
int resolve_threads(int n_threads);

/// What LATOM_NUM_THREADS asks for, else OMP_NUM_THREADS; 0 where neither does. Calls do not come here: no thread may
/// read the environment while another changes it.
int threads_from_environment();

/// The most threads that any call of this process may take, also one that asks for more; 0 where there is no limit. A
/// call that has begun keeps the threads that it has.
int thread_limit();
/// 0 lifts the limit; negative numbers change nothing.
void set_thread_limit(int most);

/// What the chunk belongs to that runs on this thread; without a context none runs.
struct RunningChunk {
    const Context* ctx = nullptr;
    const std::atomic<bool>* stop = nullptr;
    bool caller = false;
    int workers = 1;          // that the call asked for
    std::uint32_t forks = 0;  // as there were when it began
};
inline RunningChunk& running_chunk() {
    thread_local RunningChunk chunk;
    return chunk;
}

/// How many times fork() has led to this process.
std::uint32_t forks();

/// When this thread last asked for an interrupt.
inline std::chrono::steady_clock::time_point& last_check() {
    thread_local std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
    return last;
}

struct Stopped {};  // thrown where another chunk has failed

/// A signal handler has called fork(), and this is the child.
[[noreturn]] void refuse_child(const Context& ctx);

/// For chunks that may take a good part of a second: ends this one where the whole call is to end.
inline void poll() {
    using clock = std::chrono::steady_clock;
    const RunningChunk& chunk = running_chunk();
    if (chunk.stop && chunk.stop->load(std::memory_order_relaxed)) throw Stopped{};
    if (!chunk.caller || !chunk.ctx->check_interrupt || clock::now() - last_check() <= std::chrono::milliseconds(20))
        return;
    last_check() = clock::now();
    chunk.ctx->check_interrupt();
    if (chunk.workers > 1 && chunk.forks != forks()) refuse_child(*chunk.ctx);
}

inline int workers(const Context& ctx, std::int64_t chunks) {
    if (running_chunk().ctx || chunks <= 1) return 1;
    return static_cast<int>(chunks < ctx.n_threads ? chunks : ctx.n_threads);
}

namespace detail {
/// run(with, 0) here and run(with, w) on helpers for w in [1, count), all of them or none or some: ended when this
/// returns. run does not throw.
void run_with_helpers(int count, void (*run)(void* with, int worker), void* with);
}  // namespace detail

template <class F>
void parallel_for(const Context& ctx, std::int64_t chunks, F&& run) {
    const int count = workers(ctx, chunks);
    const std::uint32_t began = forks();
    std::atomic<std::int64_t> next{0};
    std::atomic<bool> stop{false};
    std::exception_ptr error;
    std::mutex error_mutex;

    auto work = [&](int worker) {
        const bool nested = running_chunk().ctx;
        if (!nested) running_chunk() = {&ctx, &stop, worker == 0, count, began};
        LoopWatch watch(!nested && loop_clock().on());
        try {
            for (std::int64_t c; !stop.load(std::memory_order_relaxed) && (c = next.fetch_add(1)) < chunks;) {
                watch.begin();
                run(c, worker);
                watch.end();
                poll();  // of a call within a chunk, too: that chunk may be all of the work
            }
        } catch (...) {
            std::lock_guard<std::mutex> lock(error_mutex);
            if (!error) error = std::current_exception();
            stop = true;
        }
        if (!nested) running_chunk() = {};
    };

    detail::run_with_helpers(
        count, [](void* with, int worker) { (*static_cast<decltype(work)*>(with))(worker); }, &work);
    if (error) std::rethrow_exception(error);
}

/// Chunks of `size` items that cover n.
inline std::int64_t chunk_count(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

}  // namespace latom
