// bind_cluster.cpp: Lloyd's steps for Python.
#include <pybind11/stl.h>

#include <mutex>

#include "bindings/rows.h"
#include "latom/cluster.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// A Lloyd<float> or Lloyd<double> with the arrays it reads. Threads that share one take turns.
class PyLloyd {
    // f without the interpreter's lock, which whoever is at work here may ask for to see an interrupt.
    template <class F>
    auto alone(F f) {
        const Context ctx = call_.context();
        py::gil_scoped_release release;
        const std::lock_guard<std::mutex> lock(mutex_);
        return std::visit([&](auto& run) { return f(*run, ctx); }, run_);
    }

public:
    PyLloyd(const Call& call, const PyRows& X, const OptionalWeights& weights, const std::string& metric,
            const LloydSwitches& switches)
        : call_(call), weights_(weights) {
        const Context ctx = call.context();
        const Metric parsed = parse_metric(ctx, metric);
        const double* numbers = weights_of(ctx, weights_, X.n());
        py::gil_scoped_release release;
        X.visit(ctx, [&](const auto& rows) { run_ = make_lloyd(ctx, rows, numbers, parsed, switches); });
    }

    void set_centers(const PyRows& centers, bool normalize) {
        alone([&](auto& run, const Context& ctx) {
            centers.visit(ctx, [&](const auto& rows) {
                if constexpr (requires { run.set_centers(ctx, rows, normalize); })
                    run.set_centers(ctx, rows, normalize);
                else throw std::invalid_argument(ctx.function + ": centers must have the dtype of X");
            });
        });
    }

    py::tuple assign() {
        const AssignStats stats = alone([](auto& run, const Context& ctx) { return run.assign(ctx); });
        return py::make_tuple(stats.changed, stats.objective, stats.products);
    }

    py::tuple update() {
        const UpdateStats stats = alone([](auto& run, const Context& ctx) { return run.update(ctx); });
        return py::make_tuple(stats.moved, stats.relocated, stats.shift);
    }

    py::array labels() {
        return to_array(alone([](auto& run, const Context&) { return std::vector<int32_t>(run.labels()); }));
    }

    py::array scores() {
        return to_array(alone([](auto& run, const Context& ctx) { return run.scores(ctx); }));
    }

    /// (indptr, indices, values) for sparse X, values [m, d] otherwise.
    py::object centers() {
        int64_t m = 0, d = 0;
        std::variant<Centers<float>, Centers<double>> found;
        alone([&](auto& run, const Context&) {
            m = run.m();
            d = run.d();
            found = run.centers();
        });
        return std::visit(
            [&](const auto& c) -> py::object {
                if (c.indices.empty() && static_cast<int64_t>(c.values.size()) == m * d && !c.values.empty())
                    return to_array(c.values).reshape({m, d});
                return py::make_tuple(to_array(c.indptr), to_array(c.indices), to_array(c.values));
            },
            found);
    }

    int64_t zero_rows() {
        return alone([](auto& run, const Context&) { return run.zero_rows(); });
    }

private:
    Call call_;
    OptionalWeights weights_;
    std::mutex mutex_;
    std::variant<std::unique_ptr<Lloyd<float>>, std::unique_ptr<Lloyd<double>>> run_;
};

LloydSwitches make_switches(bool screen, bool drift, bool residual, bool few, int shorten, int group, int drop) {
    if (group != 0 && group != 1 && group != 8) throw py::value_error("Lloyd: group must be 0, 1 or 8");
    if (shorten < 0 || shorten > 2) throw py::value_error("Lloyd: shorten must be 0, 1 or 2");
    return {.screen = screen,
            .drift = drift,
            .residual = residual,
            .few = few,
            .group = group,
            .drop = drop,
            .shorten = shorten};
}

double py_mean_variance(const Call& call, const PyRows& X) {
    const Context ctx = call.context();
    py::gil_scoped_release release;
    return X.visit(ctx, [&](const auto& rows) { return mean_variance(ctx, rows); });
}

}  // namespace

void register_cluster(py::module_& module) {
    py::class_<PyLloyd>(module, "Lloyd")
        .def(py::init([](const Call& call, const PyRows& X, const OptionalWeights& weights, const std::string& metric,
                         bool screen, bool drift, bool residual, bool few, int shorten, int group, int drop) {
                 return std::make_unique<PyLloyd>(call, X, weights, metric,
                                                  make_switches(screen, drift, residual, few, shorten, group, drop));
             }),
             "context"_a, "X"_a, "weights"_a.noconvert(), "metric"_a, py::kw_only(), "screen"_a = true,
             "drift"_a = true, "residual"_a = true, "few"_a = true, "shorten"_a = 1, "group"_a = 0, "drop"_a = 0,
             py::keep_alive<1, 3>())
        .def("set_centers", &PyLloyd::set_centers, "centers"_a, "normalize"_a)
        .def("assign", &PyLloyd::assign)
        .def("update", &PyLloyd::update)
        .def("labels", &PyLloyd::labels)
        .def("scores", &PyLloyd::scores)
        .def("centers", &PyLloyd::centers)
        .def_property_readonly("zero_rows", &PyLloyd::zero_rows);
    module.def("mean_variance", &py_mean_variance, "context"_a, "X"_a);
}

}  // namespace latom
