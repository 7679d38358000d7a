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
        slices = std::clamp<std::int64_t>((room / d - 4) / (2 * kSlice), 1, most);
        counts = parts.take<RowCounts>(1);
        overflowed = parts.take<int>(n);
        listed = {.scale = parts.take<float>(rows),
                  .error = parts.take<float>(rows),
                  .floor = parts.take<unsigned>(rows),
                  .filled = parts.take<int>(rows),
                  .upper = parts.take<float>(rows * kListed),
                  .atom = parts.take<int>(rows * kListed),
                  .top = parts.take<unsigned>(rows),
                  .next = parts.take<unsigned>(rows)};
        slab = {parts.take<__half>(d * slices * kSlice),
                parts.take<unsigned>(d),
                slices * kSlice,
                static_cast<int>(d),
                0,
                0};
        bytes = parts.used();
    }
};

/// Lays out `count` centers from position `first` on.
template <class T>
void make_slab(const Search<T>& of, std::int64_t first, std::int64_t count, Slab& slab, cudaStream_t stream) {
    slab.first = static_cast<int>(first), slab.count = static_cast<int>(count);
    const auto columns = static_cast<std::size_t>(slab.d);
    const std::size_t bytes = columns * static_cast<std::size_t>(slab.stride) * sizeof(__half);
    check(cudaMemsetAsync(slab.half, 0, bytes, stream), "cudaMemset");
    check(cudaMemsetAsync(slab.held, 0, columns * sizeof(unsigned), stream), "cudaMemset");
    simt::launch(fill_slab<T>, dim3(static_cast<unsigned>(count)), dim3(kPackThreads), stream, of, slab);
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
    const std::int64_t m = call.centers.m;
    const Workspace w(workspace, call.n, call.centers.d, m, call.chunk, call.slab);
    Search<T> of{call.rows, call.centers, call.order, call.which, call.width, call.known, call.known_own, 0};
    const Nearest out{call.label, call.own, call.score, call.others, w.overflowed, w.counts};
    Listed listed = w.listed;
    if (call.others == nullptr) listed.top = listed.next = nullptr;
    check(cudaMemsetAsync(w.counts, 0, sizeof(RowCounts), stream), "cudaMemset");
    for (int* none : {&w.counts->bad, &w.counts->unheld})  // large, and positive: callers have looked at the rows
        check(cudaMemsetAsync(none, 0x7f, sizeof(int), stream), "cudaMemset");
    Slab slab = w.slab;
    for (std::int64_t first = 0; first < call.n; first += w.rows) {
        const auto rows = static_cast<int>(std::min(w.rows, call.n - first));
        of.first = static_cast<int>(first);
        simt::launch(start_csr<T>, dim3(blocks(rows, kPackRows)), dim3(kPackThreads), stream, of, rows, listed);
        const int* const width = call.host_width ? call.host_width + first : nullptr;
        const std::int64_t widest = width ? std::min<std::int64_t>(width[0], m) : m;
        for (std::int64_t at = 0; at < widest; at += slab.stride) {
            if (first == 0 || slab.stride < m)
                make_slab(of, at, std::min<std::int64_t>(slab.stride, widest - at), slab, stream);
            const std::int64_t wide =
                width ? std::partition_point(width, width + rows, [at](int v) { return v > at; }) - width : rows;
            const std::int64_t warps = wide * ((slab.count + kSlice - 1) / kSlice);
            simt::launch(list_nearest<T>, dim3(blocks(warps, kThreads / 32)), dim3(kThreads), stream, of,
                         static_cast<int>(wide), slab, listed);
        }
        simt::launch(decide_nearest<T>, dim3(blocks(rows, kDecideThreads / 32)), dim3(kDecideThreads), stream, of, rows,
                     listed, out);
    }
    of.first = 0;
    simt::launch(settle_nearest<T>, dim3(static_cast<unsigned>(std::min(call.n, kSettleBlocks))), dim3(kThreads),
                 stream, of, out);
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
