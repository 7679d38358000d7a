// csr_nearest.cu: the order in which kernels of sparse centers are queued, and where their workspace holds what.
#include "cuda/csr_nearest.h"

#include "cuda/csr_nearest.cuh"
#include "cuda/launching.h"

namespace latom::cuda {
namespace {

constexpr std::int64_t kSettleBlocks = 1024;

template <class T>
CsrCenters<T> placed(Parts& parts, std::int64_t m, std::int64_t entries) {
    CsrCenters<T> to{};
    to.m = m;
    to.bounds = parts.take<AtomBounds>(1);
    to.norm2 = parts.take<double>(m), to.factor = parts.take<double>(m), to.bias = parts.take<double>(m);
    to.half = parts.take<__half>(entries);
    to.bias32 = parts.take<float>(m);
    return to;
}

struct Workspace {
    RowCounts* counts;
    int* overflowed;
    Listed listed;
    Slab slab;
    std::int64_t rows, slices, bytes;

    Workspace(void* base, std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t chunk, std::int64_t room)
        : rows(std::min(n, chunk)) {
        Parts parts(base);
        const std::int64_t most = std::min<std::int64_t>(kMostSlices, (m + kSlice - 1) / kSlice);
        slices = std::clamp<std::int64_t>(room / (d * (2 * kSlice + 1)), 1, most);
        counts = parts.take<RowCounts>(1);
        overflowed = parts.take<int>(n);
        listed = {parts.take<float>(rows), parts.take<float>(rows),           parts.take<unsigned>(rows),
                  parts.take<int>(rows),   parts.take<float>(rows * kListed), parts.take<int>(rows * kListed)};
        slab = {parts.take<__half>(d * slices * kSlice),
                parts.take<unsigned char>(d * slices),
                slices * kSlice,
                static_cast<int>(d),
                0,
                0};
        bytes = parts.used();
    }
};

template <class T>
CsrRows<T> rows_from(CsrRows<T> rows, std::int64_t first) {
    rows.begin += first, rows.norm2 += first;
    return rows;
}

/// Lays out the centers from `first` on, as many as there is room for.
template <class T>
void make_slab(const CsrCenters<T>& centers, std::int64_t first, Slab& slab, std::int64_t slices, cudaStream_t stream) {
    slab.first = static_cast<int>(first);
    slab.count = static_cast<int>(std::min<std::int64_t>(slab.stride, centers.m - first));
    const auto columns = static_cast<std::size_t>(centers.d * slices);
    check(cudaMemsetAsync(slab.half, 0, columns * kSlice * sizeof(__half), stream), "cudaMemset");
    check(cudaMemsetAsync(slab.held, 0, columns, stream), "cudaMemset");
    simt::launch(fill_slab<T>, dim3(static_cast<unsigned>(slab.count)), dim3(kPackThreads), stream, centers, slab);
}

}  // namespace

template <class T>
std::int64_t csr_centers_bytes(std::int64_t m, std::int64_t entries) {
    Parts parts(nullptr);
    placed<T>(parts, m, entries);
    return parts.used();
}

template <class T>
CsrCenters<T> prepare_csr_centers(const CsrRows<T>& rows, std::int64_t m, std::int64_t d, std::int64_t entries,
                                  Measure measure, void* workspace, cudaStream_t stream) {
    Parts parts(workspace);
    CsrCenters<T> to = placed<T>(parts, m, entries);
    to.rows = rows, to.d = d, to.measure = measure;
    const int count = static_cast<int>(m);
    check(cudaMemsetAsync(to.bounds, 0, sizeof(AtomBounds), stream), "cudaMemset");
    simt::launch(measure_csr<T>, dim3(blocks(m, kPackRows)), dim3(kPackThreads), stream, rows, count, to.norm2);
    simt::launch(rule_of_atoms, dim3(blocks(m, kPackThreads)), dim3(kPackThreads), stream, to.norm2, count,
                 static_cast<int>(measure), to.factor, to.bias, to.bounds);
    if (measure != Measure::kCosine) to.factor = nullptr;
    if (measure != Measure::kEuclidean) to.bias = nullptr, to.bias32 = nullptr;
    simt::launch(pack_csr<T>, dim3(blocks(m, kPackRows)), dim3(kPackThreads), stream, to);
    check_launch();
    return to;
}

std::int64_t csr_nearest_bytes(std::int64_t n, std::int64_t d, std::int64_t m, std::int64_t chunk, std::int64_t slab) {
    return Workspace(nullptr, n, d, m, chunk, slab).bytes;
}

template <class T>
const RowCounts* csr_nearest(const CsrNearestCall<T>& call, void* workspace, cudaStream_t stream) {
    const CsrCenters<T>& centers = call.centers;
    const Workspace w(workspace, call.n, centers.d, centers.m, call.chunk, call.slab);
    const Nearest out{call.label, call.own, call.score, w.overflowed, w.counts};
    check(cudaMemsetAsync(w.counts, 0, sizeof(RowCounts), stream), "cudaMemset");
    for (int* none : {&w.counts->bad, &w.counts->unheld})  // large, and positive: callers have looked at the rows
        check(cudaMemsetAsync(none, 0x7f, sizeof(int), stream), "cudaMemset");
    Slab slab = w.slab;
    for (std::int64_t first = 0; first < call.n; first += w.rows) {
        const auto rows = static_cast<int>(std::min(w.rows, call.n - first));
        const CsrRows<T> part = rows_from(call.rows, first);
        simt::launch(start_csr<T>, dim3(blocks(rows, kPackRows)), dim3(kPackThreads), stream, part, rows,
                     centers.bounds, w.listed);
        for (std::int64_t at = 0; at < centers.m; at += slab.stride) {
            if (first == 0 || slab.stride < centers.m) make_slab(centers, at, slab, w.slices, stream);
            const std::int64_t warps = std::int64_t{rows} * ((slab.count + kSlice - 1) / kSlice);
            simt::launch(list_nearest<T>, dim3(blocks(warps, kThreads / 32)), dim3(kThreads), stream, part, rows, slab,
                         centers.bias32, w.listed);
        }
        simt::launch(decide_nearest<T>, dim3(blocks(rows, kDecideThreads / 32)), dim3(kDecideThreads), stream,
                     call.rows, static_cast<int>(first), rows, centers, w.listed, out);
    }
    simt::launch(settle_nearest<T>, dim3(static_cast<unsigned>(std::min(call.n, kSettleBlocks))), dim3(kThreads),
                 stream, call.rows, centers, out);
    check_launch();
    return w.counts;
}

#define LATOM_CSR(T)                                                                                                 \
    template std::int64_t csr_centers_bytes<T>(std::int64_t, std::int64_t);                                          \
    template CsrCenters<T> prepare_csr_centers(const CsrRows<T>&, std::int64_t, std::int64_t, std::int64_t, Measure, \
                                               void*, cudaStream_t);                                                 \
    template const RowCounts* csr_nearest(const CsrNearestCall<T>&, void*, cudaStream_t);
LATOM_CSR(float)
LATOM_CSR(double)

}  // namespace latom::cuda
