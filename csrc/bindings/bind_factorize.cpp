// bind_factorize.cpp: the steps of factorizations for Python, which drives them.
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "engines/gather/multiply_sparse.h"
#include "engines/small_solve/small_solve.h"
#include "latom/factorize.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// Where to write [n, k]: the array that was given, or a new one, which begins a line.
template <class T>
Array<T> target(const Context& ctx, std::optional<Array<T>>& out, int64_t n, int64_t k) {
    if (!out) {
        auto room = std::make_unique<AlignedVector<T>>(static_cast<std::size_t>(n * k));
        T* numbers = room->data();
        const py::capsule owner(room.release(), [](void* made) { delete static_cast<AlignedVector<T>*>(made); });
        return Array<T>({n, k}, numbers, owner);
    }
    check_shape(ctx, "out", *out, {static_cast<py::ssize_t>(n), static_cast<py::ssize_t>(k)});
    return *out;
}

/// run(rows) for CSR X of numbers T.
template <class T, class F>
auto with_csr(const Context& ctx, const PyRows& X, F run)
    -> decltype(run(std::declval<const Rows<CsrView<T, int32_t>>&>())) {
    const AnyRows& any = X.rows(ctx);
    if (const auto* narrow = std::get_if<Rows<CsrView<T, int32_t>>>(&any)) return run(*narrow);
    if (const auto* wide = std::get_if<Rows<CsrView<T, int64_t>>>(&any)) return run(*wide);
    throw py::type_error(ctx.function + ": factors must have the dtype of X, which must be CSR");
}

void check_whole(const Context& ctx, const auto& rows) {
    if (!rows.whole()) fail(ctx, "X must be whole", "a subset of rows", "Prepare the rows as a matrix of their own.");
}

/// X F [n, k].
template <class T>
Array<T> py_multiply(const Call& call, const PyRows& X, const Array<T>& F, std::optional<Array<T>> out) {
    const Context ctx = call.context();
    const DenseView<T> factor = view_of(ctx, F, "F");
    check_shape(ctx, "F", F, {static_cast<py::ssize_t>(X.d()), static_cast<py::ssize_t>(factor.d)});
    Array<T> product = target(ctx, out, X.n(), factor.d);
    T* numbers = product.mutable_data();
    const Released released;
    with_csr<T>(ctx, X, [&](const auto& rows) {
        check_whole(ctx, rows);
        multiply(ctx, rows, factor, numbers);
    });
    return product;
}

/// X^T W [d, k].
template <class T>
Array<T> py_multiply_transposed(const Call& call, const PyRows& X, const Array<T>& W, std::optional<Array<T>> out) {
    const Context ctx = call.context();
    const DenseView<T> factor = view_of(ctx, W, "W");
    check_shape(ctx, "W", W, {static_cast<py::ssize_t>(X.n()), static_cast<py::ssize_t>(factor.d)});
    Array<T> product = target(ctx, out, X.d(), factor.d);
    T* numbers = product.mutable_data();
    const Released released;
    multiply_transposed(ctx, X.transposed<T>(ctx), factor, numbers);
    return product;
}

/// (A after the step, sum X log Y before it); by the rows of X, or by its columns.
template <class T>
py::tuple py_kullback_step(const Call& call, const PyRows& X, const Array<T>& A, const Array<T>& F,
                           const Array<double>& sums, bool by_columns, double l1, double l2) {
    const Context ctx = call.context();
    const DenseView<T> from = view_of(ctx, A, "A"), factor = view_of(ctx, F, "F");
    const auto k = static_cast<py::ssize_t>(factor.d);
    check_shape(ctx, "A", A, {static_cast<py::ssize_t>(by_columns ? X.d() : X.n()), k});
    check_shape(ctx, "F", F, {static_cast<py::ssize_t>(by_columns ? X.n() : X.d()), k});
    check_shape(ctx, "sums", sums, {k});
    py::array_t<T> out({from.n, from.d});
    const KullbackStep<T> step{from.data, factor, sums.data(), l1, l2, out.mutable_data()};
    double logs;
    {
        const Released released;
        if (by_columns) logs = kullback_step(ctx, X.transposed<T>(ctx), step);
        else
            logs = with_csr<T>(ctx, X, [&](const auto& rows) {
                check_whole(ctx, rows);
                return kullback_step(ctx, rows, step);
            });
    }
    return py::make_tuple(out, logs);
}

template <class T>
py::array_t<double> py_gram(const Call& call, const Array<T>& V) {
    const Context ctx = call.context();
    const DenseView<T> view = view_of(ctx, V, "V");
    py::array_t<double> out({view.d, view.d});
    double* G = out.mutable_data();
    {
        const Released released;
        gram(ctx, view, G);
    }
    return out;
}

template <class T>
py::array_t<double> py_column_sums(const Call& call, const Array<T>& V) {
    const Context ctx = call.context();
    const DenseView<T> view = view_of(ctx, V, "V");
    py::array_t<double> out(view.d);
    double* sums = out.mutable_data();
    {
        const Released released;
        column_sums(ctx, view, sums);
    }
    return out;
}

template <class T>
py::tuple py_coordinate_sweep(const Call& call, const Array<double>& G, const Array<T>& P, Array<T>& X, double l1,
                              int64_t sweeps, double inner_tol, std::optional<Array<T>> out) {
    const Context ctx = call.context();
    const DenseView<T> view = view_of(ctx, P, "P");
    check_shape(ctx, "G", G, {static_cast<py::ssize_t>(view.d), static_cast<py::ssize_t>(view.d)});
    check_shape(ctx, "X", X, {static_cast<py::ssize_t>(view.n), static_cast<py::ssize_t>(view.d)});
    if (!out) out = X;
    T* rows = target(ctx, out, view.n, view.d).mutable_data();
    SweepStats stats;
    {
        const Released released;
        stats = coordinate_sweep(ctx, G.data(), view, {l1, sweeps, inner_tol}, X.data(), rows);
    }
    return py::make_tuple(stats.violation, stats.cross);
}

/// W is changed in place; returns the sum of squared errors.
template <class T>
double py_solve_rows(const Call& call, const Array<T>& X, const Array<T>& H, const Array<double>& G, double curvature,
                     const Array<T>& P, Array<T>& W, int64_t sweeps, double inner_tol) {
    const Context ctx = call.context();
    const RowProblems<T> all{view_of(ctx, X, "X"),    view_of(ctx, H, "H"), view_of(ctx, P, "P"), G.data(), curvature,
                             {0.0, sweeps, inner_tol}};
    const auto n = static_cast<py::ssize_t>(all.X.n), k = static_cast<py::ssize_t>(all.H.n);
    check_shape(ctx, "H", H, {k, static_cast<py::ssize_t>(all.X.d)});
    check_shape(ctx, "G", G, {k, k});
    check_shape(ctx, "P", P, {n, k});
    check_shape(ctx, "W", W, {n, k});
    T* rows = W.mutable_data();
    const Released released;
    return solve_rows(ctx, all, rows);
}

template <class T>
void py_extrapolate(const Call& call, const Array<T>& X, Array<T>& old, double beta) {
    const Context ctx = call.context();
    check_shape(ctx, "old", old, std::vector<py::ssize_t>(X.shape(), X.shape() + X.ndim()));
    T* numbers = old.mutable_data();
    const Released released;
    extrapolate(ctx, X.data(), beta, X.size(), numbers);
}

template <class T, class I>
py::tuple py_sweep_masked(const Call& call, const Array<double>& G, double l2, const Array<T>& F,
                          const Array<std::int64_t>& indptr, const Array<I>& indices, bool observed, const Array<T>& P,
                          Array<T>& X, double l1, int64_t sweeps, double inner_tol, std::optional<Array<T>> out) {
    const Context ctx = call.context();
    const DenseView<T> view = view_of(ctx, P, "P"), factor = view_of(ctx, F, "F");
    const auto k = static_cast<py::ssize_t>(view.d);
    check_shape(ctx, "G", G, {k, k});
    check_shape(ctx, "F", F, {static_cast<py::ssize_t>(factor.n), k});
    check_shape(ctx, "X", X, {static_cast<py::ssize_t>(view.n), k});
    check_shape(ctx, "listed.indptr", indptr, {static_cast<py::ssize_t>(view.n + 1)});
    check_indptr(ctx, "listed", indptr.data(), indptr.size(), indices.size());
    check_indices(ctx, "listed", indices.data(), indices.size(), factor.n);
    if (!out) out = X;
    T* rows = target(ctx, out, view.n, view.d).mutable_data();
    SweepStats stats;
    {
        const Released released;
        stats = sweep_masked(ctx, G.data(), l2, factor, Pattern<I>{indptr.data(), indices.data(), view.n}, observed,
                             view, {l1, sweeps, inner_tol}, X.data(), rows);
    }
    return py::make_tuple(stats.violation, stats.cross, stats.quadratic);
}

/// W [problems, n, k] and F [problems, d, k] are changed in place. (losses, iterations).
template <class T>
py::tuple py_factorize_small(const Call& call, const Array<T>& X, Array<T>& W, Array<T>& F, int64_t sweeps,
                             double inner_tol, double tol, int64_t max_iter) {
    const Context ctx = call.context();
    const bool shared = X.ndim() == 2;
    if ((X.ndim() != 3 && !shared) || W.ndim() != 3)
        fail(ctx, "X must be [n, d] or [problems, n, d], and W [problems, n, k]", shape_of(X) + " and " + shape_of(W),
             "Stack problems along a first axis.");
    const py::ssize_t n = X.shape(X.ndim() - 2), d = X.shape(X.ndim() - 1), problems = W.shape(0), k = W.shape(2);
    if (!shared) check_shape(ctx, "X", X, {problems, n, d});
    check_shape(ctx, "W", W, {problems, n, k});
    check_shape(ctx, "F", F, {problems, d, k});
    py::array_t<double> loss(problems);
    py::array_t<std::int64_t> n_iter(problems);
    const SmallProblems<T> all{X.data(),
                               shared,
                               problems,
                               n,
                               d,
                               k,
                               W.mutable_data(),
                               F.mutable_data(),
                               loss.mutable_data(),
                               n_iter.mutable_data()};
    {
        const Released released;
        factorize_small(ctx, all, {0, sweeps, inner_tol}, tol, max_iter);
    }
    return py::make_tuple(loss, n_iter);
}

/// X is changed in place; returns how many entries of each row or column are not 0 afterwards.
template <class T>
py::array_t<std::int64_t> py_keep_largest(const Call& call, Array<T>& X, std::int64_t k, bool columns) {
    const Context ctx = call.context();
    const DenseView<T> view = view_of(ctx, X, "X");
    const std::int64_t count = columns ? view.n : view.d;
    if (k < 1 || k > count)
        fail(ctx, "k must be in [1, " + std::to_string(count) + "]", k, "Keep at least one entry and at most all.");
    T* numbers = X.mutable_data();  // refuses what is read-only
    py::array_t<std::int64_t> kept(columns ? view.d : view.n);
    std::int64_t* counts = kept.mutable_data();
    {
        const Released released;
        keep_largest(ctx, numbers, view.n, view.d, k, columns ? Axis::kColumn : Axis::kRow, counts);
    }
    return kept;
}

template <class T, class I>
py::array_t<T> py_multiply_sparse(const Call& call, const Array<T>& X, const Array<std::int64_t>& indptr,
                                  const Array<I>& indices, const Array<T>& values) {
    const Context ctx = call.context();
    const DenseView<T> rows = view_of(ctx, X, "X");
    check_indptr(ctx, "F", indptr.data(), indptr.size(), std::min(indices.size(), values.size()));
    const CsrView<T, I> atoms{indptr.data(), indices.data(), values.data(), indptr.size() - 1, rows.d};
    check_indices(ctx, "F", atoms.indices, atoms.nnz(), rows.d);
    py::array_t<T> out({rows.n, atoms.n});
    T* products = out.mutable_data();
    {
        const Released released;
        multiply_sparse(ctx, rows, atoms, products);
    }
    return out;
}

/// B is changed in place.
void py_solve_columns(const Call& call, const Array<double>& G, Array<double>& B) {
    const Context ctx = call.context();
    const DenseView<double> view = view_of(ctx, B, "B");
    const auto k = static_cast<py::ssize_t>(view.n);
    check_shape(ctx, "G", G, {k, k});
    double* numbers = B.mutable_data();
    const Released released;
    solve_columns(ctx, G.data(), k, view.d, numbers);
}

/// H is changed in place; returns how many columns could not be solved for.
std::int64_t py_refit_supports(const Call& call, const Array<double>& G, const Array<double>& B, Array<double>& H) {
    const Context ctx = call.context();
    const DenseView<double> view = view_of(ctx, H, "H");
    const auto k = static_cast<py::ssize_t>(view.n), d = static_cast<py::ssize_t>(view.d);
    check_shape(ctx, "G", G, {k, k});
    check_shape(ctx, "B", B, {k, d});
    double* numbers = H.mutable_data();
    const Released released;
    return refit_supports(ctx, G.data(), B.data(), k, d, numbers);
}

template <class T, class I>
void define_indexed(py::module_& module) {
    module.def("sweep_masked", &py_sweep_masked<T, I>, "context"_a, "G"_a.noconvert(), "l2"_a, "F"_a.noconvert(),
               "indptr"_a.noconvert(), "indices"_a.noconvert(), "observed"_a, "P"_a.noconvert(), "X"_a.noconvert(),
               "l1"_a = 0.0, "sweeps"_a = 1, "inner_tol"_a = 0.0, "out"_a.noconvert() = py::none());
    module.def("multiply_sparse", &py_multiply_sparse<T, I>, "context"_a, "X"_a.noconvert(), "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "values"_a.noconvert());
}

template <class T>
void define(py::module_& module) {
    module.def("multiply", &py_multiply<T>, "context"_a, "X"_a, "F"_a.noconvert(), "out"_a.noconvert() = py::none());
    module.def("multiply_transposed", &py_multiply_transposed<T>, "context"_a, "X"_a, "W"_a.noconvert(),
               "out"_a.noconvert() = py::none());
    module.def("kullback_step", &py_kullback_step<T>, "context"_a, "X"_a, "A"_a.noconvert(), "F"_a.noconvert(),
               "sums"_a.noconvert(), "by_columns"_a, "l1"_a = 0.0, "l2"_a = 0.0);
    module.def("gram", &py_gram<T>, "context"_a, "V"_a.noconvert());
    module.def("column_sums", &py_column_sums<T>, "context"_a, "V"_a.noconvert());
    module.def("coordinate_sweep", &py_coordinate_sweep<T>, "context"_a, "G"_a.noconvert(), "P"_a.noconvert(),
               "X"_a.noconvert(), "l1"_a = 0.0, "sweeps"_a = 1, "inner_tol"_a = 0.0, "out"_a.noconvert() = py::none());
    module.def("solve_rows", &py_solve_rows<T>, "context"_a, "X"_a.noconvert(), "H"_a.noconvert(), "G"_a.noconvert(),
               "curvature"_a, "P"_a.noconvert(), "W"_a.noconvert(), "sweeps"_a, "inner_tol"_a);
    module.def("extrapolate", &py_extrapolate<T>, "context"_a, "X"_a.noconvert(), "old"_a.noconvert(), "beta"_a);
    module.def("factorize_small", &py_factorize_small<T>, "context"_a, "X"_a.noconvert(), "W"_a.noconvert(),
               "F"_a.noconvert(), "sweeps"_a, "inner_tol"_a, "tol"_a, "max_iter"_a);
    module.def("keep_largest", &py_keep_largest<T>, "context"_a, "X"_a.noconvert(), "k"_a, "columns"_a = false);
    define_indexed<T, std::int32_t>(module);
    define_indexed<T, std::int64_t>(module);
}

}  // namespace

void register_factorize(py::module_& module) {
    define<float>(module);
    define<double>(module);
    module.def("solve_columns", &py_solve_columns, "context"_a, "G"_a.noconvert(), "B"_a.noconvert());
    module.def("refit_supports", &py_refit_supports, "context"_a, "G"_a.noconvert(), "B"_a.noconvert(),
               "H"_a.noconvert());
}

}  // namespace latom
