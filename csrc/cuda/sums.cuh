// sums.cuh: rows that come to clusters and go from them, by cluster, and their sums as integers.
//
// Entry e of the list is a row: r where it comes to the cluster of its label, ~r where it goes from the one before. A
// block adds kPiece entries, which stand by cluster, for some columns in registers, and what it has of a cluster goes
// to memory by one atomic addition per column and level: integers, whose sum has no order. Formulas are those of
// kernels/add_binned.inl.h.
//
// Cost      4 d bytes per entry; 3 + 4 levels float64 instructions per number.
#pragma once

#include "cuda/cluster.h"
#include "cuda/scan.cuh"

namespace latom::cuda {

constexpr int kPiece = 256;

// Adds v, cut into integers, to own [levels].
__device__ __forceinline__ void bin(double v, const Grid& grid, long long* own) {
    LATOM_UNROLL
    for (int l = 0; l < 3; ++l) {
        if (l >= grid.levels) continue;
        const double rounded = __dadd_rn(v, grid.magic[l]);
        own[l] += __double_as_longlong(rounded) - __double_as_longlong(grid.magic[l]);
        v = __dadd_rn(v, -__dadd_rn(rounded, -grid.magic[l]));
    }
}
__device__ __forceinline__ void add_integer(long long* to, long long v) {
    if (v != 0) atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(v));
}

// The rows whose label is another than before: how many come to and go from each cluster.
LATOM_KERNEL void __launch_bounds__(kThreads)
    count_changes(const int* label, const int* before, int n, int* count, ClusterSums to, int* changed) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    const bool moved = i < n && label[i] != before[i];
    const unsigned votes = __ballot_sync(kAllLanes, moved);
    if (threadIdx.x % 32 == 0 && votes != 0) atomicAdd(changed, __popc(votes));
    if (!moved) return;
    atomicAdd(&count[label[i]], 1);
    atomicAdd(&to.size[label[i]], 1);
    atomicOr(&to.touched[label[i]], 1);
    if (before[i] < 0) return;
    atomicAdd(&count[before[i]], 1);
    atomicAdd(&to.size[before[i]], -1);
    atomicOr(&to.touched[before[i]], 1);
}

// The entries by cluster, in any order within one. count: what is left of each, 0 in the end.
LATOM_KERNEL void __launch_bounds__(kThreads)
    place_changes(const int* label, const int* before, int n, const long long* begin, int* count, int* entry) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n || label[i] == before[i]) return;
    entry[begin[label[i]] + atomicAdd(&count[label[i]], -1) - 1] = i;
    if (before[i] >= 0) entry[begin[before[i]] + atomicAdd(&count[before[i]], -1) - 1] = ~i;
}

/// Entries of a piece, as a block holds them.
struct Piece {
    int row[kPiece], cluster[kPiece];
    double factor[kPiece];
};

// Takes up `count` entries, one per thread; weights: whether to add those of the rows.
template <class T>
__device__ __forceinline__ void load_piece(const LabeledRows<T>& rows, bool cosine, const Grids& grids,
                                           const int* entry, int count, bool weights, const ClusterSums& to,
                                           Piece& piece) {
    const int t = static_cast<int>(threadIdx.x);
    if (t >= count) return;
    const int e = entry[t], i = e < 0 ? ~e : e, cluster = e < 0 ? rows.before[i] : rows.label[i];
    double w = rows.weight != nullptr ? rows.weight[i] : 1.0;
    if (e < 0) w = -w;
    const double norm2 = rows.norm2[i];
    piece.row[t] = i;
    piece.cluster[t] = cluster;
    piece.factor[t] = !(norm2 > 0) ? 0.0 : cosine ? __ddiv_rn(w, __dsqrt_rn(norm2)) : w;
    if (!weights) return;
    long long own[3] = {0, 0, 0};
    bin(w, grids.weight, own);
    LATOM_UNROLL
    for (int l = 0; l < 3; ++l) add_integer(to.weight + cluster * 3ll + l, own[l]);
}

// Block b adds pieces b / tiles, b / tiles + gridDim / tiles, ... of the list: columns [b % tiles * kThreads, ...).
template <class T>
__global__ void __launch_bounds__(kThreads)
    add_entries(LabeledRows<T> rows, int m, bool cosine, Grids grids, const long long* begin, const int* entry,
                int tiles, ClusterSums to) {
    __shared__ Piece piece;
    const int t = static_cast<int>(threadIdx.x), tile = static_cast<int>(blockIdx.x) % tiles;
    const int d = static_cast<int>(rows.d), column = tile * kThreads + t;
    const long long all = begin[m], step = static_cast<long long>(gridDim.x) / tiles * kPiece;
    for (long long first = static_cast<long long>(blockIdx.x) / tiles * kPiece; first < all; first += step) {
        __syncthreads();  // the piece before has been added
        const int count = all - first < kPiece ? static_cast<int>(all - first) : kPiece;
        load_piece(rows, cosine, grids, entry + first, count, tile == 0, to, piece);
        __syncthreads();
        long long own[3] = {0, 0, 0};
        for (int e = 0; column < d && e < count; ++e) {
            const int cluster = piece.cluster[e];
            if (piece.factor[e] != 0) {
                const T x = rows.X[static_cast<long long>(piece.row[e]) * d + column];
                bin(__dmul_rn(static_cast<double>(x), piece.factor[e]), grids.row, own);
            }
            if (e + 1 < count && piece.cluster[e + 1] == cluster) continue;
            long long* sum = to.sum + static_cast<long long>(cluster) * grids.row.levels * d + column;
            LATOM_UNROLL
            for (int l = 0; l < 3; ++l) {
                if (l < grids.row.levels) add_integer(sum + static_cast<long long>(l) * d, own[l]);
                own[l] = 0;
            }
        }
    }
}

}  // namespace latom::cuda
