// parallel.cpp: the threads that help parallel_for, and how many may.
//
// A helper that has nothing to do looks for work for kSpin, as a sleeping one takes some 40 us to come, then sleeps, and ends
// after kIdle. There are as many as calls at the same time want. fork() leaves a child without helpers and with locks in any
// state: it starts with a new pool.
#include "core/parallel.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#ifdef __linux__
#include <sched.h>
#endif

namespace latom {
namespace {

int from_environment(const char* name) {
    const char* text = std::getenv(name);
    if (!text) return 0;
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);  // "4" or "4,2" (nested levels): the first number counts
    return end != text && value > 0 && value < 65536 ? static_cast<int>(value) : 0;
}

int from_affinity() {
#ifdef __linux__
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    return static_cast<int>(std::thread::hardware_concurrency());
}

// CPUs that the cgroup quota (v2, then v1) pays for; 0 when there is none.
int from_cgroup() {
    double quota = 0, period = 0;
    std::string word;
    if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> word >> period) {
        if (word == "max") return 0;
        quota = std::atof(word.c_str());
    } else {
        std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
        std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
    }
    return quota > 0 && period > 0 ? std::max(1, static_cast<int>(std::ceil(quota / period))) : 0;
}

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(100);
constexpr auto kIdle = std::chrono::seconds(2);

// Waits for done() in a loop that lets others run; false once kSpin has passed.
template <class Done>
bool spin(Done done) {
    for (const auto end = Clock::now() + kSpin; Clock::now() < end; std::this_thread::yield())
        for (int i = 0; i < 16; ++i)
            if (done()) return true;
    return done();
}

class Pool {
public:
    // A call that takes helpers; on its caller's stack.
    struct Call {
        void (*run)(void*, int);
        void* with;
        int wanted, next = 1;          // helpers that may still begin, and the number of the next
        std::atomic<int> running{0};   // helpers that have begun and not ended
        Call* after = nullptr;
    };

    void add(Call& call) {
        std::lock_guard<std::mutex> lock(mutex_);
        call.after = first_;
        first_ = &call;
        wanted_ += call.wanted;
        try {
            for (; idle_ < wanted_; ++idle_) std::thread([this] { help(); }).detach();
        } catch (const std::system_error&) {
            // The system gives no more threads: those that run take all chunks.
        }
        for (int i = 0; i < call.wanted; ++i) wake_.notify_one();
    }

    void finish(Call& call) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            withdraw(call);
        }
        const auto ended = [&] { return call.running.load(std::memory_order_acquire) == 0; };
        if (spin(ended)) return;
        std::unique_lock<std::mutex> lock(mutex_);
        ended_.wait(lock, ended);
    }

private:
    void withdraw(Call& call) {
        wanted_ -= std::exchange(call.wanted, 0);
        for (Call** at = &first_; *at; at = &(*at)->after)
            if (*at == &call) {
                *at = call.after;
                return;
            }
    }

    void help() {
        sigset_t all;  // signals are for the threads of the program
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, nullptr);
        const auto work = [&] { return wanted_.load(std::memory_order_relaxed) > 0; };
        for (;;) {
            spin(work);
            std::unique_lock<std::mutex> lock(mutex_);
            if (!wake_.wait_for(lock, kIdle, work)) {
                --idle_;
                return;
            }
            Call& call = *first_;
            const int worker = call.next++;
            call.running.fetch_add(1, std::memory_order_relaxed);
            --idle_;
            --wanted_;
            if (--call.wanted == 0) withdraw(call);
            lock.unlock();
            call.run(call.with, worker);
            lock.lock();
            ++idle_;
            // The last that this thread knows of the call: its caller may be gone.
            if (call.running.fetch_sub(1, std::memory_order_release) == 1) ended_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, ended_;
    Call* first_ = nullptr;
    std::atomic<int> wanted_{0};
    int idle_ = 0;  // helpers without a call
};

// Never destroyed: helpers may outlive the statics.
std::atomic<Pool*> current_pool{nullptr};
Pool& pool() {
    static const bool made = [] {
        current_pool = new Pool;
        pthread_atfork(nullptr, nullptr, [] { current_pool = new Pool; });
        return true;
    }();
    static_cast<void>(made);
    return *current_pool;
}

}  // namespace

void detail::run_with_helpers(int count, void (*run)(void*, int), void* with) {
    if (count <= 1) return run(with, 0);
    Pool& helpers = pool();
    Pool::Call call{run, with, count - 1};
    helpers.add(call);
    run(with, 0);
    helpers.finish(call);
}

int resolve_threads(int n_threads) {
    if (n_threads > 0) return n_threads;
    for (const char* name : {"LATOM_NUM_THREADS", "OMP_NUM_THREADS"})
        if (const int value = from_environment(name)) return value;
    int count = std::max(1, from_affinity());
    static const int quota = from_cgroup();  // some 40 us to read: once a process
    return quota > 0 ? std::min(count, quota) : count;
}

}  // namespace latom
