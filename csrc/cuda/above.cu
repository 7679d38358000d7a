// above.cu: the order of a call's kernels, and where its workspace holds what.
#include "cuda/above.h"

#include "cuda/above.cuh"
#include "cuda/screen.cuh"

namespace latom::cuda {
namespace {

struct Workspace {
    RowCounts* counts;
    double *norm2, *exact;
    int* overflowed;
    long long* begin;
    Matches matches;
    ScreenSpace screen;
    std::int64_t bytes, exact_blocks;

    Workspace(void* base, std::int64_t n, std::int64_t d, std::int64_t m) {
        Parts parts(base);
        exact_blocks = std::min(n, kExactBlocks);
        counts = parts.take<RowCounts>(1);
        norm2 = parts.take<double>(n);
        overflowed = parts.take<int>(n);
        begin = parts.take<long long>(n + 1);
        matches = {parts.take<int>(n), parts.take<double>(n * kCapacity), parts.take<int>(n * kCapacity)};
        exact = parts.take<double>(exact_blocks * m);
        screen = ScreenSpace(parts, n, d, m, n);
        bytes = parts.used();
    }
};

template <class T>
Decision<T> decision(const AboveCall<T>& call, const Workspace& w) {
    Decision<T> to = decision_of(call.atoms, call.X, w.norm2, 1, static_cast<int>(Order::kAbove));
    to.threshold = call.threshold, to.counts = w.counts;
    return to;
}

struct CodeSpace {
    int* count;
    long long* begin;
    std::int64_t bytes;

    CodeSpace(void* base, std::int64_t n) {
        Parts parts(base);
        count = parts.take<int>(n), begin = parts.take<long long>(n + 1);
        bytes = parts.used();
    }
};

}  // namespace

template <class T>
std::int64_t above_bytes(std::int64_t n, std::int64_t d, std::int64_t m) {
    return Workspace(nullptr, n, d, m).bytes;
}

template <class T>
AboveFound count_above(const AboveCall<T>& call, void* workspace, ScreenProduct& product, cudaStream_t stream) {
    const Atoms<T>& atoms = call.atoms;
    const Workspace w(workspace, call.n, atoms.d, atoms.m);
    start_counts(call.X, call.n, atoms.d, w.norm2, false, w.counts, stream);
    const Decision<T> to = decision(call, w);
    screen_rows(
        atoms, call.X, w.norm2, call.n, kAllAboveFloor, false, w.screen, product, stream,
        [&](int, int rows) {
            simt::launch(start_above, dim3(blocks(rows, kThreads)), dim3(kThreads), stream, w.screen.candidates, rows,
                         to.measure, call.threshold, w.norm2, atoms.bounds);
        },
        [&](int, int rows) {
            simt::launch(match_rows<T>, dim3(static_cast<unsigned>(rows)), dim3(kDecideThreads), stream, to,
                         w.screen.candidates, w.matches, w.overflowed);
        });
    simt::launch(match_overflowed<T>, dim3(static_cast<unsigned>(w.exact_blocks)), dim3(kThreads), stream, to,
                 w.overflowed, w.exact, w.matches.count, nullptr, nullptr, nullptr);
    simt::launch(scan_counts, dim3(1), dim3(kThreads), stream, w.matches.count, static_cast<int>(call.n), w.begin);
    check_launch();
    return {w.counts, w.begin};
}

template <class T>
void write_above(const AboveCall<T>& call, void* workspace, T* score, int* atom, cudaStream_t stream) {
    const Workspace w(workspace, call.n, call.atoms.d, call.atoms.m);
    const RowLists<double> lists{.value = w.matches.value,
                                 .atom = w.matches.atom,
                                 .stride = kCapacity,
                                 .count = w.matches.count,
                                 .filled = w.screen.candidates.filled,
                                 .all = 0,
                                 .keep_zeros = true};
    simt::launch(write_sorted<double, T>, dim3(static_cast<unsigned>(call.n)), dim3(kThreads), stream, lists, w.begin,
                 score, atom);
    simt::launch(match_overflowed<T>, dim3(static_cast<unsigned>(w.exact_blocks)), dim3(kThreads), stream,
                 decision(call, w), w.overflowed, w.exact, w.matches.count, w.begin, score, atom);
    check_launch();
}

std::int64_t codes_bytes(std::int64_t n) { return CodeSpace(nullptr, n).bytes; }

template <class T>
const long long* count_codes(const T* value, std::int64_t n, std::int64_t k, void* workspace, cudaStream_t stream) {
    const CodeSpace w(workspace, n);
    simt::launch(count_values<T>, dim3(blocks(n, kThreads)), dim3(kThreads), stream, value, static_cast<int>(n),
                 static_cast<int>(k), w.count);
    simt::launch(scan_counts, dim3(1), dim3(kThreads), stream, w.count, static_cast<int>(n), w.begin);
    check_launch();
    return w.begin;
}

template <class T>
void write_codes(const T* value, const int* atom, std::int64_t n, std::int64_t k, void* workspace, T* out,
                 int* out_atom, cudaStream_t stream) {
    const CodeSpace w(workspace, n);
    const RowLists<T> lists{.value = value,
                            .atom = atom,
                            .stride = k,
                            .count = nullptr,
                            .filled = nullptr,
                            .all = static_cast<int>(k),
                            .keep_zeros = false};
    simt::launch(write_sorted<T, T>, dim3(static_cast<unsigned>(n)), dim3(kThreads), stream, lists, w.begin, out,
                 out_atom);
    check_launch();
}

#define LATOM_ABOVE(T)                                                                                   \
    template std::int64_t above_bytes<T>(std::int64_t, std::int64_t, std::int64_t);                      \
    template AboveFound count_above<T>(const AboveCall<T>&, void*, ScreenProduct&, cudaStream_t);        \
    template void write_above<T>(const AboveCall<T>&, void*, T*, int*, cudaStream_t);                    \
    template const long long* count_codes<T>(const T*, std::int64_t, std::int64_t, void*, cudaStream_t); \
    template void write_codes<T>(const T*, const int*, std::int64_t, std::int64_t, void*, T*, int*, cudaStream_t);
LATOM_ABOVE(float)
LATOM_ABOVE(double)

}  // namespace latom::cuda
