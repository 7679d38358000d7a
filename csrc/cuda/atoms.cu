// atoms.cu: the order in which atoms are measured and packed.
#include "cuda/atoms.h"

#include "cuda/launching.h"
#include "cuda/pack.cuh"

namespace latom::cuda {
namespace {

template <class T>
Atoms<T> placed(Parts& parts, std::int64_t m, std::int64_t d) {
    Atoms<T> atoms{};
    atoms.m = m, atoms.d = d;
    atoms.bounds = parts.take<AtomBounds>(1);
    atoms.norm2 = parts.take<double>(m), atoms.factor = parts.take<double>(m), atoms.bias = parts.take<double>(m);
    atoms.W16 = parts.take<__half>(padded(m) * padded(d));
    atoms.bias32 = parts.take<float>(padded(m));
    return atoms;
}

}  // namespace

template <class T>
std::int64_t atoms_bytes(std::int64_t m, std::int64_t d) {
    Parts parts(nullptr);
    placed<T>(parts, m, d);
    return parts.used();
}

template <class T>
Atoms<T> prepare_atoms(const T* W, std::int64_t m, std::int64_t d, Measure measure, double* bias, void* workspace,
                       cudaStream_t stream) {
    Parts parts(workspace);
    Atoms<T> atoms = placed<T>(parts, m, d);
    const int count = static_cast<int>(m), columns = static_cast<int>(d);
    const dim3 team(kPackThreads);
    check(cudaMemsetAsync(atoms.bounds, 0, sizeof(AtomBounds), stream), "cudaMemset");
    measure_lengths(W, m, d, atoms.norm2, &atoms.bounds->bad, stream);
    simt::launch(rule_of_atoms, dim3(blocks(m, kPackThreads)), team, stream, atoms.norm2, count,
                 static_cast<int>(measure), atoms.factor, atoms.bias, atoms.bounds);
    atoms.W = W;
    atoms.measure = measure;
    if (measure != Measure::kCosine) atoms.factor = nullptr;
    if (measure != Measure::kEuclidean) atoms.bias = bias;
    if (!atoms.bias) atoms.bias32 = nullptr;
    simt::launch(pack_atoms<T>, dim3(blocks(padded(m), kPackRows)), team, stream, W, count, static_cast<int>(padded(m)),
                 columns, static_cast<int>(padded(d)), atoms.norm2, atoms.factor, atoms.bias, atoms.W16, atoms.bias32,
                 atoms.bounds);
    check_launch();
    return atoms;
}

template <class T>
void measure_lengths(const T* X, std::int64_t n, std::int64_t d, double* norm2, int* bad, cudaStream_t stream) {
    check(cudaMemsetAsync(bad, 0x7f, sizeof(int), stream), "cudaMemset");  // large, and positive
    simt::launch(measure_rows<T>, dim3(blocks(n, kPackRows)), dim3(kPackThreads), stream, X, static_cast<int>(n),
                 static_cast<int>(d), norm2, bad);
}

#define LATOM_ATOMS(T)                                                                                   \
    template std::int64_t atoms_bytes<T>(std::int64_t, std::int64_t);                                    \
    template void measure_lengths<T>(const T*, std::int64_t, std::int64_t, double*, int*, cudaStream_t); \
    template Atoms<T> prepare_atoms<T>(const T*, std::int64_t, std::int64_t, Measure, double*, void*, cudaStream_t);
LATOM_ATOMS(float)
LATOM_ATOMS(double)

}  // namespace latom::cuda
