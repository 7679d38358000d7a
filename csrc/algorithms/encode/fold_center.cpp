// fold_center.cpp: one dot product per atom, with the atom widened to float64.
#include "latom/encode.h"

#include "rows/rows.h"

namespace latom {

template <class T>
void fold_center(const Context& ctx, const DenseView<T>& atoms, const double* center, const double* bias, double* out) {
    constexpr int64_t kAtoms = 64;
    const std::size_t d = static_cast<std::size_t>(atoms.d);
    std::vector<std::vector<double>> wide(static_cast<std::size_t>(workers(ctx, chunk_count(atoms.n, kAtoms))));
    parallel_for(ctx, chunk_count(atoms.n, kAtoms), [&](int64_t chunk, int worker) {
        wide[worker].resize(d);
        for (int64_t j = chunk * kAtoms; j < std::min(atoms.n, (chunk + 1) * kAtoms); ++j) {
            std::copy_n(atoms.row(j), d, wide[worker].data());
            const double dot = ctx.kernels->f64.dense_dot(wide[worker].data(), center, atoms.d);
            out[j] = (bias ? bias[j] : 0.0) - dot;
        }
    });
}

template void fold_center(const Context&, const DenseView<float>&, const double*, const double*, double*);
template void fold_center(const Context&, const DenseView<double>&, const double*, const double*, double*);

}  // namespace latom
