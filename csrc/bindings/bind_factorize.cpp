// bind_factorize.cpp: the steps of non-negative factorizations for Python, which drives them.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "latom/factorize.h"

namespace latom {
namespace {

using namespace pybind11::literals;

template <class T>
DenseView<T> view_of(const Array<T>& array, const std::string& function, const char* name) {
    if (array.ndim() != 2) fail(function, std::string(name) + " must have two dimensions", array.ndim(), "Reshape it.");
    return {array.data(), array.shape(0), array.shape(1), array.shape(1)};
}

template <class T>
py::array_t<double> py_gram(const Array<T>& V, int n_threads, const std::string& function) {
    const DenseView<T> view = view_of(V, function, "V");
    const Context ctx = make_context(n_threads);
    py::array_t<double> out({view.d, view.d});
    double* G = out.mutable_data();
    {
        py::gil_scoped_release release;
        gram(ctx, view, G);
    }
    return out;
}

void check_square(const Array<double>& G, int64_t k, const std::string& function) {
    if (G.ndim() != 2 || G.shape(0) != k || G.shape(1) != k)
        fail(function, "G must have as many rows and columns as P has columns, " + std::to_string(k), G.size(), "Check both.");
}

template <class T>
void check_rows(const Array<T>& X, const DenseView<T>& P, const std::string& function) {
    if (X.ndim() != 2 || X.shape(0) != P.n || X.shape(1) != P.d)
        fail(function, "X must have the shape of P", X.size(), "Check both.");
}

template <class T>
py::tuple py_coordinate_sweep(const Array<double>& G, const Array<T>& P, Array<T>& X, double l1, int64_t sweeps,
                              double enough, int n_threads, const std::string& function) {
    const DenseView<T> view = view_of(P, function, "P");
    check_square(G, view.d, function);
    check_rows(X, view, function);
    const Context ctx = make_context(n_threads);
    T* rows = X.mutable_data();
    SweepStats stats;
    {
        py::gil_scoped_release release;
        stats = coordinate_sweep(ctx, G.data(), view, {l1, sweeps, enough}, rows);
    }
    return py::make_tuple(stats.violation, stats.cross);
}

template <class T, class I>
py::tuple py_sweep_masked(const Array<double>& G, double l2, const Array<T>& F, const Array<std::int64_t>& indptr,
                          const Array<I>& indices, const Array<T>& P, Array<T>& X, double l1, int64_t sweeps,
                          double enough, int n_threads, const std::string& function) {
    const DenseView<T> view = view_of(P, function, "P"), factor = view_of(F, function, "F");
    check_square(G, view.d, function);
    check_rows(X, view, function);
    check_indptr(function, "missing", indptr.data(), indptr.size(), indices.size());
    if (indptr.size() != view.n + 1 || factor.d != view.d)
        fail(function, "missing must have the rows of P, and F its columns", indptr.size() - 1, "Check them.");
    for (py::ssize_t p = 0; p < indices.size(); ++p)
        if (indices.data()[p] < 0 || indices.data()[p] >= factor.n)
            fail(function, "missing must have indices in [0, " + std::to_string(factor.n) + ")", indices.data()[p], "Check them.");
    const Context ctx = make_context(n_threads);
    T* rows = X.mutable_data();
    SweepStats stats;
    {
        py::gil_scoped_release release;
        stats = sweep_masked(ctx, G.data(), l2, factor, Pattern<I>{indptr.data(), indices.data(), view.n}, view,
                             {l1, sweeps, enough}, rows);
    }
    return py::make_tuple(stats.violation, stats.cross, stats.quadratic);
}

template <class T, class I>
void define_masked(py::module_& module) {
    module.def("sweep_masked", &py_sweep_masked<T, I>, "G"_a.noconvert(), "l2"_a, "F"_a.noconvert(),
               "indptr"_a.noconvert(), "indices"_a.noconvert(), "P"_a.noconvert(), "X"_a.noconvert(), "l1"_a = 0.0,
               "sweeps"_a = 1, "enough"_a = 0.0, "n_threads"_a = 0, "function"_a = "sweep_masked");
}

template <class T>
void define(py::module_& module) {
    module.def("gram", &py_gram<T>, "V"_a.noconvert(), "n_threads"_a = 0, "function"_a = "gram");
    module.def("coordinate_sweep", &py_coordinate_sweep<T>, "G"_a.noconvert(), "P"_a.noconvert(), "X"_a.noconvert(),
               "l1"_a = 0.0, "sweeps"_a = 1, "enough"_a = 0.0, "n_threads"_a = 0, "function"_a = "coordinate_sweep");
    define_masked<T, std::int32_t>(module);
    define_masked<T, std::int64_t>(module);
}

}  // namespace

void register_factorize(py::module_& module) {
    define<float>(module);
    define<double>(module);
}

}  // namespace latom
