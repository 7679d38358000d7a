// bind_least_squares.cpp: half-steps of alternating least squares, and predictions, for Python.
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "latom/least_squares.h"

namespace latom {
namespace {

using namespace pybind11::literals;

EntryRule parse_rule(const Context& ctx, const std::string& name) {
    if (name == "implicit") return EntryRule::kImplicit;
    if (name == "weighted") return EntryRule::kWeighted;
    if (name == "observed") return EntryRule::kObserved;
    fail(ctx, "rule must be 'implicit', 'weighted' or 'observed'", "'" + name + "'",
         "Use 'observed' for plain values.");
}

RowSolver parse_solver(const Context& ctx, const std::string& name) {
    if (name == "auto") return RowSolver::kAuto;
    if (name == "cholesky") return RowSolver::kCholesky;
    if (name == "cg") return RowSolver::kConjugate;
    if (name == "sketch") return RowSolver::kSketch;
    if (name == "nonnegative") return RowSolver::kNonNegative;
    fail(ctx, "solver must be 'auto', 'cholesky', 'cg', 'sketch' or 'nonnegative'", "'" + name + "'",
         "Use 'auto' if unsure.");
}

/// run(rows) for whole CSR X of numbers T.
template <class T, class F>
auto with_csr(const Context& ctx, const PyRows& X, F run)
    -> decltype(run(std::declval<const Rows<CsrView<T, int32_t>>&>())) {
    const AnyRows& any = X.rows(ctx);
    if (const auto* narrow = std::get_if<Rows<CsrView<T, int32_t>>>(&any)) return run(*narrow);
    if (const auto* wide = std::get_if<Rows<CsrView<T, int64_t>>>(&any)) return run(*wide);
    throw py::type_error(ctx.function + ": factors must have the dtype of X, which must be CSR");
}

template <class T>
struct Problem {
    Problem(const Context& ctx, const PyRows& X, const Array<T>& V, const std::optional<Array<double>>& G,
            const Array<double>& ridge, const Array<T>& out, const std::string& rule, double alpha,
            const std::optional<Array<T>>& offsets) {
        const DenseView<T> view = view_of(ctx, V, "V");
        const auto k = static_cast<py::ssize_t>(view.d);
        check_shape(ctx, "V", V, {static_cast<py::ssize_t>(X.d()), k});
        check_shape(ctx, "out", out, {static_cast<py::ssize_t>(X.n()), k});
        check_shape(ctx, "ridge", ridge, {static_cast<py::ssize_t>(X.n())});
        if (G) check_shape(ctx, "G", *G, {k, k});
        if (offsets) check_shape(ctx, "offsets", *offsets, {static_cast<py::ssize_t>(X.d())});
        all = {view,
               G ? G->data() : nullptr,
               ridge.data(),
               parse_rule(ctx, rule),
               alpha,
               offsets ? offsets->data() : nullptr,
               RowSolver::kAuto,
               0,
               0};
    }
    LeastSquares<T> all;
};

/// out is changed in place; (value, failed).
template <class T>
py::tuple py_rows(const Call& call, const PyRows& X, const Array<T>& V, const std::optional<Array<double>>& G,
                  const Array<double>& ridge, Array<T>& out, const std::string& rule, double alpha,
                  const std::optional<Array<T>>& offsets, const std::string& solver, int64_t steps, int64_t any_sign) {
    const Context ctx = call.context();
    Problem<T> problem(ctx, X, V, G, ridge, out, rule, alpha, offsets);
    if (any_sign < 0 || any_sign > problem.all.V.d)
        fail(ctx, "any_sign must be in [0, " + std::to_string(problem.all.V.d) + "]", any_sign, "Pass 0.");
    problem.all.solver = parse_solver(ctx, solver);
    problem.all.steps = steps;
    problem.all.any_sign = any_sign;
    T* numbers = out.mutable_data();
    LeastSquaresResult result;
    {
        const Released released;
        result =
            with_csr<T>(ctx, X, [&](const auto& rows) { return solve_least_squares(ctx, rows, problem.all, numbers); });
    }
    return py::make_tuple(result.value, result.failed);
}

template <class T>
void check_predictions(const Context& ctx, const PyRows& X, const Array<T>& e) {
    int64_t nnz = -1;
    with_csr<T>(ctx, X, [&](const auto& rows) { nnz = rows.whole() ? rows.view().nnz() : -1; });
    if (nnz >= 0) check_shape(ctx, "predictions", e, {static_cast<py::ssize_t>(nnz)});
}

/// out and predictions are changed in place; rows that failed.
template <class T>
int64_t py_block(const Call& call, const PyRows& X, const Array<T>& V, const std::optional<Array<double>>& G,
                 const Array<double>& ridge, Array<T>& out, Array<T>& e, int64_t first, int64_t width,
                 const std::string& rule, double alpha, const std::optional<Array<T>>& offsets) {
    const Context ctx = call.context();
    const Problem<T> problem(ctx, X, V, G, ridge, out, rule, alpha, offsets);
    if (first < 0 || width < 1 || first > problem.all.V.d - width)
        fail(ctx, "first and width must be a block of V's columns",
             std::to_string(first) + " and " + std::to_string(width), "Stay within them.");
    T *numbers = out.mutable_data(), *predictions = e.mutable_data();
    const Released released;
    {
        const Retaken lock;
        check_predictions(ctx, X, e);
    }
    return with_csr<T>(ctx, X, [&](const auto& rows) {
        return solve_block(ctx, rows, problem.all, first, width, predictions, numbers).failed;
    });
}

template <class T>
py::array_t<T> py_predict_stored(const Call& call, const PyRows& X, const Array<T>& V, const Array<T>& U) {
    const Context ctx = call.context();
    const DenseView<T> view = view_of(ctx, V, "V");
    const auto k = static_cast<py::ssize_t>(view.d);
    check_shape(ctx, "V", V, {static_cast<py::ssize_t>(X.d()), k});
    check_shape(ctx, "U", U, {static_cast<py::ssize_t>(X.n()), k});
    int64_t nnz = 0;
    {
        const Released released;
        nnz = with_csr<T>(ctx, X, [](const auto& rows) { return rows.stored(); });
    }
    py::array_t<T> out(nnz);
    T* e = out.mutable_data();
    const Released released;
    with_csr<T>(ctx, X, [&](const auto& rows) { predict_stored(ctx, rows, view, U.data(), e); });
    return out;
}

template <class T>
py::array_t<T> py_predict_pairs(const Call& call, const Array<T>& U, const Array<T>& V, const Array<std::int64_t>& rows,
                                const Array<std::int64_t>& columns) {
    const Context ctx = call.context();
    const DenseView<T> left = view_of(ctx, U, "U"), right = view_of(ctx, V, "V");
    check_shape(ctx, "V", V, {static_cast<py::ssize_t>(right.n), static_cast<py::ssize_t>(left.d)});
    check_shape(ctx, "rows", rows, {rows.size()});
    check_shape(ctx, "columns", columns, {rows.size()});
    check_indices(ctx, "rows", rows.data(), rows.size(), left.n);
    check_indices(ctx, "columns", columns.data(), columns.size(), right.n);
    py::array_t<T> out(rows.size());
    T* numbers = out.mutable_data();
    const int64_t count = rows.size();
    {
        const Released released;
        predict_pairs(ctx, left, right, rows.data(), columns.data(), count, numbers);
    }
    return out;
}

template <class T>
void define(py::module_& module) {
    module.def("least_squares_rows", &py_rows<T>, "context"_a, "X"_a, "V"_a.noconvert(), "G"_a.noconvert().none(true),
               "ridge"_a.noconvert(), "out"_a.noconvert(), "rule"_a, "alpha"_a = 1.0,
               "offsets"_a.noconvert() = py::none(), "solver"_a = "auto", "steps"_a = 3, "any_sign"_a = 0);
    module.def("least_squares_block", &py_block<T>, "context"_a, "X"_a, "V"_a.noconvert(), "G"_a.noconvert().none(true),
               "ridge"_a.noconvert(), "out"_a.noconvert(), "predictions"_a.noconvert(), "first"_a, "width"_a, "rule"_a,
               "alpha"_a = 1.0, "offsets"_a.noconvert() = py::none());
    module.def("predict_stored", &py_predict_stored<T>, "context"_a, "X"_a, "V"_a.noconvert(), "U"_a.noconvert());
    module.def("predict_pairs", &py_predict_pairs<T>, "context"_a, "U"_a.noconvert(), "V"_a.noconvert(),
               "rows"_a.noconvert(), "columns"_a.noconvert());
}

}  // namespace

void register_least_squares(py::module_& module) {
    define<float>(module);
    define<double>(module);
}

}  // namespace latom
