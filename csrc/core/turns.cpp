// turns.cpp: whose turn it is, by thread and process.
#include "core/turns.h"

#include <pthread.h>

#include <chrono>
#include <thread>

#include "core/parallel.h"

namespace latom {
namespace {

std::atomic<std::uint32_t> last_thread{0};  // that has taken a turn
std::atomic<std::uint32_t> survivor{0};     // the thread that forked: the one that this process began with

std::uint32_t this_thread() {
    thread_local const std::uint32_t number = last_thread.fetch_add(1, std::memory_order_relaxed) + 1;
    return number;
}

std::uint64_t me() { return std::uint64_t{forks()} << 32 | this_thread(); }

// Whether a holder's thread is in this process.
bool lives(std::uint64_t holder) {
    return holder >> 32 == forks() || static_cast<std::uint32_t>(holder) == survivor.load(std::memory_order_relaxed);
}

std::mutex brief;

// Handlers that a library registers last run first before fork(), and last after it.
[[maybe_unused]] const int registered = pthread_atfork([] { brief.lock(); }, [] { brief.unlock(); },
                                                       [] {
                                                           brief.unlock();
                                                           survivor = this_thread();
                                                       });

}  // namespace

std::mutex& brief_lock() { return brief; }

Turn::Turn(const Context& ctx, Turns& turns) : turns_(turns) {
    using clock = std::chrono::steady_clock;
    constexpr auto kSpin = std::chrono::microseconds(50), kSleep = std::chrono::microseconds(500),
                   kLook = std::chrono::microseconds(20000);
    const std::uint64_t own = me();
    const auto start = clock::now();
    for (auto looked = start;;) {
        std::uint64_t holder = 0;
        if (turns_.holder_.compare_exchange_strong(holder, own, std::memory_order_acquire)) break;
        if (static_cast<std::uint32_t>(holder) == this_thread()) return;
        if (!lives(holder)) {
            if (turns_.holder_.compare_exchange_strong(holder, own, std::memory_order_acquire)) break;
            continue;
        }
        const auto now = clock::now();
        if (now - start < kSpin) std::this_thread::yield();
        else std::this_thread::sleep_for(kSleep);
        if (now - looked < kLook || !ctx.check_interrupt) continue;
        looked = now;
        ctx.check_interrupt();
    }
    taken_ = true;
}

}  // namespace latom
