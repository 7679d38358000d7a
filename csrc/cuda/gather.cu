// gather.cu: the order in which kernels of codes are queued.
#include "cuda/gather.h"

#include "cuda/gather.cuh"
#include "cuda/launching.h"

namespace latom::cuda {
namespace {

struct LatentSpace {
    Sorting part[2];
    int *digits, *begin;
    long long* places;
    std::int64_t bytes, blocks;

    LatentSpace(void* base, std::int64_t count, std::int64_t m) : blocks((count + kSortEach - 1) / kSortEach) {
        Parts parts(base);
        for (Sorting& one : part) one = {parts.take<int>(count), parts.take<int>(count)};
        digits = parts.take<int>(kDigits * blocks), begin = parts.take<int>(m + 1);
        places = parts.take<long long>(kDigits * blocks + 1);
        bytes = parts.used();
    }
};

}  // namespace

template <class T, class I>
void gather_rows(const DeviceCodes<T, I>& codes, const T* W, std::int64_t m, std::int64_t d, const T* bias, T* out,
                 GatherReport* report, cudaStream_t stream) {
    check(cudaMemsetAsync(report, 0x7f, sizeof(GatherReport), stream), "cudaMemset");
    simt::launch(gather_each<T, I>, dim3(static_cast<unsigned>(codes.n)), dim3(kThreads), stream, codes, W,
                 static_cast<int>(m), static_cast<int>(d), bias, out, report);
    check_launch();
}

template <class T, class I>
void products_at(const T* rows, const I* index, std::int64_t n, std::int64_t k, const T* W, std::int64_t d, T* out,
                 cudaStream_t stream) {
    simt::launch(dots_at<T, I>, dim3(blocks(n * k, kPackRows)), dim3(kPackThreads), stream, rows, index, n * k,
                 static_cast<int>(k), W, static_cast<int>(d), out);
    check_launch();
}

std::int64_t latents_bytes(std::int64_t n, std::int64_t k, std::int64_t m) {
    return LatentSpace(nullptr, n * k, m).bytes;
}

template <class T, class I>
void gather_by_latent(const I* index, const T* value, std::int64_t n, std::int64_t k, const T* rows, std::int64_t d,
                      std::int64_t m, T* out, void* workspace, cudaStream_t stream) {
    const LatentSpace w(workspace, n * k, m);
    const int count = static_cast<int>(n * k);
    const dim3 threads(kThreads), sorters(static_cast<unsigned>(w.blocks));
    simt::launch(start_sort<I>, dim3(blocks(count, kThreads)), threads, stream, index, count, w.part[0]);
    int turn = 0;
    for (int shift = 0; shift < 31 && (m - 1) >> shift > 0; shift += kDigitBits, turn ^= 1) {
        simt::launch(count_digits, sorters, threads, stream, w.part[turn], count, shift, w.digits);
        simt::launch(scan_counts, dim3(1), threads, stream, w.digits, static_cast<int>(kDigits * w.blocks), w.places);
        simt::launch(place_digits, sorters, threads, stream, w.part[turn], count, shift, w.places, w.part[turn ^ 1]);
    }
    simt::launch(find_starts, dim3(blocks(count + 1, kThreads)), threads, stream, w.part[turn].key, count,
                 static_cast<int>(m), w.begin);
    simt::launch(sum_latents<T>, dim3(static_cast<unsigned>(m)), threads, stream, w.part[turn].entry, w.begin, value,
                 static_cast<int>(k), rows, static_cast<int>(d), out);
    check_launch();
}

template <class T>
void fold_center(const T* W, std::int64_t m, std::int64_t d, const double* center, const double* bias, double* out,
                 cudaStream_t stream) {
    simt::launch(fold_each<T>, dim3(blocks(m, kPackRows)), dim3(kPackThreads), stream, W, static_cast<int>(m),
                 static_cast<int>(d), center, bias, out);
    check_launch();
}

#define LATOM_GATHER(T, I)                                                                                  \
    template void gather_rows(const DeviceCodes<T, I>&, const T*, std::int64_t, std::int64_t, const T*, T*, \
                              GatherReport*, cudaStream_t);                                                 \
    template void products_at(const T*, const I*, std::int64_t, std::int64_t, const T*, std::int64_t, T*,   \
                              cudaStream_t);                                                                \
    template void gather_by_latent(const I*, const T*, std::int64_t, std::int64_t, const T*, std::int64_t,  \
                                   std::int64_t, T*, void*, cudaStream_t);
LATOM_GATHER(float, int)
LATOM_GATHER(float, long long)
LATOM_GATHER(double, int)
LATOM_GATHER(double, long long)
template void fold_center(const float*, std::int64_t, std::int64_t, const double*, const double*, double*,
                          cudaStream_t);
template void fold_center(const double*, std::int64_t, std::int64_t, const double*, const double*, double*,
                          cudaStream_t);

}  // namespace latom::cuda
