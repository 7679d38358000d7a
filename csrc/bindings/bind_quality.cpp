// bind_quality.cpp: how good a clustering is, for Python.
#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/rows.h"
#include "kernels/table.h"
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

/// (sums of distances, sums of squared products less the shifts) per column.
py::tuple distance_sums(const Array<double>& dot, const Array<double>& square_r, const Array<double>& square_c,
                        const Array<double>& shift_r, const Array<double>& shift_c) {
    if (dot.ndim() != 2 || dot.shape(1) % 8 || square_r.size() != dot.shape(0) || square_c.size() != dot.shape(1) ||
        shift_r.size() != dot.shape(0) || shift_c.size() != dot.shape(1))
        throw py::value_error("distance_sums: dot must be [rows, whole lines of 64 bytes], the others of its extents");
    py::array_t<double> sum(dot.shape(1)), crossed(dot.shape(1));
    std::fill_n(sum.mutable_data(), sum.size(), 0.0);
    std::fill_n(crossed.mutable_data(), sum.size(), 0.0);
    active_kernels()->distance_sums(dot.data(), dot.shape(0), dot.shape(1), square_r.data(), square_c.data(),
                                    shift_r.data(), shift_c.data(), sum.mutable_data(), crossed.mutable_data());
    return py::make_tuple(sum, crossed);
}

/// (sums of distances, how many were below) per row.
py::tuple bounded_distances(const Array<float>& dot, const Array<float>& square_r, const Array<float>& square_c,
                            const Array<float>& low) {
    if (dot.ndim() != 2 || dot.shape(1) % 16 || square_r.size() != dot.shape(0) || square_c.size() > dot.shape(1) ||
        low.size() != dot.shape(0))
        throw py::value_error(
            "bounded_distances: dot must be [rows, whole lines of 64 bytes], the others of its extents");
    py::array_t<double> total(dot.shape(0)), near(dot.shape(0));
    std::fill_n(total.mutable_data(), total.size(), 0.0);
    std::fill_n(near.mutable_data(), near.size(), 0.0);
    active_kernels()->bounded_distances(dot.data(), dot.shape(0), dot.shape(1), square_c.size(), square_r.data(),
                                        square_c.data(), low.data(), total.mutable_data(), near.mutable_data());
    return py::make_tuple(total, near);
}

}  // namespace

void register_quality_kernels(py::module_& kernels) {
    kernels.def("distance_sums", &distance_sums, "dot"_a.noconvert(), "square_r"_a.noconvert(),
                "square_c"_a.noconvert(), "shift_r"_a.noconvert(), "shift_c"_a.noconvert());
    kernels.def("bounded_distances", &bounded_distances, "dot"_a.noconvert(), "square_r"_a.noconvert(),
                "square_c"_a.noconvert(), "low"_a.noconvert());
}

void register_quality(py::module_& module) {
    module.def("davies_bouldin", &py_davies_bouldin, "context"_a, "X"_a, "labels"_a.noconvert(), "n_clusters"_a);
    module.def("silhouette", &py_silhouette, "context"_a, "X"_a, "labels"_a.noconvert(), "n_clusters"_a, "metric"_a);
}

}  // namespace latom
