// loop_times.h: how long the loops of a call take, and how long they would with more threads.
//
// A loop of chunks that take s seconds together, the longest of them l, ends on t threads within s / t + (1 - 1 / t) l
// where each thread takes the next chunk when it is free (Graham 1969), if chunks take no longer beside others. What a
// call does outside loops is serial. Chunks are timed while a measurement is on, and only then; one thread at a time is
// to call meanwhile, with n_threads = 1.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace latom {

struct LoopTimes {
    double seconds = 0;    // of all chunks
    double predicted = 0;  // the bound above, of all loops
    std::int64_t loops = 0;
};

class LoopClock {
public:
    /// Starts a measurement for so many threads; 0 ends it.
    void start(int threads) {
        const std::lock_guard<std::mutex> lock(mutex_);
        threads_.store(threads, std::memory_order_relaxed);
        times_ = {};
    }
    bool on() const { return threads_.load(std::memory_order_relaxed) > 0; }
    LoopTimes times() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return times_;
    }
    void add(double seconds, double longest) {
        const double threads = threads_.load(std::memory_order_relaxed);
        if (!(threads > 0)) return;
        const std::lock_guard<std::mutex> lock(mutex_);
        times_.seconds += seconds;
        times_.predicted += seconds / threads + (1 - 1 / threads) * longest;
        ++times_.loops;
    }

private:
    std::atomic<int> threads_{0};
    std::mutex mutex_;
    LoopTimes times_;
};

inline LoopClock& loop_clock() {
    static LoopClock clock;
    return clock;
}

/// The chunks of one loop, as one worker runs them.
class LoopWatch {
public:
    explicit LoopWatch(bool watch) : watch_(watch) {}
    ~LoopWatch() {
        if (watch_) loop_clock().add(seconds_, longest_);
    }
    LoopWatch(const LoopWatch&) = delete;
    LoopWatch& operator=(const LoopWatch&) = delete;

    void begin() {
        if (watch_) from_ = Clock::now();
    }
    void end() {
        if (!watch_) return;
        const double took = std::chrono::duration<double>(Clock::now() - from_).count();
        seconds_ += took;
        if (took > longest_) longest_ = took;
    }

private:
    using Clock = std::chrono::steady_clock;
    bool watch_;
    double seconds_ = 0, longest_ = 0;
    Clock::time_point from_;
};

}  // namespace latom
