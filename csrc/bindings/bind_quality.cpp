// bind_quality.cpp: how good a clustering is, for Python.
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "latom/quality.h"

namespace latom {
namespace {

using namespace pybind11::literals;

void check_labels(const Context& ctx, const Array<std::int32_t>& labels, int64_t n, int64_t m) {
    check_shape(ctx, "labels", labels, {static_cast<py::ssize_t>(n)});
    check_indices(ctx, "labels", labels.data(), n, m);
}

/// (samples, pairs of rows that were looked at)
py::tuple py_silhouette(const Call& call, const PyRows& X, const Array<std::int32_t>& labels, std::int64_t m,
                        const std::string& metric) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    check_labels(ctx, labels, X.n(), m);
    py::array_t<double> out(X.n());
    double* samples = out.mutable_data();
    int64_t pairs = 0;
    {
        const Released released;
        X.visit(ctx, [&](const auto& rows) { pairs = silhouette(ctx, rows, labels.data(), m, parsed, samples); });
    }
    return py::make_tuple(out, pairs);
}

double py_davies_bouldin(const Call& call, const PyRows& X, const Array<std::int32_t>& labels, std::int64_t m) {
    const Context ctx = call.context();
    check_labels(ctx, labels, X.n(), m);
    double out = 0;
    const Released released;
    X.visit(ctx, [&](const auto& rows) { out = davies_bouldin(ctx, rows, labels.data(), m); });
    return out;
}

}  // namespace

void register_quality(py::module_& module) {
    module.def("davies_bouldin", &py_davies_bouldin, "context"_a, "X"_a, "labels"_a.noconvert(), "n_clusters"_a);
    module.def("silhouette", &py_silhouette, "context"_a, "X"_a, "labels"_a.noconvert(), "n_clusters"_a, "metric"_a);
}

}  // namespace latom
