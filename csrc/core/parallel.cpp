// parallel.cpp: the threads that help parallel_for, and how many may.
//
// A helper that has nothing to do looks for work for kSpin, as a sleeping one takes some 40 us to come, then sleeps,
// and ends after kIdle. There are as many as calls at the same time want. It works in the floating-point environment of
// the caller, as rounding and subnormal numbers are set for each thread. fork() leaves a child without helpers and with
// locks in any state: it starts with a new pool.
#include "core/parallel.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
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
        quota = std::strtod(word.c_str(), nullptr);
    } else {
        std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
        std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
    }
    return quota > 0 && period > 0 ? std::max(1, static_cast<int>(std::ceil(quota / period))) : 0;
}

const int environment_when_loaded = threads_from_environment();
std::atomic<int> limit_in_force{0};

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
        int wanted, next = 1;         // helpers that may still begin, and the number of the next
        std::atomic<int> running{0};  // helpers that have begun and not ended
        Call* after = nullptr;
        std::fenv_t environment{};
    };

    void add(Call& call) {
        std::fegetenv(&call.environment);
        const int wanted = call.wanted;
        int missing;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            call.after = first_;
            first_ = &call;
            wanted_ += wanted;
            missing = std::max(0, wanted_ - idle_);
            idle_ += missing;
        }
        for (int i = 0; i < wanted - missing; ++i) wake_.notify_one();
        try {
            for (; missing > 0; --missing) std::thread([this] { help(); }).detach();
        } catch (...) {  // no more threads or memory: those that run take all chunks
            std::lock_guard<std::mutex> lock(mutex_);
            idle_ -= missing;
        }
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
        sigset_t others;  // signals are for the threads of the program, but for those that a thread brings on itself
        sigfillset(&others);
        for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&others, own);
        pthread_sigmask(SIG_BLOCK, &others, nullptr);
        const auto work = [&] { return wanted_.load(std::memory_order_relaxed) > 0; };
        for (;;) {
            const bool seen = spin(work);
            std::unique_lock<std::mutex> lock(mutex_);
            if (seen && !work()) continue;  // another was faster
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
            std::fesetenv(&call.environment);
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

// Never destroyed: helpers may outlive the statics. Made when the library is loaded: a fork() during a first use would
// leave the child waiting for its end.
std::atomic<Pool*> current_pool{new Pool};
std::atomic<std::uint32_t> count_of_forks{0};
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] {
    current_pool = new Pool;
    ++count_of_forks;
});

}  // namespace

std::uint32_t forks() { return count_of_forks.load(std::memory_order_relaxed); }

void refuse_child(const Context& ctx) {
    throw std::runtime_error(ctx.function +
                             ": a call must end in the process that began it; got fork() in a signal handler, and the "
                             "threads that help stayed with the parent. Leave the child by os._exit, or call again.");
}

void detail::run_with_helpers(int count, void (*run)(void*, int), void* with) {
    if (count <= 1) return run(with, 0);
    Pool& helpers = *current_pool;
    Pool::Call call{run, with, count - 1};
    const std::uint32_t began = forks();
    helpers.add(call);
    run(with, 0);
    if (began == forks()) helpers.finish(call);  // else its helpers, and whoever holds its mutex, are in the parent
}

int threads_from_environment() {
    for (const char* name : {"LATOM_NUM_THREADS", "OMP_NUM_THREADS"})
        if (const int value = from_environment(name)) return value;
    return 0;
}

int thread_limit() { return limit_in_force.load(std::memory_order_relaxed); }

void set_thread_limit(int most) {
    if (most >= 0) limit_in_force.store(most, std::memory_order_relaxed);
}

int resolve_threads(int n_threads) {
    const auto limited = [most = thread_limit()](int count) { return most > 0 ? std::min(count, most) : count; };
    if (n_threads > 0) return limited(std::min(n_threads, kMostThreads));
    if (environment_when_loaded > 0) return limited(environment_when_loaded);
    const int count = std::max(1, from_affinity());
    static std::atomic<int> known{-1};  // some 40 us to read: once a process
    int quota = known.load(std::memory_order_relaxed);
    if (quota < 0) known = quota = from_cgroup();
    return limited(quota > 0 ? std::min(count, quota) : count);
}

}  // namespace latom
