// decode.cpp: rows from codes, once the codes' indices have been checked.
#include "engines/gather/gather_rows.h"
#include "latom/encode.h"
#include "rows/acceptable.h"

namespace latom {

template <class T, class I>
void decode(const Context& ctx, const Codes<T, I>& codes, const DenseView<T>& atoms, const T* bias, T* out) {
    const int64_t n = codes.n, m = atoms.n;
    const int64_t stray = first_row(ctx, n, [&](int64_t i) {
        for (int64_t p = codes.indptr[i]; p < codes.indptr[i + 1]; ++p)
            if (codes.indices[p] < 0 || codes.indices[p] >= m) return true;
        return false;
    });
    if (stray < n)
        fail(ctx, "codes must have indices in [0, " + std::to_string(m) + "), the rows of W_dec",
             "another index in row " + std::to_string(stray), "Decode with the atoms that the codes were made with.");
    const int64_t bad = gather_rows(ctx, codes, atoms, bias, out);
    if (bad < n)
        fail(ctx, "codes, W_dec and b_pre must be finite and give finite sums",
             "NaN or infinity in row " + std::to_string(bad) + " of the result",
             "Pass finite numbers, or scale them down.");
}

template void decode(const Context&, const Codes<float, int32_t>&, const DenseView<float>&, const float*, float*);
template void decode(const Context&, const Codes<float, int64_t>&, const DenseView<float>&, const float*, float*);
template void decode(const Context&, const Codes<double, int32_t>&, const DenseView<double>&, const double*, double*);
template void decode(const Context&, const Codes<double, int64_t>&, const DenseView<double>&, const double*, double*);

}  // namespace latom
