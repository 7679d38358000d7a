// products.cpp: a prepared CSR X times factors, refused where the result is not finite.
#include "engines/gather/gather_rows.h"
#include "engines/gather/transposed_product.h"
#include "latom/factorize.h"

namespace latom {

template <class T, class I>
void multiply(const Context& ctx, const Rows<CsrView<T, I>>& X, const DenseView<T>& F, T* out) {
    const CsrView<T, I>& view = X.view();
    const int64_t bad = gather_rows(ctx, Codes<T, I>{view.indptr, view.indices, view.data, view.n}, F,
                                    static_cast<const T*>(nullptr), out);
    if (bad < view.n)
        fail(ctx, "X and factors must give finite products", "NaN or infinity in row " + std::to_string(bad),
             "Scale X down.");
}

template <class T>
void multiply_transposed(const Context& ctx, const Transposed<T>& X, const DenseView<T>& W, T* out) {
    transposed_product(ctx, X, W, out);
}

template void multiply(const Context&, const Rows<CsrView<float, int32_t>>&, const DenseView<float>&, float*);
template void multiply(const Context&, const Rows<CsrView<float, int64_t>>&, const DenseView<float>&, float*);
template void multiply(const Context&, const Rows<CsrView<double, int32_t>>&, const DenseView<double>&, double*);
template void multiply(const Context&, const Rows<CsrView<double, int64_t>>&, const DenseView<double>&, double*);
template void multiply_transposed(const Context&, const Transposed<float>&, const DenseView<float>&, float*);
template void multiply_transposed(const Context&, const Transposed<double>&, const DenseView<double>&, double*);

}  // namespace latom
