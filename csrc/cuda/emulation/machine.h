// machine.h: an emulation of a GPU's blocks and warps, which reports what a kernel may not do.
//
// Blocks run one after the other; each thread of a block is a fiber with a stack of its own. A fiber runs until it
// waits: at __syncthreads for all threads of the block, or at a *_sync for all lanes of the mask. Waits that can never
// end are reported: threads that have exited, masks that do not agree, barriers of two kinds. LATOM_SIMT_ORDER=forward,
// reverse or a seed is the order in which threads are taken that can go on; results must not depend on it.
//
// With -fsanitize=thread each thread is one of that sanitizer's, and only those barriers order memory that CUDA
// documents so: a check for races. With -fsanitize=address zones that nobody may touch surround device memory and
// __shared__ arrays: a check of memory.
#pragma once

#include "cuda/emulation/language.h"

namespace latom::simt {

constexpr int kWarp = 32;
constexpr std::size_t kStack = 256 << 10;

// The emulation's own state is none of the race check's business.
struct Unwatched {
#if defined(__SANITIZE_THREAD__)
    Unwatched() { begin(); }
    ~Unwatched() { end(); }
    static void begin() { AnnotateIgnoreReadsBegin("", 0), AnnotateIgnoreWritesBegin("", 0); }
    static void end() { AnnotateIgnoreReadsEnd("", 0), AnnotateIgnoreWritesEnd("", 0); }
#else
    Unwatched() {}
    static void begin() {}
    static void end() {}
#endif
};

// ---- fibers
// -----------------------------------------------------------------------------------------------------------
extern "C" void latom_simt_switch(void** from, void* to);
#if defined(__x86_64__)
asm(R"(
.text
.weak latom_simt_switch
.type latom_simt_switch,@function
latom_simt_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size latom_simt_switch,.-latom_simt_switch
)");
#else
#error "simt.h: fibers are written for x86-64 so far"
#endif

enum class Wait { kRun, kBlock, kWarp, kDone };
enum class Op {
    kNone,
    kSync,
    kBallot,
    kShfl,
    kShflUp,
    kShflDown,
    kShflXor,
    kReduceAdd,
    kReduceMax,
    kReduceMin,
    kBlockCount,
    kBlockSync
};

struct Thread {
    void* sp = nullptr;
    std::unique_ptr<char[]> stack;
    dim3 id;
    int index = 0, lane = 0;
    Wait wait = Wait::kDone;
    Op op = Op::kNone;
    std::uint32_t mask = 0;
    std::uint64_t value = 0, result = 0;
    int arg = 0, width = 32;
    bool unwatched = false;
    char arrived = 0, *met = nullptr;
#if defined(__SANITIZE_THREAD__)
    void* tsan = nullptr;
#endif
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
#endif
};

struct Machine {
    std::vector<Thread> threads;
    int size = 0;  // of the block
    dim3 grid, block, block_id;
    Thread* now = nullptr;
    void* home = nullptr;
    const std::function<void()>* body = nullptr;
    std::mt19937 random;
    int order = 0;
    std::string problem;
    char sync_start = 0, sync_end = 0, meeting[64] = {};  // where those who meet leave and find what the others did
    unsigned meetings = 0;
#if defined(__SANITIZE_THREAD__)
    void* tsan_home = nullptr;
#endif
#if defined(__SANITIZE_ADDRESS__)
    const void* home_stack = nullptr;
    std::size_t home_size = 0;
    void* home_fake = nullptr;
#endif

    static Machine& get() {
        static Machine machine;
        return machine;
    }

    [[noreturn]] static void entry() {
        Machine& m = get();
        if (!m.now->unwatched) Unwatched::begin();  // it left its last block so
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_finish_switch_fiber(nullptr, &m.home_stack, &m.home_size);
#endif
#if defined(__SANITIZE_THREAD__)
        __tsan_acquire(&m.sync_start);
#endif
        {
            const std::function<void()>& body = *m.body;
            Unwatched::end();
            body();
            Unwatched::begin();
        }
        m.now->wait = Wait::kDone;
#if defined(__SANITIZE_THREAD__)
        __tsan_release(&m.sync_end);
#endif
        m.now->unwatched = true;
        m.leave(true);
        std::abort();
    }

    void leave(bool last) {  // back to the scheduler
        Thread& t = *now;
        (void)last;
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_start_switch_fiber(last ? nullptr : &t.fake, home_stack, home_size);
#endif
#if defined(__SANITIZE_THREAD__)
        __tsan_switch_to_fiber(tsan_home, 1);
#endif
        latom_simt_switch(&t.sp, home);
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_finish_switch_fiber(t.fake, &home_stack, &home_size);
#endif
    }

    void enter(Thread& t) {
        now = &t;
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_start_switch_fiber(&home_fake, t.stack.get(), kStack);
#endif
#if defined(__SANITIZE_THREAD__)
        __tsan_switch_to_fiber(t.tsan, 1);
#endif
        latom_simt_switch(&home, t.sp);
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_finish_switch_fiber(home_fake, nullptr, nullptr);
#endif
        now = nullptr;
    }

    void start(Thread& t) {
        auto top = reinterpret_cast<std::uintptr_t>(t.stack.get() + kStack) & ~std::uintptr_t{15};
        void** sp = reinterpret_cast<void**>(top) - 1;
        *--sp = reinterpret_cast<void*>(&Machine::entry);  // (top - 16): rsp is 8 mod 16 at entry, as after a call
        for (int i = 0; i < 6; ++i) *--sp = nullptr;
        t.sp = sp;
        t.wait = Wait::kRun;
        t.op = Op::kNone;
    }

    // ---- collectives: deposit, wait until all have come; who comes last computes every result
    // ---------------------------
    std::uint64_t collective(Wait scope, Op op, std::uint32_t mask, std::uint64_t value, int arg = 0, int width = 32) {
        const Unwatched unwatched;
        Thread& t = *now;
        t.op = op, t.mask = mask, t.value = value, t.arg = arg, t.width = width, t.wait = scope;
        const bool orders = op == Op::kSync || scope == Wait::kBlock;
        (void)orders;
#if defined(__SANITIZE_THREAD__)
        if (orders) __tsan_release(&t.arrived);
#endif
        if (scope == Wait::kBlock) try_block();
        else try_warp(t);
        while (t.wait != Wait::kRun) leave(false);
#if defined(__SANITIZE_THREAD__)
        if (orders && t.met) __tsan_acquire(t.met);
#endif
        return t.result;
    }
    void try_block() {
        std::uint64_t count = 0;
        for (int i = 0; i < size; ++i) {
            const Thread& t = threads[i];
            if (t.wait != Wait::kBlock) return;
            if (t.op != now->op) return fail("barriers of two kinds meet in one block", *now);
            count += t.value;
        }
        meet(0, size, ~0ull);
        for (int i = 0; i < size; ++i) threads[i].result = count, threads[i].wait = Wait::kRun;
    }
    // Who comes last gathers what all have done, for each to take up when it goes on: what others do later is not among
    // it.
    void meet([[maybe_unused]] int first, [[maybe_unused]] int count, [[maybe_unused]] std::uint64_t mask) {
#if defined(__SANITIZE_THREAD__)
        char* const at = &meeting[meetings++ % sizeof meeting];
        for (int i = 0; i < count; ++i)
            if (count > kWarp || mask >> i & 1)
                __tsan_acquire(&threads[first + i].arrived), threads[first + i].met = at;
        __tsan_release(at);
#endif
    }
    void try_warp(Thread& t) {
        const int first = t.index / kWarp * kWarp, lanes = std::min(kWarp, size - first);
        if (!(t.mask >> t.lane & 1)) return fail("a lane is not in its own mask", t);
        for (int l = 0; l < kWarp; ++l) {
            if (!(t.mask >> l & 1)) continue;
            if (l >= lanes) return fail("a mask names a lane that does not exist", t);
            const Thread& u = threads[first + l];
            if (u.wait != Wait::kWarp) return;
            if (u.op != t.op || u.mask != t.mask) return;  // may still be another group's; a deadlock tells
        }
        std::uint64_t all = 0;
        bool begun = false;
        for (int l = 0; l < lanes; ++l) {
            if (!(t.mask >> l & 1)) continue;
            const Thread& u = threads[first + l];
            const auto v = static_cast<std::uint32_t>(u.value);
            switch (t.op) {
                case Op::kBallot:
                    all |= static_cast<std::uint64_t>(u.value != 0) << l;
                    break;
                case Op::kReduceAdd:
                    all += v;
                    break;
                case Op::kReduceMax:
                    all = begun ? std::max<std::uint64_t>(all, v) : v;
                    break;
                case Op::kReduceMin:
                    all = begun ? std::min<std::uint64_t>(all, v) : v;
                    break;
                default:
                    break;
            }
            begun = true;
        }
        for (int l = 0; l < lanes; ++l) {
            if (!(t.mask >> l & 1)) continue;
            Thread& u = threads[first + l];
            const int base = l / u.width * u.width, within = l % u.width;
            int from = l;
            if (u.op == Op::kShfl) from = base + (u.arg & (u.width - 1));
            if (u.op == Op::kShflUp) from = within - u.arg < 0 ? l : l - u.arg;
            if (u.op == Op::kShflDown) from = within + u.arg >= u.width ? l : l + u.arg;
            if (u.op == Op::kShflXor) from = (within ^ u.arg) >= u.width ? l : base + (within ^ u.arg);
            const bool shuffles =
                u.op == Op::kShfl || u.op == Op::kShflUp || u.op == Op::kShflDown || u.op == Op::kShflXor;
            if (shuffles && !(t.mask >> from & 1)) return fail("a shuffle reads a lane outside its mask", u);
            u.result = shuffles                 ? threads[first + from].value
                       : u.op == Op::kReduceAdd ? static_cast<std::uint32_t>(all)
                                                : all;
        }
        if (t.op == Op::kSync) meet(first, lanes, t.mask);
        for (int l = 0; l < lanes; ++l)
            if (t.mask >> l & 1) threads[first + l].wait = Wait::kRun;
    }
    void fail(const char* what, const Thread& t) {
        if (problem.empty())
            problem =
                std::string(what) + ": block " + std::to_string(block_id.x) + ", thread " + std::to_string(t.index);
    }

    void run_block() {
        for (int i = 0; i < size; ++i) start(threads[i]);
        std::vector<int> turn(size);
        for (int i = 0; i < size; ++i) turn[i] = order < 0 ? size - 1 - i : i;
        for (int left = size; left > 0;) {
            if (order > 0) std::shuffle(turn.begin(), turn.end(), random);
            bool moved = false;
            for (int i : turn) {
                Thread& t = threads[i];
                if (t.wait != Wait::kRun) continue;
                moved = true;
                enter(t);
                left -= t.wait == Wait::kDone;
                if (!problem.empty()) throw std::runtime_error("simt: " + problem);
            }
            if (!moved) {
                int block_waits = 0, warp_waits = 0, done = 0;
                for (int i = 0; i < size; ++i) {
                    block_waits += threads[i].wait == Wait::kBlock;
                    warp_waits += threads[i].wait == Wait::kWarp;
                    done += threads[i].wait == Wait::kDone;
                }
                throw std::runtime_error("simt: deadlock in block " + std::to_string(block_id.x) + ": " +
                                         std::to_string(block_waits) + " threads wait at __syncthreads, " +
                                         std::to_string(warp_waits) + " at a warp's barrier, " + std::to_string(done) +
                                         " have exited");
            }
        }
    }

    void run(dim3 g, dim3 b, const std::function<void()>& f) {
        const Unwatched unwatched;
        grid = g, block = b, body = &f;
        size = static_cast<int>(b.x * b.y * b.z);
        if (size < 1 || size > 1024 || g.x < 1) throw std::runtime_error("simt: invalid configuration");
        const char* env = std::getenv("LATOM_SIMT_ORDER");
        const std::string want = env ? env : "forward";
        order = want == "forward" ? 0 : want == "reverse" ? -1 : 1;
        if (order > 0) random.seed(static_cast<unsigned>(std::atoi(want.c_str())));
        if (static_cast<int>(threads.size()) < size) threads.resize(size);
        for (int i = 0; i < size; ++i) {
            Thread& t = threads[i];
            if (!t.stack) t.stack = std::make_unique<char[]>(kStack);
            t.index = i, t.lane = i % kWarp;
            t.id = dim3(i % b.x, i / b.x % b.y, i / (b.x * b.y));
#if defined(__SANITIZE_THREAD__)
            if (!t.tsan) t.tsan = __tsan_create_fiber(0);
#endif
        }
#if defined(__SANITIZE_THREAD__)
        tsan_home = __tsan_get_current_fiber();
        __tsan_release(&sync_start);
#endif
        for (unsigned z = 0; z < g.z; ++z)
            for (unsigned y = 0; y < g.y; ++y)
                for (unsigned x = 0; x < g.x; ++x) {
                    block_id = dim3(x, y, z);
                    run_block();
                }
#if defined(__SANITIZE_THREAD__)
        __tsan_acquire(&sync_end);
#endif
    }
};

template <class T>
std::uint64_t bits(T v) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
    std::uint64_t b = 0;
    std::memcpy(&b, &v, sizeof v);
    return b;
}
template <class T>
T from_bits(std::uint64_t b) {
    T v;
    std::memcpy(&v, &b, sizeof v);
    return v;
}

}  // namespace latom::simt
