// bind_factorize.cpp: the steps of non-negative factorizations for Python, which drives them.
#include <pybind11/stl.h>

#include <memory>

#include "algorithms/factorize/kullback.h"
#include "algorithms/factorize/transposed.h"
#include "bindings/arrays.h"
#include "latom/decode.h"
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
void check_rows(const Array<T>& X, const DenseView<T>& P, const std::string& function, const char* name = "X") {
    if (X.ndim() != 2 || X.shape(0) != P.n || X.shape(1) != P.d)
        fail(function, std::string(name) + " must have the shape of P", X.size(), "Check both.");
}

/// Where to write [n, k]: the array that was given, or a new one.
template <class T>
Array<T> target(std::optional<Array<T>>& out, int64_t n, int64_t k, const std::string& function) {
    if (!out) return Array<T>({n, k});
    check_rows(*out, DenseView<T>{nullptr, n, k, k}, function, "out");
    return *out;
}

/// Products of a CSR matrix with factors: its rows as they are, and a transposed copy once it is needed.
class PySparseProducts {
public:
    PySparseProducts(const py::object& X, int64_t rows_per_block, int n_threads, const std::string& function)
        : X_(X, function), rows_per_block_(rows_per_block) {
        if (std::holds_alternative<DenseView<float>>(X_.view()) || std::holds_alternative<DenseView<double>>(X_.view()))
            throw py::type_error(function + ": X must be CSR");
        const Context ctx = make_context(n_threads);
        py::gil_scoped_release release;
        std::visit(
            [&](const auto& view) {
                const Rows rows(ctx, view, function);
                norm2_.resize(static_cast<std::size_t>(rows.n()));
                for (int64_t i = 0; i < rows.n(); ++i) norm2_[i] = rows.norm2(i);
                non_negative_ = rows.non_negative();
            },
            X_.view());
    }

    /// X F [n, k].
    template <class T>
    Array<T> times(const Array<T>& F, std::optional<Array<T>> into, int n_threads, const std::string& function) {
        const DenseView<T> factor = view_of(F, function, "F");
        return with<T>(function, [&](const auto& X) {
            check_extent(factor.n, X.d, function);
            Array<T> out = target(into, X.n, factor.d, function);
            T* rows = out.mutable_data();
            const Context ctx = make_context(n_threads);
            using I = typename std::decay_t<decltype(X)>::index_type;
            const Codes<T, I> codes{X.indptr, X.indices, X.data, X.n};
            {
                py::gil_scoped_release release;
                check_finite(gather_rows(ctx, codes, factor, static_cast<const T*>(nullptr), rows), X.n, function);
            }
            return out;
        });
    }

    /// X^T W [d, k].
    template <class T>
    Array<T> transposed_times(const Array<T>& W, std::optional<Array<T>> into, int n_threads,
                              const std::string& function) {
        const DenseView<T> factor = view_of(W, function, "W");
        const Context ctx = make_context(n_threads);
        return with<T>(function, [&](const auto& X) {
            check_extent(factor.n, X.n, function);
            Array<T> out = target(into, X.d, factor.d, function);
            T* rows = out.mutable_data();
            {
                py::gil_scoped_release release;
                transposed<T>(ctx, X).product(ctx, factor, rows);
            }
            return out;
        });
    }

    /// (A after the step, sum X log Y before it); by the rows of X, or by its columns.
    template <class T>
    py::tuple kullback_step(const Array<T>& A, const Array<T>& F, const Array<double>& sums, bool by_columns, double l1,
                            double l2, int n_threads, const std::string& function) {
        const DenseView<T> from = view_of(A, function, "A"), factor = view_of(F, function, "F");
        const Context ctx = make_context(n_threads);
        return with<T>(function, [&](const auto& X) {
            check_extent(from.n, by_columns ? X.d : X.n, function);
            check_extent(factor.n, by_columns ? X.n : X.d, function);
            check_extent(sums.size(), factor.d, function);
            check_extent(from.d, factor.d, function);
            py::array_t<T> out({from.n, from.d});
            const KullbackStep<T> step{from.data, factor, sums.data(), l1, l2, out.mutable_data()};
            double logs;
            {
                py::gil_scoped_release release;
                logs = by_columns ? latom::kullback_step(ctx, transposed<T>(ctx, X), step)
                                  : latom::kullback_step(ctx, X, step);
            }
            return py::make_tuple(out, logs);
        });
    }

    py::array_t<double> norm2() const { return to_array(norm2_); }
    bool non_negative() const { return non_negative_; }

private:
    template <class T, class F>
    auto with(const std::string& function, F run) -> decltype(run(std::declval<CsrView<T, int32_t>>())) {
        if (const auto* narrow = std::get_if<CsrView<T, int32_t>>(&X_.view())) return run(*narrow);
        if (const auto* wide = std::get_if<CsrView<T, int64_t>>(&X_.view())) return run(*wide);
        throw py::type_error(function + ": factors must have the dtype of X");
    }
    template <class T, class View>
    const Transposed<T>& transposed(const Context& ctx, const View& X) {
        auto& kept = std::get<std::unique_ptr<Transposed<T>>>(transposed_);
        if (!kept) kept = std::make_unique<Transposed<T>>(ctx, X, rows_per_block_);
        return *kept;
    }
    static void check_extent(int64_t got, int64_t want, const std::string& function) {
        if (got != want)
            fail(function, "factors must fit X and each other, " + std::to_string(want), got, "Check shapes.");
    }
    static void check_finite(int64_t bad, int64_t n, const std::string& function) {
        if (bad < n)
            fail(function, "X and factors must give finite products", "NaN or infinity in row " + std::to_string(bad),
                 "Scale them down.");
    }

    Matrix X_;
    int64_t rows_per_block_;
    std::vector<double> norm2_;
    bool non_negative_ = true;
    std::tuple<std::unique_ptr<Transposed<float>>, std::unique_ptr<Transposed<double>>> transposed_;
};

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

template <class T>
py::array_t<double> py_column_sums(const Array<T>& V, int n_threads, const std::string& function) {
    const DenseView<T> view = view_of(V, function, "V");
    const Context ctx = make_context(n_threads);
    py::array_t<double> out(view.d);
    double* sums = out.mutable_data();
    {
        py::gil_scoped_release release;
        column_sums(ctx, view, sums);
    }
    return out;
}

void check_square(const Array<double>& G, int64_t k, const std::string& function) {
    if (G.ndim() != 2 || G.shape(0) != k || G.shape(1) != k)
        fail(function, "G must have as many rows and columns as P has columns, " + std::to_string(k), G.size(),
             "Check both.");
}

template <class T>
py::tuple py_coordinate_sweep(const Array<double>& G, const Array<T>& P, Array<T>& X, double l1, int64_t sweeps,
                              double enough, std::optional<Array<T>> out, int n_threads, const std::string& function) {
    const DenseView<T> view = view_of(P, function, "P");
    check_square(G, view.d, function);
    check_rows(X, view, function);
    if (!out) out = X;
    const Context ctx = make_context(n_threads);
    T* rows = target(out, view.n, view.d, function).mutable_data();
    SweepStats stats;
    {
        py::gil_scoped_release release;
        stats = coordinate_sweep(ctx, G.data(), view, {l1, sweeps, enough}, X.data(), rows);
    }
    return py::make_tuple(stats.violation, stats.cross);
}

template <class T>
void py_extrapolate(const Array<T>& X, Array<T>& old, double beta, int n_threads) {
    if (X.size() != old.size()) throw py::value_error("extrapolate: X and old must have one shape");
    const Context ctx = make_context(n_threads);
    T* numbers = old.mutable_data();
    py::gil_scoped_release release;
    extrapolate(ctx, X.data(), beta, X.size(), numbers);
}

template <class T, class I>
py::tuple py_sweep_masked(const Array<double>& G, double l2, const Array<T>& F, const Array<std::int64_t>& indptr,
                          const Array<I>& indices, const Array<T>& P, Array<T>& X, double l1, int64_t sweeps,
                          double enough, std::optional<Array<T>> out, int n_threads, const std::string& function) {
    const DenseView<T> view = view_of(P, function, "P"), factor = view_of(F, function, "F");
    check_square(G, view.d, function);
    check_rows(X, view, function);
    check_indptr(function, "missing", indptr.data(), indptr.size(), indices.size());
    if (indptr.size() != view.n + 1 || factor.d != view.d)
        fail(function, "missing must have the rows of P, and F its columns", indptr.size() - 1, "Check them.");
    for (py::ssize_t p = 0; p < indices.size(); ++p)
        if (indices.data()[p] < 0 || indices.data()[p] >= factor.n)
            fail(function, "missing must have indices in [0, " + std::to_string(factor.n) + ")", indices.data()[p],
                 "Check them.");
    if (!out) out = X;
    const Context ctx = make_context(n_threads);
    T* rows = target(out, view.n, view.d, function).mutable_data();
    SweepStats stats;
    {
        py::gil_scoped_release release;
        stats = sweep_masked(ctx, G.data(), l2, factor, Pattern<I>{indptr.data(), indices.data(), view.n}, view,
                             {l1, sweeps, enough}, X.data(), rows);
    }
    return py::make_tuple(stats.violation, stats.cross, stats.quadratic);
}

/// W [problems, n, k] and F [problems, d, k] are changed in place. (losses, iterations).
template <class T>
py::tuple py_factorize_small(const Array<T>& X, Array<T>& W, Array<T>& F, int64_t sweeps, double enough, double tol,
                             int64_t max_iter, int n_threads, const std::string& function) {
    const bool shared = X.ndim() == 2;
    if (W.ndim() != 3 || F.ndim() != 3 || (X.ndim() != 3 && !shared) || W.shape(0) != F.shape(0) ||
        W.shape(2) != F.shape(2) || W.shape(1) != X.shape(X.ndim() - 2) || F.shape(1) != X.shape(X.ndim() - 1) ||
        (!shared && X.shape(0) != W.shape(0)))
        fail(function, "W must be [problems, n, k] and H [problems, k, d] for X [n, d] or [problems, n, d]",
             "other shapes", "Check them.");
    py::array_t<double> loss(W.shape(0));
    py::array_t<std::int64_t> n_iter(W.shape(0));
    const SmallProblems<T> problems{
        X.data(),   shared,           W.shape(0),       W.shape(1),          F.shape(1),
        W.shape(2), W.mutable_data(), F.mutable_data(), loss.mutable_data(), n_iter.mutable_data()};
    const Context ctx = make_context(n_threads);
    {
        py::gil_scoped_release release;
        factorize_small(ctx, problems, {0, sweeps, enough}, tol, max_iter);
    }
    return py::make_tuple(loss, n_iter);
}

template <class T, class I>
void define_masked(py::module_& module) {
    module.def("sweep_masked", &py_sweep_masked<T, I>, "G"_a.noconvert(), "l2"_a, "F"_a.noconvert(),
               "indptr"_a.noconvert(), "indices"_a.noconvert(), "P"_a.noconvert(), "X"_a.noconvert(), "l1"_a = 0.0,
               "sweeps"_a = 1, "enough"_a = 0.0, "out"_a.noconvert() = py::none(), "n_threads"_a = 0,
               "function"_a = "sweep_masked");
}

template <class T>
void define_products(py::class_<PySparseProducts>& products) {
    products
        .def("times", &PySparseProducts::times<T>, "F"_a.noconvert(), "out"_a.noconvert() = py::none(),
             "n_threads"_a = 0, "function"_a = "times")
        .def("transposed_times", &PySparseProducts::transposed_times<T>, "W"_a.noconvert(),
             "out"_a.noconvert() = py::none(), "n_threads"_a = 0, "function"_a = "transposed_times")
        .def("kullback_step", &PySparseProducts::kullback_step<T>, "A"_a.noconvert(), "F"_a.noconvert(),
             "sums"_a.noconvert(), "by_columns"_a, "l1"_a = 0.0, "l2"_a = 0.0, "n_threads"_a = 0,
             "function"_a = "kullback_step");
}

template <class T>
void define(py::module_& module) {
    module.def("gram", &py_gram<T>, "V"_a.noconvert(), "n_threads"_a = 0, "function"_a = "gram");
    module.def("column_sums", &py_column_sums<T>, "V"_a.noconvert(), "n_threads"_a = 0, "function"_a = "column_sums");
    module.def("coordinate_sweep", &py_coordinate_sweep<T>, "G"_a.noconvert(), "P"_a.noconvert(), "X"_a.noconvert(),
               "l1"_a = 0.0, "sweeps"_a = 1, "enough"_a = 0.0, "out"_a.noconvert() = py::none(), "n_threads"_a = 0,
               "function"_a = "coordinate_sweep");
    module.def("extrapolate", &py_extrapolate<T>, "X"_a.noconvert(), "old"_a.noconvert(), "beta"_a, "n_threads"_a = 0);
    module.def("factorize_small", &py_factorize_small<T>, "X"_a.noconvert(), "W"_a.noconvert(), "F"_a.noconvert(),
               "sweeps"_a, "enough"_a, "tol"_a, "max_iter"_a, "n_threads"_a = 0, "function"_a = "factorize_small");
    define_masked<T, std::int32_t>(module);
    define_masked<T, std::int64_t>(module);
}

}  // namespace

void register_factorize(py::module_& module) {
    define<float>(module);
    define<double>(module);
    py::class_<PySparseProducts> products(module, "SparseProducts");
    products.def(py::init<const py::object&, int64_t, int, const std::string&>(), "X"_a, "rows_per_block"_a = 0,
                 "n_threads"_a = 0, "function"_a = "SparseProducts");
    products.def_property_readonly("norm2", &PySparseProducts::norm2);
    products.def_property_readonly("non_negative", &PySparseProducts::non_negative);
    define_products<float>(products);
    define_products<double>(products);
}

}  // namespace latom
