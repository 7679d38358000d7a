// bind_cluster.cpp: Lloyd's steps for Python.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "latom/kmeans.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// A Lloyd<float> or Lloyd<double> with the arrays it reads.
class PyLloyd {
public:
    PyLloyd(const py::object& X, const std::optional<Array<double>>& weights, const std::string& metric, int n_threads,
            const std::string& function, bool screen, bool drift, bool residual, bool few, int shorten, int group,
            int drop)
        : matrix_(X, function), weights_{weights}, threads_(n_threads), function_(function) {
        const Context ctx = make_context(threads_);
        if (group != 0 && group != 1 && group != 8) throw py::value_error("Lloyd: group must be 0, 1 or 8");
        if (shorten < 0 || shorten > 2) throw py::value_error("Lloyd: shorten must be 0, 1 or 2");
        const Bounds bounds{screen, drift, residual, few, group, drop, shorten};
        const Metric parsed = parse_metric(function, metric);
        py::gil_scoped_release release;
        std::visit([&](const auto& view) { run_ = make_lloyd(ctx, view, weights_.data(), parsed, bounds, function); },
                   matrix_.view());
    }

    void set_centers(const py::object& centers, bool normalize) {
        const Matrix matrix(centers, function_, "centers");
        const Context ctx = make_context(threads_);
        std::visit(
            [&](auto& run, const auto& view) {
                if constexpr (requires { run->set_centers(ctx, view, normalize); })
                    run->set_centers(ctx, view, normalize);
                else throw py::type_error(function_ + ": centers must have the dtype of X and int32 indices");
            },
            run_, matrix.view());
    }

    py::tuple assign() {
        AssignStats stats;
        each([&](auto& run) { stats = run.assign(make_context(threads_)); });
        return py::make_tuple(stats.changed, stats.objective, stats.products);
    }

    py::tuple update() {
        UpdateStats stats;
        each([&](auto& run) { stats = run.update(make_context(threads_)); });
        return py::make_tuple(stats.moved, stats.relocated, stats.shift);
    }

    py::array labels() {
        return std::visit([](auto& run) -> py::array { return to_array(run->labels()); }, run_);
    }

    py::array scores() {
        std::vector<double> out;
        each([&](auto& run) { out = run.scores(make_context(threads_)); });
        return to_array(out);
    }

    /// (indptr, indices, values) for sparse X, values [m, d] otherwise.
    py::object centers() {
        return std::visit(
            [](auto& run) -> py::object {
                const auto c = run->centers();
                if (c.indices.empty() && static_cast<int64_t>(c.values.size()) == run->m() * run->d() &&
                    !c.values.empty())
                    return to_array(c.values).reshape({run->m(), run->d()});
                return py::make_tuple(to_array(c.indptr), to_array(c.indices), to_array(c.values));
            },
            run_);
    }

    int64_t zero_rows() {
        return std::visit([](auto& run) { return run->zero_rows(); }, run_);
    }

private:
    template <class F>
    void each(F f) {
        py::gil_scoped_release release;
        std::visit([&](auto& run) { f(*run); }, run_);
    }

    Matrix matrix_;
    Weights weights_;
    int threads_;
    std::string function_;
    std::variant<std::unique_ptr<Lloyd<float>>, std::unique_ptr<Lloyd<double>>> run_;
};

template <class I>
bool is_canonical(const Array<std::int64_t>& indptr, const Array<I>& indices, int n_threads,
                  const std::string& function, const std::string& name) {
    const Context ctx = make_context(n_threads);
    const int64_t n = indptr.size() - 1;
    check_indptr(function, name, indptr.data(), n + 1, indices.size());
    py::gil_scoped_release release;
    return first_uncanonical_row(ctx, indptr.data(), indices.data(), n) == n;
}

}  // namespace

void register_cluster(py::module_& module) {
    py::class_<PyLloyd>(module, "Lloyd")
        .def(py::init<const py::object&, const std::optional<Array<double>>&, const std::string&, int,
                      const std::string&, bool, bool, bool, bool, int, int, int>(),
             "X"_a, "weights"_a.noconvert(), "metric"_a, "n_threads"_a = 0, "function"_a = "Lloyd", py::kw_only(),
             "screen"_a = true, "drift"_a = true, "residual"_a = true, "few"_a = true, "shorten"_a = 1, "group"_a = 0,
             "drop"_a = 0)
        .def("set_centers", &PyLloyd::set_centers, "centers"_a, "normalize"_a)
        .def("assign", &PyLloyd::assign)
        .def("update", &PyLloyd::update)
        .def("labels", &PyLloyd::labels)
        .def("scores", &PyLloyd::scores)
        .def("centers", &PyLloyd::centers)
        .def_property_readonly("zero_rows", &PyLloyd::zero_rows);
    module.def("is_canonical", &is_canonical<std::int32_t>, "indptr"_a.noconvert(), "indices"_a.noconvert(),
               "n_threads"_a = 0, "function"_a = "is_canonical", "name"_a = "X");
    module.def("is_canonical", &is_canonical<std::int64_t>, "indptr"_a.noconvert(), "indices"_a.noconvert(),
               "n_threads"_a = 0, "function"_a = "is_canonical", "name"_a = "X");
}

}  // namespace latom
