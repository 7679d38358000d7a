// screen.cuh: rows through the float16 screen, a chunk at a time: what may be wanted of each is listed, then decided.
#pragma once

#include "cuda/atoms.h"
#include "cuda/exact.cuh"
#include "cuda/launching.h"
#include "cuda/product.h"

namespace latom::cuda {

constexpr std::int64_t kExactBlocks = 128;    // each holds the scores of one row
constexpr int kAllAboveFloor = kThreads + 1;  // a k that more threads reach than there are: the floor stays

/// What a chunk of rows needs beside what is known of all.
struct ScreenSpace {
    __half *X16 = nullptr, *score[2] = {};
    float *scale = nullptr, *error = nullptr;  // [n]
    Candidates candidates{};
    std::int64_t rows = 0, depth = 0, panel = 0;

    ScreenSpace() = default;
    ScreenSpace(Parts& parts, std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t chunk)
        : rows(std::min(n, chunk)), depth(padded(d)), panel(std::min<std::int64_t>(padded(m), kPanel)) {
        X16 = parts.take<__half>(rows * depth);
        for (__half*& one : score) one = parts.take<__half>(rows * panel);
        scale = parts.take<float>(n), error = parts.take<float>(n);
        candidates = {parts.take<float>(rows), parts.take<int>(rows), parts.take<float>(rows * kCapacity),
                      parts.take<int>(rows * kCapacity)};
    }
};

template <class T>
Decision<T> decision_of(const Atoms<T>& atoms, const T* X, const double* norm2, std::int64_t k, int order) {
    return {.X = X,
            .W = atoms.W,
            .d = static_cast<int>(atoms.d),
            .k = static_cast<int>(k),
            .m = static_cast<int>(atoms.m),
            .measure = static_cast<int>(atoms.measure),
            .order = order,
            .factor = atoms.factor,
            .bias = atoms.bias,
            .norm2 = norm2,
            .threshold = nullptr,
            .score = nullptr,
            .index = nullptr,
            .dot = nullptr,
            .counts = nullptr};
}

/// start(first, rows) queues the floors of a chunk, decide(first, rows) what becomes of its candidates. The product
/// runs on a stream beside; k as select_candidates has it.
template <class T, class Start, class Decide>
void screen_rows(const Atoms<T>& atoms, const T* X, const double* norm2, std::int64_t n, int k, bool magnitude,
                 const ScreenSpace& s, ScreenProduct& product, cudaStream_t stream, Start start, Decide decide) {
    const auto m = static_cast<int>(atoms.m);
    const Beside side;
    check(cudaEventRecord(side.start, stream), "cudaEventRecord");
    check(cudaStreamWaitEvent(side, side.start, 0), "cudaStreamWaitEvent");
    int turn = 0;
    for (std::int64_t first = 0; first < n; first += s.rows) {
        const auto rows = static_cast<int>(std::min(s.rows, n - first));
        simt::launch(pack_rows<T>, dim3(blocks(rows, kPackRows)), dim3(kPackThreads), side, X, static_cast<int>(first),
                     rows, static_cast<int>(atoms.d), static_cast<int>(s.depth), norm2, atoms.bounds, s.X16, s.scale,
                     s.error);
        start(static_cast<int>(first), rows);
        for (std::int64_t at = 0; at < m; at += s.panel, turn ^= 1) {
            const std::int64_t count = std::min<std::int64_t>(s.panel, m - at);
            if (first > 0 || at >= 2 * s.panel) check(cudaStreamWaitEvent(side, side.free[turn], 0), "a wait");
            product.run(s.X16, atoms.W16 + at * s.depth, s.score[turn], {rows, padded(count), s.depth, s.panel}, side);
            check(cudaEventRecord(side.ready[turn], side), "cudaEventRecord");
            check(cudaStreamWaitEvent(stream, side.ready[turn], 0), "cudaStreamWaitEvent");
            const Panel panel{s.score[turn], s.panel, static_cast<int>(at), static_cast<int>(count),
                              atoms.bias32 ? atoms.bias32 + at : nullptr};
            simt::launch(select_candidates, dim3(static_cast<unsigned>(rows)), dim3(kThreads), stream, panel, k,
                         magnitude, s.scale + first, s.error + first, s.candidates);
            check(cudaEventRecord(side.free[turn], stream), "cudaEventRecord");
        }
        decide(static_cast<int>(first), rows);
        check_launch();
    }
}

/// Sets counts to nothing found, and the squared lengths of rows unless they are known.
template <class T>
void start_counts(const T* X, std::int64_t n, std::int64_t d, double* norm2, bool known, RowCounts* counts,
                  cudaStream_t stream) {
    check(cudaMemsetAsync(counts, 0, sizeof(RowCounts), stream), "cudaMemset");
    check(cudaMemsetAsync(&counts->unheld, 0x7f, sizeof(int), stream), "cudaMemset");          // large, and positive
    if (known) check(cudaMemsetAsync(&counts->bad, 0x7f, sizeof(int), stream), "cudaMemset");  // none
    else measure_lengths(X, n, d, norm2, &counts->bad, stream);
}

}  // namespace latom::cuda
