// test_core.cpp: threads, random numbers, aligned memory, error messages.
#include <atomic>
#include <cfenv>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.h"
#include "core/buffer.h"
#include "core/message.h"
#include "core/parallel.h"
#include "core/philox.h"
#include "data.h"

#ifdef __unix__
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif
#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER
#endif
#endif

using namespace latom;

namespace {

Context with_threads(int threads) {
    Context ctx;
    ctx.n_threads = threads;
    return ctx;
}

/// Whether `chunks` chunks run exactly once each, on workers in range.
bool covers(const Context& ctx, int64_t chunks) {
    std::vector<std::atomic<int>> ran(static_cast<std::size_t>(chunks));
    std::atomic<bool> in_range{true};
    const int count = workers(ctx, chunks);
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        ++ran[static_cast<std::size_t>(c)];
        if (worker < 0 || worker >= count) in_range = false;
    });
    for (const auto& times : ran)
        if (times != 1) return false;
    return in_range;
}

struct Stop : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace

TEST(parallel_for_runs_every_chunk_once) {
    for (const int threads : {1, 2, 5, 16})
        for (const int64_t chunks : {0, 1, 2, 7, 1000}) NOTE(threads << " threads, " << chunks << " chunks") {
                CHECK(covers(with_threads(threads), chunks));
                CHECK(workers(with_threads(threads), chunks) <= std::max<int64_t>(1, chunks));
            }
}

TEST(parallel_for_gives_each_worker_its_own_number) {
    std::vector<int> inside(5, 0);  // scratch by worker: a data race here is a thread sanitizer's report
    std::atomic<int> sum{0};
    parallel_for(with_threads(5), 500, [&](int64_t, int worker) {
        ++inside[static_cast<std::size_t>(worker)];
        ++sum;
    });
    int total = 0;
    for (const int count : inside) total += count;
    CHECK_EQUAL(total, 500);
    CHECK_EQUAL(sum.load(), 500);
}

TEST(parallel_for_rethrows_on_the_caller) {
    for (const int threads : {1, 2, 5}) NOTE(threads << " threads") {
            const Context ctx = with_threads(threads);
            std::vector<std::atomic<int>> ran(1000);
            CHECK_THROWS(parallel_for(ctx, 1000,
                                      [&](int64_t c, int) {
                                          ++ran[static_cast<std::size_t>(c)];
                                          if (c == 37) throw Stop("chunk 37");
                                      }),
                         Stop, "chunk 37");
            CHECK_EQUAL(ran[37].load(), 1);
            for (const auto& times : ran) CHECK(times <= 1);
            if (threads == 1) CHECK_EQUAL(ran[38].load(), 0);
            CHECK_THROWS(parallel_for(ctx, 64, [](int64_t, int) { throw Stop("every chunk"); }), Stop, "every chunk");
            CHECK(!running_chunk().ctx);
            CHECK(covers(ctx, 100));
        }
}

TEST(parallel_for_runs_nested_calls_serially) {
    const Context ctx = with_threads(4);
    std::atomic<int> wrong{0}, inner{0};
    parallel_for(ctx, 8, [&](int64_t, int) {
        if (workers(ctx, 100) != 1) ++wrong;
        const auto here = std::this_thread::get_id();
        int64_t expected = 0;
        parallel_for(ctx, 100, [&](int64_t c, int worker) {
            if (worker != 0 || c != expected++ || std::this_thread::get_id() != here) ++wrong;
            ++inner;
        });
        if (!running_chunk().ctx) ++wrong;
    });
    CHECK_EQUAL(wrong.load(), 0);
    CHECK_EQUAL(inner.load(), 800);
    CHECK(!running_chunk().ctx);
    CHECK_THROWS(
        parallel_for(ctx, 8,
                     [&](int64_t, int) { parallel_for(ctx, 3, [](int64_t, int) { throw Stop("from within"); }); }),
        Stop, "from within");
}

TEST(parallel_for_stops_at_an_interrupt) {
    for (const int threads : {1, 3}) NOTE(threads << " threads") {
            Context ctx = with_threads(threads);
            const auto caller = std::this_thread::get_id();
            std::atomic<int> elsewhere{0};
            ctx.check_interrupt = [&] {
                if (std::this_thread::get_id() != caller) ++elsewhere;
                throw Stop("Ctrl-C");
            };
            std::atomic<int64_t> ran{0};
            const auto start = std::chrono::steady_clock::now();
            CHECK_THROWS(parallel_for(ctx, 1'000'000,
                                      [&](int64_t, int) {
                                          ++ran;
                                          std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                      }),
                         Stop, "Ctrl-C");
            CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
            CHECK(ran < 1'000'000);
            CHECK_EQUAL(elsewhere.load(), 0);
        }
}

TEST(long_chunks_stop_where_they_poll) {
    Context ctx = with_threads(3);
    ctx.check_interrupt = [] { throw Stop("Ctrl-C"); };
    const auto start = std::chrono::steady_clock::now();
    std::atomic<int> whole{0};
    CHECK_THROWS(parallel_for(ctx, 3,
                              [&](int64_t, int) {
                                  parallel_for(ctx, 5, [&](int64_t, int) {  // nested calls pass it on
                                      for (int step = 0; step < 2000; ++step) {
                                          poll();
                                          std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                      }
                                  });
                                  ++whole;
                              }),
                 Stop, "Ctrl-C");
    CHECK_EQUAL(whole.load(), 0);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(1));
    CHECK(!running_chunk().ctx);
    poll();  // outside of any call: nothing to stop
}

TEST(parallel_for_asks_for_interrupts_in_the_outermost_call_only) {
    Context ctx = with_threads(2);
    std::atomic<int> asked{0};
    ctx.check_interrupt = [&] { ++asked; };
    running_chunk().ctx = &ctx;  // as in a worker of an outer call
    parallel_for(ctx, 30, [](int64_t, int) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); });
    running_chunk() = {};
    CHECK_EQUAL(asked.load(), 0);
    parallel_for(ctx, 100, [](int64_t, int) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); });
    CHECK(asked > 0);
}

TEST(parallel_for_serves_callers_at_the_same_time) {
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 6; ++caller)
        callers.emplace_back([&, caller] {
            for (int call = 0; call < 300; ++call) wrong += !covers(with_threads(2 + caller % 3), 1 + call % 7);
        });
    for (auto& t : callers) t.join();
    CHECK_EQUAL(wrong.load(), 0);
}

TEST(parallel_for_does_not_wait_for_helpers_that_come_late) {
    // More helpers than the machine can run: those that find the chunks taken must not use the call after it has ended.
    for (int call = 0; call < 200; ++call) CHECK(covers(with_threads(40), 40));
}

TEST(helpers_round_as_their_caller_does) {
    std::atomic<int> helped{0}, wrong{0};
    for (int call = 0; call < 200 && (call < 20 || !helped); ++call) {
        const int mode = call % 2 ? FE_UPWARD : FE_TONEAREST;
        std::fesetround(mode);
        parallel_for(with_threads(3), 6, [&](int64_t, int worker) {
            std::this_thread::sleep_for(std::chrono::microseconds(200));
            helped += worker != 0;
            wrong += std::fegetround() != mode;
        });
    }
    std::fesetround(FE_TONEAREST);
    CHECK(helped > 0);
    CHECK_EQUAL(wrong.load(), 0);
}

#ifdef __unix__
TEST(helpers_leave_signals_to_the_program) {
    std::atomic<int> helped{0}, open{0};
    for (int call = 0; call < 100 && !helped; ++call)
        parallel_for(with_threads(3), 8, [&](int64_t, int worker) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            if (worker == 0) return;
            sigset_t blocked;
            pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
            ++helped;
            open += !sigismember(&blocked, SIGINT) || sigismember(&blocked, SIGSEGV);
        });
    CHECK(helped > 0);
    CHECK_EQUAL(open.load(), 0);
}

#ifndef THREAD_SANITIZER  // which gives up in a child that starts threads
TEST(parallel_for_works_in_a_child_forked_while_others_use_it) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 3; ++caller)
        callers.emplace_back([&] {
            while (!stop) covers(with_threads(3), 20);
        });
    for (int round = 0; round < 20; ++round) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(5);  // ends a child that waits for ever
            _exit(covers(with_threads(3), 100) ? 0 : 1);
        }
        int status = -1;
        CHECK_EQUAL(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    stop = true;
    for (auto& t : callers) t.join();
}

TEST(parallel_for_works_in_a_forked_child) {
    CHECK(covers(with_threads(3), 100));
    const pid_t child = fork();
    if (child == 0) _exit(covers(with_threads(3), 100) ? 0 : 1);
    int status = -1;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(covers(with_threads(3), 100));
}
#endif
#endif

TEST(the_environment_asks_for_threads) {
    const auto under = [](const char* latom, const char* omp) {
        latom ? setenv("LATOM_NUM_THREADS", latom, 1) : unsetenv("LATOM_NUM_THREADS");
        omp ? setenv("OMP_NUM_THREADS", omp, 1) : unsetenv("OMP_NUM_THREADS");
        return threads_from_environment();
    };
    const std::string latom_was = std::getenv("LATOM_NUM_THREADS") ? std::getenv("LATOM_NUM_THREADS") : "";
    const std::string omp_was = std::getenv("OMP_NUM_THREADS") ? std::getenv("OMP_NUM_THREADS") : "";
    const int resolved = resolve_threads(0);
    CHECK_EQUAL(under(nullptr, nullptr), 0);
    CHECK_EQUAL(under("3", "5"), 3);
    CHECK_EQUAL(under(nullptr, "5"), 5);
    CHECK_EQUAL(under(nullptr, "4,2"), 4);
    CHECK_EQUAL(under(" 6", nullptr), 6);
    for (const char* useless : {"", "0", "-2", "many", "99999999999999999999", "70000"}) NOTE("'" << useless << "'") {
            CHECK_EQUAL(under(useless, "5"), 5);
            CHECK_EQUAL(under(useless, useless), 0);
        }
    under(std::to_string(resolved + 1).c_str(), nullptr);
    CHECK_EQUAL(resolve_threads(0), resolved);  // what was asked for when the library was loaded counts
    under(latom_was.empty() ? nullptr : latom_was.c_str(), omp_was.empty() ? nullptr : omp_was.c_str());
}

TEST(resolve_threads_asks_argument_environment_and_machine) {
    const int asked = threads_from_environment(), none = resolve_threads(0);
    CHECK(none >= 1);
    CHECK_EQUAL(resolve_threads(7), 7);
    CHECK_EQUAL(resolve_threads(-1), none);
    if (asked > 0) CHECK_EQUAL(none, asked);
#ifdef __linux__
    cpu_set_t all, one;
    CPU_ZERO(&one);
    if (asked == 0 && sched_getaffinity(0, sizeof all, &all) == 0) {
        CHECK(none <= CPU_COUNT(&all));
        int cpu = 0;
        while (!CPU_ISSET(cpu, &all)) ++cpu;
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) == 0) {
            CHECK_EQUAL(resolve_threads(0), 1);
            CHECK_EQUAL(sched_setaffinity(0, sizeof all, &all), 0);
        }
    }
#endif
}

TEST(a_limit_holds_for_every_call_until_it_is_lifted) {
    const int none = resolve_threads(0);
    CHECK_EQUAL(thread_limit(), 0);
    set_thread_limit(1);
    CHECK_EQUAL(thread_limit(), 1);
    CHECK_EQUAL(resolve_threads(0), 1);
    CHECK_EQUAL(resolve_threads(7), 1);
    set_thread_limit(-3);
    CHECK_EQUAL(thread_limit(), 1);
    set_thread_limit(none + 5);  // more than there would be without it
    CHECK_EQUAL(resolve_threads(0), none);
    CHECK_EQUAL(resolve_threads(none + 9), none + 5);
    CHECK_EQUAL(resolve_threads(none + 2), none + 2);
    set_thread_limit(0);
    CHECK_EQUAL(resolve_threads(0), none);
    CHECK_EQUAL(resolve_threads(none + 9), none + 9);
}

TEST(a_limit_may_change_while_others_compute) {
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 3; ++caller)
        callers.emplace_back([&] {
            while (!stop) {
                const int count = resolve_threads(5);
                wrong += count < 1 || count > 5 || !covers(with_threads(count), 20);
            }
        });
    for (int change = 0; change < 2000; ++change) {
        set_thread_limit(change % 4);
        if (change % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    stop = true;
    for (auto& t : callers) t.join();
    set_thread_limit(0);
    CHECK_EQUAL(wrong.load(), 0);
}

TEST(philox_gives_the_published_numbers) {
    // Random123's kat_vectors: counter 0, key 0.
    const std::array<std::uint32_t, 4> published{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    CHECK(Philox(0, static_cast<Purpose>(0)).words(0) == published);
}

TEST(philox_streams_differ_and_are_uniform) {
    const Philox a(1, Purpose::kFirstCenter), b(1, Purpose::kNextCenter),
        c(std::uint64_t{1} << 32, Purpose::kFirstCenter);
    std::set<std::array<std::uint32_t, 4>> seen;
    double mean = 0;
    for (std::uint64_t k = 0; k < 1000; ++k) {
        for (const std::uint64_t counter : {k, k << 32 | 5000})
            for (const Philox& stream : {a, b, c}) seen.insert(stream.words(counter));
        const double u = a.uniform(k);
        CHECK(u >= 0 && u < 1 && u * 0x1p53 == std::floor(u * 0x1p53));
        CHECK_EQUAL(u, a.uniform(k));
        mean += u / 1000;
    }
    CHECK_EQUAL(seen.size(), 6000u);
    CHECK(std::abs(mean - 0.5) < 0.05);
}

TEST(aligned_vectors_start_a_cache_line) {
    const auto aligned = [](const auto& v) { return reinterpret_cast<std::uintptr_t>(v.data()) % kCacheLine == 0; };
    for (std::size_t size = 1; size < 200; size += 7) {
        AlignedVector<std::int8_t> bytes(size, 3);
        AlignedVector<double> numbers(size, 1.5);
        AlignedVector<std::int8_t> copy = bytes;
        CHECK(aligned(bytes) && aligned(numbers) && aligned(copy));
        bytes.resize(10 * size);
        CHECK(aligned(bytes));
        CHECK_EQUAL(bytes[size - 1], 3);
        CHECK_EQUAL(copy.size(), size);
    }
    AlignedAllocator<double> allocator;
    CHECK_THROWS(allocator.allocate(std::numeric_limits<std::size_t>::max() / 4), std::bad_alloc, "");
}

TEST(messages_have_one_form) {
    Context ctx;
    ctx.function = "assign";
    CHECK_THROWS(fail(ctx, "m must be positive", -1, "Ask for more."), std::invalid_argument,
                 "assign: m must be positive; got -1. Ask for more.");
}
