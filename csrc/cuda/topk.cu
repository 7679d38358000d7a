// topk.cu: the order in which a call's kernels are queued, and where its workspace holds what.
#include "cuda/topk.h"

#include "cuda/screen.cuh"

namespace latom::cuda {
namespace {

struct Workspace {
    RowCounts* counts;
    double* norm2;
    int* overflowed;
    ExactScratch exact;
    ScreenSpace screen;
    std::int64_t bytes, exact_blocks;

    Workspace(void* base, std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t k, std::int64_t chunk) {
        Parts parts(base);
        exact_blocks = std::min(n, kExactBlocks);
        counts = parts.take<RowCounts>(1);
        norm2 = parts.take<double>(n);
        overflowed = parts.take<int>(n);
        exact = {parts.take<double>(exact_blocks * m), parts.take<double>(exact_blocks * k),
                 parts.take<int>(exact_blocks * k)};
        if (screened(k)) screen = ScreenSpace(parts, n, d, m, chunk);
        bytes = parts.used();
    }
    static bool screened(std::int64_t k) { return k <= kMostSelected; }
};

}  // namespace

template <class T>
std::int64_t topk_bytes(std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t k, std::int64_t chunk) {
    return Workspace(nullptr, n, d, m, k, chunk).bytes;
}

template <class T>
const RowCounts* topk(const TopKCall<T>& call, void* workspace, ScreenProduct& product, cudaStream_t stream) {
    const Atoms<T>& atoms = call.atoms;
    const Workspace w(workspace, call.n, atoms.d, atoms.m, call.k, call.chunk);
    double* const norm2 = call.norm2 ? call.norm2 : w.norm2;
    start_counts(call.X, call.n, atoms.d, norm2, call.known, w.counts, stream);
    Decision<T> to = decision_of(atoms, call.X, norm2, call.k, call.order);
    to.score = call.score, to.index = call.index, to.dot = call.dot, to.counts = w.counts;
    if (Workspace::screened(call.k)) {
        const float floor = call.order == static_cast<int>(Order::kScore) ? -FLT_MAX : 0.0f;
        screen_rows(
            atoms, call.X, norm2, call.n, static_cast<int>(call.k), call.order == static_cast<int>(Order::kMagnitude),
            w.screen, product, stream,
            [&](int, int rows) {
                simt::launch(start_rows, dim3(blocks(rows, kThreads)), dim3(kThreads), stream, w.screen.candidates,
                             rows, floor);
            },
            [&](int first, int rows) {
                simt::launch(decide_rows<T>, dim3(static_cast<unsigned>(rows)), dim3(kDecideThreads), stream, to,
                             w.screen.candidates, first, w.overflowed);
            });
    } else {
        simt::launch(list_all_rows, dim3(blocks(call.n, kThreads)), dim3(kThreads), stream, static_cast<int>(call.n),
                     w.overflowed, w.counts);
    }
    simt::launch(settle_rows<T>, dim3(static_cast<unsigned>(w.exact_blocks)), dim3(kThreads), stream, to, w.overflowed,
                 w.exact);
    check_launch();
    return w.counts;
}

#define LATOM_TOPK(T)                                                                                          \
    template std::int64_t topk_bytes<T>(std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t); \
    template const RowCounts* topk<T>(const TopKCall<T>&, void*, ScreenProduct&, cudaStream_t);
LATOM_TOPK(float)
LATOM_TOPK(double)

}  // namespace latom::cuda
