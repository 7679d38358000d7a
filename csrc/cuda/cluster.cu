// cluster.cu: the order in which kernels of Lloyd's steps are queued.
#include "cuda/cluster.h"

#include "core/bin_grid.h"
#include "cuda/centers.cuh"
#include "cuda/launching.h"

namespace latom::cuda {
namespace {

constexpr std::int64_t kMoveBlocks = 1024, kPieces = 4096;  // blocks, and pieces of the list that have one each

Grid grid_of(double bound) {
    const BinGrid from(bound > 0 ? bound : 1.0);
    Grid grid{};
    grid.levels = from.levels();
    for (int l = 0; l < 3; ++l) grid.magic[l] = from.magic()[l], grid.unit[l] = from.unit()[l];
    return grid;
}

struct SumSpace {
    int *count, *entry;
    long long* begin;
    std::int64_t bytes;

    SumSpace(void* base, std::int64_t n, std::int64_t m) {
        Parts parts(base);
        count = parts.take<int>(m), entry = parts.take<int>(2 * n), begin = parts.take<long long>(m + 1);
        bytes = parts.used();
    }
};

template <class T>
struct MoveSpace {
    MoveScratch<T> scratch;
    std::int64_t bytes, blocks;

    MoveSpace(void* base, std::int64_t m, std::int64_t d) : blocks(std::min(m, kMoveBlocks)) {
        Parts parts(base);
        scratch = {parts.take<double>(blocks * d), parts.take<T>(blocks * d)};
        bytes = parts.used();
    }
};

}  // namespace

Grids grids_of(double longest, double heaviest) { return {grid_of(longest), grid_of(heaviest)}; }

std::int64_t sums_bytes(std::int64_t n, std::int64_t m) { return SumSpace(nullptr, n, m).bytes; }

template <class T>
void follow_labels(const LabeledRows<T>& rows, std::int64_t m, bool cosine, const Grids& grids, const ClusterSums& to,
                   int* changed, void* workspace, cudaStream_t stream) {
    const SumSpace w(workspace, rows.n, m);
    const int n = static_cast<int>(rows.n);
    const dim3 by_row(blocks(n, kThreads)), threads(kThreads);
    check(cudaMemsetAsync(w.count, 0, static_cast<std::size_t>(m) * sizeof(int), stream), "cudaMemset");
    simt::launch(count_changes, by_row, threads, stream, rows.label, rows.before, n, w.count, to, changed);
    simt::launch(scan_counts, dim3(1), threads, stream, w.count, static_cast<int>(m), w.begin);
    simt::launch(place_changes, by_row, threads, stream, rows.label, rows.before, n, w.begin, w.count, w.entry);
    const std::int64_t tiles = (rows.d + kThreads - 1) / kThreads;
    const std::int64_t pieces = std::min<std::int64_t>(blocks(2 * rows.n, kPiece), kPieces);
    simt::launch(add_entries<T>, dim3(static_cast<unsigned>(tiles * pieces)), threads, stream, rows,
                 static_cast<int>(m), cosine, grids, w.begin, w.entry, static_cast<int>(tiles), to);
    check(
        cudaMemcpyAsync(rows.before, rows.label, static_cast<std::size_t>(n) * sizeof(int), cudaMemcpyDefault, stream),
        "a copy");
    check_launch();
}

template <class T>
std::int64_t move_bytes(std::int64_t m, std::int64_t d) {
    return MoveSpace<T>(nullptr, m, d).bytes;
}

template <class T>
void move_centers(T* centers, std::int64_t m, std::int64_t d, bool cosine, const Grids& grids, const ClusterSums& sums,
                  double* shift, void* workspace, cudaStream_t stream) {
    const MoveSpace<T> w(workspace, m, d);
    simt::launch(move_each<T>, dim3(static_cast<unsigned>(w.blocks)), dim3(kThreads), stream, centers,
                 static_cast<int>(m), static_cast<int>(d), cosine, grids, sums, shift, w.scratch);
    check_launch();
}

template <class T>
void score_nearest(const Atoms<T>& atoms, const double* dot, const int* label, const double* norm2, std::int64_t n,
                   double* score, cudaStream_t stream) {
    simt::launch(score_labels, dim3(blocks(n, kThreads)), dim3(kThreads), stream, dot, label, norm2,
                 static_cast<int>(n), static_cast<int>(atoms.measure), atoms.factor, atoms.bias, score);
    check_launch();
}

void sum_costs(const double* score, const double* weight, std::int64_t n, bool cosine, double* out,
               cudaStream_t stream) {
    const std::int64_t chunks = (n + kCostRows - 1) / kCostRows;
    simt::launch(sum_cost_rows, dim3(blocks(chunks, 32)), dim3(32), stream, score, weight, static_cast<int>(n), cosine,
                 out);
    check_launch();
}

#define LATOM_CLUSTER(T)                                                                                               \
    template void follow_labels(const LabeledRows<T>&, std::int64_t, bool, const Grids&, const ClusterSums&, int*,     \
                                void*, cudaStream_t);                                                                  \
    template std::int64_t move_bytes<T>(std::int64_t, std::int64_t);                                                   \
    template void move_centers(T*, std::int64_t, std::int64_t, bool, const Grids&, const ClusterSums&, double*, void*, \
                               cudaStream_t);                                                                          \
    template void score_nearest(const Atoms<T>&, const double*, const int*, const double*, std::int64_t, double*,      \
                                cudaStream_t);
LATOM_CLUSTER(float)
LATOM_CLUSTER(double)

}  // namespace latom::cuda
