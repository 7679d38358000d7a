// turns.h: taking turns where neither a forked child nor a signal handler may wait forever.
//
//   Turn           the lock of a Turns while it lives: for work that takes long
//   brief_lock()   for a few instructions, such as the copy of a pointer
//   Once<T>        a value that whoever asks first makes, and all others read
//
// A std::mutex knows neither who holds it nor that its holder is gone. A child of fork() has one thread; whatever the
// others held stays locked. And a signal handler of Python runs wherever a call looks for interrupts (parallel.h), on
// top of a frame that may hold the very lock that it asks for.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "latom/context.h"

namespace latom {

/// Who holds it: 0, or a thread and the process that it was in.
class Turns {
    friend class Turn;
    std::atomic<std::uint64_t> holder_{0};
};

/// Waits for its turn, and looks for interrupts meanwhile. It does not wait for a thread that fork() has left behind,
/// nor for this one: then taken() is false, and a frame below, which a signal has interrupted, is amid the work.
class Turn {
public:
    Turn(const Context& ctx, Turns& turns);
    ~Turn() {
        if (taken_) turns_.holder_.store(0, std::memory_order_release);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    bool taken() const { return taken_; }

private:
    Turns& turns_;
    bool taken_ = false;
};

/// One for the process. fork() waits for it, so that no child finds it locked or what it guards half written. No look
/// for interrupts may come while it is held.
std::mutex& brief_lock();

template <class T>
class Once {
public:
    Once() = default;
    Once(const Once&) = delete;
    Once& operator=(const Once&) = delete;
    ~Once() { delete get(); }

    /// Null before it is made.
    const T* get() const { return value_.load(std::memory_order_acquire); }
    /// make() returns a unique_ptr. One thread makes, the others wait; a signal handler that interrupts the making
    /// makes one of its own, and the first that is whole stays.
    template <class Make>
    const T& get(const Context& ctx, Make make) {
        if (const T* known = get()) return *known;
        const Turn turn(ctx, turns_);
        if (const T* known = get()) return *known;
        std::unique_ptr<const T> made = make();
        const T* first = nullptr;
        if (value_.compare_exchange_strong(first, made.get(), std::memory_order_acq_rel)) first = made.release();
        return *first;
    }

private:
    std::atomic<const T*> value_{nullptr};
    Turns turns_;
};

}  // namespace latom
