// topk.cu: the order in which a call's kernels are queued, and where its workspace holds what.
#include "cuda/topk.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "cuda/exact.cuh"

namespace latom::cuda {
namespace {

constexpr std::int64_t kExactBlocks = 128;  // each holds the scores of one row

void check(cudaError_t status, const char* what) {
    if (status != cudaSuccess)
        throw std::runtime_error(std::string("CUDA: ") + what + " failed: " + cudaGetErrorString(status));
}
void check_launch() { check(cudaGetLastError(), "a launch"); }

std::int64_t padded(std::int64_t count, std::int64_t to = 8) { return (count + to - 1) / to * to; }
unsigned blocks(std::int64_t count, std::int64_t each) { return static_cast<unsigned>((count + each - 1) / each); }

// Hands out parts of a workspace; without one it only counts.
class Parts {
public:
    explicit Parts(void* base) : base_(static_cast<char*>(base)) {}
    template <class P>
    P* take(std::int64_t count) {
        char* const at = base_ ? base_ + used_ : nullptr;
        used_ += padded(count * static_cast<std::int64_t>(sizeof(P)), 256);
        return reinterpret_cast<P*>(at);
    }
    std::int64_t used() const { return used_; }

private:
    char* base_;
    std::int64_t used_ = 0;
};

struct Workspace {
    AtomBounds* bounds;
    double *atom_norm2, *factor, *bias, *row_norm2;
    int* overflowed;
    ExactScratch exact;
    // Of the screen:
    __half *W16, *X16, *score[2];
    float *bias32, *scale, *error;
    Candidates candidates;
    std::int64_t bytes, rows, depth, panel, exact_blocks;

    Workspace(void* base, std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t k, std::int64_t chunk) {
        Parts parts(base);
        rows = std::min(n, chunk), depth = padded(d), panel = std::min<std::int64_t>(padded(m), kPanel);
        exact_blocks = std::min(n, kExactBlocks);
        bounds = parts.take<AtomBounds>(1);
        atom_norm2 = parts.take<double>(m), factor = parts.take<double>(m), bias = parts.take<double>(m);
        row_norm2 = parts.take<double>(n);
        overflowed = parts.take<int>(n);
        exact = {parts.take<double>(exact_blocks * m), parts.take<double>(exact_blocks * k),
                 parts.take<int>(exact_blocks * k)};
        if (screened(k)) {
            W16 = parts.take<__half>(padded(m) * depth), X16 = parts.take<__half>(rows * depth);
            for (__half*& one : score) one = parts.take<__half>(rows * panel);
            bias32 = parts.take<float>(padded(m)), scale = parts.take<float>(n), error = parts.take<float>(n);
            candidates = {parts.take<float>(rows), parts.take<int>(rows), parts.take<float>(rows * kCapacity),
                          parts.take<int>(rows * kCapacity)};
        }
        bytes = parts.used();
    }
    static bool screened(std::int64_t k) { return k <= kMostSelected; }
};

// A stream and the events by which two take turns at two buffers.
class Beside {
public:
    Beside() {
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
        for (cudaEvent_t* e : {&start, &ready[0], &ready[1], &free[0], &free[1]})
            check(cudaEventCreateWithFlags(e, cudaEventDisableTiming), "cudaEventCreate");
    }
    Beside(const Beside&) = delete;
    Beside& operator=(const Beside&) = delete;
    ~Beside() {  // both are released when what is queued has been done
        for (cudaEvent_t e : {start, ready[0], ready[1], free[0], free[1]}) cudaEventDestroy(e);
        cudaStreamDestroy(stream_);
    }
    operator cudaStream_t() const { return stream_; }
    cudaEvent_t start, ready[2], free[2];

private:
    cudaStream_t stream_;
};

template <class T>
void screen_and_decide(const TopKCall<T>& call, const Workspace& w, const Decision<T>& to, ScreenProduct& product,
                       cudaStream_t stream) {
    const int d = static_cast<int>(call.d), depth = static_cast<int>(w.depth), m = static_cast<int>(call.m);
    const float* bias32 = to.bias ? w.bias32 : nullptr;
    simt::launch(pack_atoms<T>, dim3(blocks(padded(m), kPackRows)), dim3(kPackThreads), stream, call.W, m,
                 static_cast<int>(padded(m)), d, depth, w.atom_norm2, to.factor, to.bias, w.W16, w.bias32, w.bounds);
    const Beside side;
    check(cudaEventRecord(side.start, stream), "cudaEventRecord");
    check(cudaStreamWaitEvent(side, side.start, 0), "cudaStreamWaitEvent");
    int turn = 0;
    for (std::int64_t first = 0; first < call.n; first += w.rows) {
        const auto rows = static_cast<int>(std::min(w.rows, call.n - first));
        simt::launch(pack_rows<T>, dim3(blocks(rows, kPackRows)), dim3(kPackThreads), side, call.X,
                     static_cast<int>(first), rows, d, depth, w.row_norm2, w.bounds, w.X16, w.scale, w.error);
        const float floor = call.order == static_cast<int>(Order::kScore) ? -FLT_MAX : 0.0f;
        simt::launch(start_rows, dim3(blocks(rows, kThreads)), dim3(kThreads), stream, w.candidates, rows, floor);
        for (std::int64_t at = 0; at < m; at += w.panel, turn ^= 1) {
            const std::int64_t count = std::min<std::int64_t>(w.panel, m - at);
            if (first > 0 || at >= 2 * w.panel) check(cudaStreamWaitEvent(side, side.free[turn], 0), "a wait");
            product.run(w.X16, w.W16 + at * w.depth, w.score[turn], {rows, padded(count), w.depth, w.panel}, side);
            check(cudaEventRecord(side.ready[turn], side), "cudaEventRecord");
            check(cudaStreamWaitEvent(stream, side.ready[turn], 0), "cudaStreamWaitEvent");
            const Panel panel{w.score[turn], w.panel, static_cast<int>(at), static_cast<int>(count),
                              bias32 ? bias32 + at : nullptr};
            simt::launch(select_candidates, dim3(static_cast<unsigned>(rows)), dim3(kThreads), stream, panel,
                         static_cast<int>(call.k), call.order == static_cast<int>(Order::kMagnitude), w.scale + first,
                         w.error + first, w.candidates);
            check(cudaEventRecord(side.free[turn], stream), "cudaEventRecord");
        }
        simt::launch(decide_rows<T>, dim3(static_cast<unsigned>(rows)), dim3(kDecideThreads), stream, to, w.candidates,
                     static_cast<int>(first), w.bounds, w.overflowed);
        check_launch();
    }
}

}  // namespace

template <class T>
std::int64_t topk_bytes(std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t k, std::int64_t chunk) {
    return Workspace(nullptr, n, d, m, k, chunk).bytes;
}

template <class T>
const AtomBounds* topk(const TopKCall<T>& call, void* workspace, ScreenProduct& product, cudaStream_t stream) {
    const Workspace w(workspace, call.n, call.d, call.m, call.k, call.chunk);
    const int n = static_cast<int>(call.n), d = static_cast<int>(call.d), m = static_cast<int>(call.m);
    const int measure = static_cast<int>(call.measure);
    check(cudaMemsetAsync(w.bounds, 0, sizeof(AtomBounds), stream), "cudaMemset");
    for (int* bad : {&w.bounds->bad_atom, &w.bounds->bad_row})  // large, and positive
        check(cudaMemsetAsync(bad, 0x7f, sizeof(int), stream), "cudaMemset");
    const dim3 team(kPackThreads);
    simt::launch(measure_rows<T>, dim3(blocks(m, kPackRows)), team, stream, call.W, m, d, w.atom_norm2,
                 &w.bounds->bad_atom);
    simt::launch(measure_rows<T>, dim3(blocks(n, kPackRows)), team, stream, call.X, n, d, w.row_norm2,
                 &w.bounds->bad_row);
    simt::launch(rule_of_atoms, dim3(blocks(m, kPackThreads)), team, stream, w.atom_norm2, m, measure, w.factor, w.bias,
                 w.bounds);
    const Decision<T> to{.X = call.X,
                         .W = call.W,
                         .d = d,
                         .k = static_cast<int>(call.k),
                         .m = m,
                         .measure = measure,
                         .order = call.order,
                         .factor = call.measure == Measure::kCosine ? w.factor : nullptr,
                         .bias = call.measure == Measure::kEuclidean ? w.bias : call.bias,
                         .norm2 = w.row_norm2,
                         .score = call.score,
                         .index = call.index};
    if (Workspace::screened(call.k)) screen_and_decide(call, w, to, product, stream);
    else simt::launch(list_all_rows, dim3(blocks(n, kThreads)), dim3(kThreads), stream, n, w.overflowed, w.bounds);
    simt::launch(settle_rows<T>, dim3(static_cast<unsigned>(w.exact_blocks)), dim3(kThreads), stream, to, w.bounds,
                 w.overflowed, w.exact);
    check_launch();
    return w.bounds;
}

#define LATOM_TOPK(T)                                                                                          \
    template std::int64_t topk_bytes<T>(std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t); \
    template const AtomBounds* topk<T>(const TopKCall<T>&, void*, ScreenProduct&, cudaStream_t);
LATOM_TOPK(float)
LATOM_TOPK(double)

}  // namespace latom::cuda
