// bind_sparsify.cpp: largest entries, and products with sparse atoms, for Python.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "latom/sparsify.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// X is changed in place; returns how many entries of each row or column are not 0 afterwards.
template <class T>
py::array_t<std::int64_t> py_keep_largest(Array<T>& X, std::int64_t k, bool columns, int n_threads,
                                          const std::string& function) {
    if (X.ndim() != 2) fail(function, "X must have two dimensions", X.ndim(), "Reshape it.");
    const std::int64_t n = X.shape(0), d = X.shape(1), count = columns ? n : d;
    if (k < 1 || k > count) fail(function, "k must be in [1, " + std::to_string(count) + "]", k, "Pass such a number.");
    T* numbers = X.mutable_data();  // refuses what is read-only
    const Context ctx = make_context(n_threads);
    py::array_t<std::int64_t> kept(columns ? d : n);
    std::int64_t* counts = kept.mutable_data();
    {
        py::gil_scoped_release release;
        keep_largest(ctx, numbers, n, d, k, columns ? Series::kColumn : Series::kRow, counts);
    }
    return kept;
}

template <class T, class I>
py::array_t<T> py_multiply_sparse(const Array<T>& X, const Array<std::int64_t>& indptr, const Array<I>& indices,
                                  const Array<T>& values, int n_threads, const std::string& function) {
    if (X.ndim() != 2) fail(function, "X must have two dimensions", X.ndim(), "Reshape it.");
    const DenseView<T> rows{X.data(), X.shape(0), X.shape(1), X.shape(1)};
    check_indptr(function, "F", indptr.data(), indptr.size(), std::min(indices.size(), values.size()));
    const CsrView<T, I> atoms{indptr.data(), indices.data(), values.data(), indptr.size() - 1, rows.d};
    for (std::int64_t p = 0; p < atoms.nnz(); ++p)
        if (atoms.indices[p] < 0 || atoms.indices[p] >= rows.d)
            fail(function, "F must have indices in [0, " + std::to_string(rows.d) + "), the columns of X",
                 atoms.indices[p], "Check both.");
    const Context ctx = make_context(n_threads);
    py::array_t<T> out({rows.n, atoms.n});
    T* products = out.mutable_data();
    {
        py::gil_scoped_release release;
        multiply_sparse(ctx, rows, atoms, products);
    }
    return out;
}

/// H is changed in place; returns how many columns could not be solved for.
std::int64_t py_refit_supports(const Array<double>& G, const Array<double>& B, Array<double>& H, int n_threads,
                               const std::string& function) {
    if (H.ndim() != 2 || B.ndim() != 2 || G.ndim() != 2 || B.shape(0) != H.shape(0) || B.shape(1) != H.shape(1) ||
        G.shape(0) != H.shape(0) || G.shape(1) != H.shape(0))
        fail(function, "G, B and H must have shapes (k, k), (k, d) and (k, d)", "others", "Check them.");
    double* numbers = H.mutable_data();
    const Context ctx = make_context(n_threads);
    py::gil_scoped_release release;
    return refit_supports(ctx, G.data(), B.data(), H.shape(0), H.shape(1), numbers);
}

template <class T, class I>
void define_multiply(py::module_& module) {
    module.def("multiply_sparse", &py_multiply_sparse<T, I>, "X"_a.noconvert(), "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "values"_a.noconvert(), "n_threads"_a = 0, "function"_a = "multiply_sparse");
}

template <class T>
void define(py::module_& module) {
    module.def("keep_largest", &py_keep_largest<T>, "X"_a.noconvert(), "k"_a, "columns"_a = false, "n_threads"_a = 0,
               "function"_a = "keep_largest");
    define_multiply<T, std::int32_t>(module);
    define_multiply<T, std::int64_t>(module);
}

}  // namespace

void register_sparsify(py::module_& module) {
    define<float>(module);
    define<double>(module);
    module.def("refit_supports", &py_refit_supports, "G"_a.noconvert(), "B"_a.noconvert(), "H"_a.noconvert(),
               "n_threads"_a = 0, "function"_a = "refit_supports");
}

}  // namespace latom
