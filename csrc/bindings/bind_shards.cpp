// bind_shards.cpp: k-means on rows that lie apart, for Python.
#include <pybind11/stl.h>

#include <limits>

#include "bindings/centers.h"
#include "bindings/rows.h"
#include "core/bin_grid.h"
#include "latom/shards.h"

namespace latom {
namespace {

using namespace pybind11::literals;

SumBounds bounds_of(const Context& ctx, double longest, double heaviest) {
    for (const double bound : {longest, heaviest})
        if (!(bound >= 0 && bound <= 1e300))
            fail(ctx, "bounds must be within [0, 1e300]", bound, "Pass the largest weighted length and weight.");
    return {longest, heaviest};
}

/// (sum [m, levels, d], weight [m, 3]) of dense rows; (indptr, indices, sum [entries, levels], weight) of CSR.
py::tuple py_cluster_parts(const Call& call, const PyRows& X, const OptionalWeights& weights,
                           const Array<std::int32_t>& labels, std::int64_t m, const std::string& metric, double longest,
                           double heaviest) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const double* numbers = weights_of(ctx, weights, X.n());
    const SumBounds bounds = bounds_of(ctx, longest, heaviest);
    if (m < 1 || m > std::numeric_limits<int32_t>::max()) fail(ctx, "n_clusters must be positive", m, "Pass it so.");
    check_shape(ctx, "labels", labels, {static_cast<py::ssize_t>(X.n())});
    for (int64_t i = 0; i < X.n(); ++i)
        if (labels.data()[i] < -1 || labels.data()[i] >= m)
            fail(ctx, "labels must be in [-1, " + std::to_string(m) + ")", labels.data()[i], "Count clusters from 0.");
    ClusterParts parts;
    {
        const Released released;
        X.visit(ctx,
                [&](const auto& rows) { parts = cluster_parts(ctx, rows, numbers, labels.data(), m, parsed, bounds); });
    }
    const py::ssize_t levels = parts.levels, clusters = m;
    const py::object weight = to_array(std::move(parts.weight)).reshape({clusters, py::ssize_t{BinGrid::kMostLevels}});
    if (!X.sparse()) return py::make_tuple(to_array(std::move(parts.sum)).reshape({clusters, levels, X.d()}), weight);
    const auto entries = static_cast<py::ssize_t>(parts.indices.size());
    return py::make_tuple(to_array(std::move(parts.indptr)), to_array(std::move(parts.indices)),
                          to_array(std::move(parts.sum)).reshape({entries, levels}), weight);
}

using Integers = Array<std::int64_t>;
using Columns = std::optional<Array<std::int32_t>>;

/// Merged parts of these centers. indptr and indices are None for dense ones.
PartsView parts_of(const Context& ctx, const PyRows& centers, const std::optional<Integers>& indptr,
                   const Columns& indices, const Integers& sum, const Integers& weight, const SumBounds& bounds) {
    const int64_t m = centers.n(), d = centers.d(), levels = sum_levels(bounds);
    check_shape(ctx, "weight", weight, {m, BinGrid::kMostLevels});
    PartsView parts{nullptr, nullptr, sum.data(), weight.data()};
    if (centers.sparse() != indptr.has_value() || centers.sparse() != indices.has_value())
        throw std::invalid_argument(ctx.function + ": sums must have the container of the centers");
    if (!centers.sparse()) {
        check_shape(ctx, "sum", sum, {m, levels, d});
        return parts;
    }
    check_shape(ctx, "indptr", *indptr, {m + 1});
    check_shape(ctx, "sum", sum, {indices->size(), levels});
    check_indices(ctx, "indices", indices->data(), indices->size(), d);
    const int64_t* from = indptr->data();
    bool rising = from[0] == 0 && from[m] == indices->size();
    for (int64_t j = 0; j < m; ++j) rising = rising && from[j] <= from[j + 1];
    if (!rising) throw std::invalid_argument(ctx.function + ": indptr must rise from 0 to the entries");
    parts.indptr = from;
    parts.indices = indices->data();
    return parts;
}

/// (centers, centers that moved, squared shift).
py::tuple py_next_centers(const Call& call, const PyRows& centers, const std::optional<Integers>& indptr,
                          const Columns& indices, const Integers& sum, const Integers& weight,
                          const std::string& metric, double longest, double heaviest) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const SumBounds bounds = bounds_of(ctx, longest, heaviest);
    const PartsView parts = parts_of(ctx, centers, indptr, indices, sum, weight, bounds);
    UpdateStats stats;
    std::variant<Centers<float>, Centers<double>> found;
    {
        const Released released;
        centers.visit(ctx, [&](const auto& rows) { found = next_centers(ctx, rows, parts, parsed, bounds, stats); });
    }
    const py::object made =
        std::visit([&](const auto& c) { return centers_to_python(c, centers.n(), centers.d()); }, found);
    return py::make_tuple(made, stats.moved, stats.shift);
}

/// None where the costs of rows must be added up.
std::optional<double> py_sums_objective(const Call& call, const PyRows& centers, const Integers& sum,
                                        const Integers& weight, const std::string& metric, double longest,
                                        double heaviest, double squares) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const SumBounds bounds = bounds_of(ctx, longest, heaviest);
    const PartsView parts = parts_of(ctx, centers, {}, {}, sum, weight, bounds);
    const double found =
        centers.visit(ctx, [&](const auto& rows) { return sums_objective(rows, parts, parsed, bounds, squares); });
    return found < 0 ? std::nullopt : std::optional(found);
}

}  // namespace

void register_shards(py::module_& module) {
    module.def("cluster_parts", &py_cluster_parts, "context"_a, "X"_a, "weights"_a.noconvert(), "labels"_a.noconvert(),
               "n_clusters"_a, "metric"_a, "longest"_a, "heaviest"_a);
    module.def("next_centers", &py_next_centers, "context"_a, "centers"_a, "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "sum"_a.noconvert(), "weight"_a.noconvert(), "metric"_a, "longest"_a,
               "heaviest"_a);
    module.def("sums_objective", &py_sums_objective, "context"_a, "centers"_a, "sum"_a.noconvert(),
               "weight"_a.noconvert(), "metric"_a, "longest"_a, "heaviest"_a, "squares"_a);
}

}  // namespace latom
