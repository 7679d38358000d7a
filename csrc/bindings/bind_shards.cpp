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

using OptionalLabels = std::optional<Array<std::int32_t>>;

LabelChange change_of(const Context& ctx, const OptionalLabels& before, const Array<std::int32_t>& labels, int64_t n,
                      int64_t m) {
    if (m < 1 || m > std::numeric_limits<int32_t>::max()) fail(ctx, "n_clusters must be positive", m, "Pass it so.");
    LabelChange change;
    const auto checked = [&](const char* name, const Array<std::int32_t>& given) {
        check_shape(ctx, name, given, {static_cast<py::ssize_t>(n)});
        for (int64_t i = 0; i < n; ++i)
            if (given.data()[i] < -1 || given.data()[i] >= m)
                fail(ctx, name + (" must be in [-1, " + std::to_string(m) + ")"), given.data()[i],
                     "Count clusters from 0.");
        return given.data();
    };
    change.labels = checked("labels", labels);
    if (before) change.before = checked("before", *before);
    return change;
}

/// (sum [m, levels, d], weight [m, 3]) of dense rows; (indptr, indices, sum [entries, levels], weight) of CSR.
py::tuple py_cluster_parts(const Call& call, const PyRows& X, const OptionalWeights& weights,
                           const OptionalLabels& before, const Array<std::int32_t>& labels, std::int64_t m,
                           const std::string& metric, double longest, double heaviest) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const double* numbers = weights_of(ctx, weights, X.n());
    const SumBounds bounds = bounds_of(ctx, longest, heaviest);
    const LabelChange change = change_of(ctx, before, labels, X.n(), m);
    ClusterParts parts;
    {
        const Released released;
        X.visit(ctx, [&](const auto& rows) { parts = cluster_parts(ctx, rows, numbers, change, m, parsed, bounds); });
    }
    const py::ssize_t levels = parts.levels, clusters = m;
    const py::object weight = to_array(std::move(parts.weight)).reshape({clusters, py::ssize_t{BinGrid::kMostLevels}});
    if (!X.sparse()) return py::make_tuple(to_array(std::move(parts.sum)).reshape({clusters, levels, X.d()}), weight);
    const auto entries = static_cast<py::ssize_t>(parts.indices.size());
    return py::make_tuple(to_array(std::move(parts.indptr)), to_array(std::move(parts.indices)),
                          to_array(std::move(parts.sum)).reshape({entries, levels}), weight);
}

/// In place, to what cluster_parts has returned for dense rows.
void py_add_parts(const Call& call, const PyRows& X, const OptionalWeights& weights, const OptionalLabels& before,
                  const Array<std::int32_t>& labels, const std::string& metric, double longest, double heaviest,
                  Array<std::int64_t>& sum, Array<std::int64_t>& weight) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const double* numbers = weights_of(ctx, weights, X.n());
    const SumBounds bounds = bounds_of(ctx, longest, heaviest);
    const int64_t m = weight.ndim() == 2 ? weight.shape(0) : 0;
    const LabelChange change = change_of(ctx, before, labels, X.n(), m);
    check_shape(ctx, "weight", weight, {m, BinGrid::kMostLevels});
    check_shape(ctx, "sum", sum, {m, sum_levels(bounds), X.d()});
    std::int64_t *to = sum.mutable_data(), *to_weight = weight.mutable_data();
    const Released released;
    X.visit(ctx, [&](const auto& rows) {
        if constexpr (requires { add_parts(ctx, rows, numbers, change, m, parsed, bounds, to, to_weight); })
            add_parts(ctx, rows, numbers, change, m, parsed, bounds, to, to_weight);
        else throw std::invalid_argument(ctx.function + ": X must be dense");
    });
}

/// A BlockLloyd of whatever rows its first block has.
class PyBlockLloyd {
    template <class View>
    using Run = std::unique_ptr<BlockLloyd<View>>;

public:
    PyBlockLloyd(const Call& call, int64_t n, const std::string& metric)
        : n_(n), metric_(parse_metric(call.context(), metric)) {
        if (n < 0) fail(call.context(), "n must not be negative", n, "Count the rows.");
    }

    void set_centers(const Call& call, const PyRows& centers) {
        const Context ctx = call.context();
        const Released released;
        centers.visit(ctx, [&](const auto& rows) {
            using T = typename std::decay_t<decltype(rows)>::T;
            Centers<T> found;
            found.indptr.push_back(0);
            for (int64_t j = 0; j < rows.n(); ++j) {
                rows.each(j, [&](int64_t t, T v) {
                    if constexpr (std::decay_t<decltype(rows)>::sparse)
                        found.indices.push_back(static_cast<int32_t>(t));
                    found.values.push_back(v);
                });
                found.indptr.push_back(static_cast<int64_t>(found.values.size()));
            }
            using View = std::conditional_t<std::decay_t<decltype(rows)>::sparse, CsrView<T, int32_t>, DenseView<T>>;
            if (std::holds_alternative<std::monostate>(run_)) run_ = make_block_lloyd<View>(n_, metric_);
            auto* run = std::get_if<Run<View>>(&run_);
            if (!run) throw std::invalid_argument(ctx.function + ": centers must have the type of those before");
            if (rows.n() < 1 || ((*run)->m() > 0 && (rows.n() != (*run)->m() || rows.d() != d_)))
                throw std::invalid_argument(ctx.function + ": centers must be one or more, as many as before");
            d_ = rows.d();
            (*run)->set_centers(ctx, found, d_);
        });
    }

    py::tuple assign(const Call& call, const PyRows& X, int64_t first) {
        const Context ctx = call.context();
        if (first < 0 || first > n_ - X.n() || X.d() != d_)
            throw std::invalid_argument(ctx.function + ": a block must be of rows and columns that there are");
        py::array_t<int32_t> labels(X.n());
        py::array_t<double> scores(X.n());
        int32_t* to_labels = labels.mutable_data();
        double *to_scores = scores.mutable_data(), products = 0;
        {
            const Released released;
            X.visit(ctx, [&]<class Block>(const Rows<Block>& rows) {
                using T = typename Block::value_type;
                if constexpr (!std::is_same_v<Block, CsrView<T, int64_t>>)
                    if (auto* run = std::get_if<Run<Block>>(&run_)) {
                        products = (*run)->assign(ctx, rows, first, to_labels, to_scores);
                        return;
                    }
                throw std::invalid_argument(ctx.function + ": a block must have the type of the centers");
            });
        }
        return py::make_tuple(labels, scores, products);
    }

    void relocate(const Call& call, const Array<std::int64_t>& rows, const Array<std::int32_t>& labels) {
        const Context ctx = call.context();
        check_shape(ctx, "labels", labels, {rows.size()});
        check_indices(ctx, "rows", rows.data(), rows.size(), n_);
        std::visit(
            [&](auto& run) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(run)>, std::monostate>) {
                    check_indices(ctx, "labels", labels.data(), labels.size(), run->m());
                    run->relocate({rows.data(), rows.data() + rows.size()},
                                  {labels.data(), labels.data() + labels.size()});
                }
            },
            run_);
    }

private:
    int64_t n_, d_ = 0;
    Metric metric_;
    std::variant<std::monostate, Run<DenseView<float>>, Run<DenseView<double>>, Run<CsrView<float, int32_t>>,
                 Run<CsrView<double, int32_t>>>
        run_;
};

/// (centers, centers that moved, squared shift). indptr and indices are None for dense centers.
py::tuple py_next_centers(const Call& call, const PyRows& centers, const std::optional<Array<std::int64_t>>& indptr,
                          const std::optional<Array<std::int32_t>>& indices, const Array<std::int64_t>& sum,
                          const Array<std::int64_t>& weight, const std::string& metric, double longest,
                          double heaviest) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const int64_t m = centers.n(), d = centers.d();
    const SumBounds bounds = bounds_of(ctx, longest, heaviest);
    const int64_t levels = sum_levels(bounds);
    check_shape(ctx, "weight", weight, {m, BinGrid::kMostLevels});
    PartsView parts{nullptr, nullptr, sum.data(), weight.data()};
    if (centers.sparse() != indptr.has_value() || centers.sparse() != indices.has_value())
        throw std::invalid_argument(ctx.function + ": sums must have the container of the centers");
    if (centers.sparse()) {
        check_shape(ctx, "indptr", *indptr, {m + 1});
        check_shape(ctx, "sum", sum, {indices->size(), levels});
        check_indices(ctx, "indices", indices->data(), indices->size(), d);
        const int64_t* from = indptr->data();
        bool rising = from[0] == 0 && from[m] == indices->size();
        for (int64_t j = 0; j < m; ++j) rising = rising && from[j] <= from[j + 1];
        if (!rising) throw std::invalid_argument(ctx.function + ": indptr must rise from 0 to the entries");
        parts.indptr = from;
        parts.indices = indices->data();
    } else {
        check_shape(ctx, "sum", sum, {m, levels, d});
    }
    UpdateStats stats;
    std::variant<Centers<float>, Centers<double>> found;
    {
        const Released released;
        centers.visit(ctx, [&](const auto& rows) { found = next_centers(ctx, rows, parts, parsed, bounds, stats); });
    }
    const py::object made = std::visit([&](const auto& c) { return centers_to_python(c, m, d); }, found);
    return py::make_tuple(made, stats.moved, stats.shift);
}

}  // namespace

void register_shards(py::module_& module) {
    module.def("cluster_parts", &py_cluster_parts, "context"_a, "X"_a, "weights"_a.noconvert(), "before"_a.noconvert(),
               "labels"_a.noconvert(), "n_clusters"_a, "metric"_a, "longest"_a, "heaviest"_a);
    module.def("add_parts", &py_add_parts, "context"_a, "X"_a, "weights"_a.noconvert(), "before"_a.noconvert(),
               "labels"_a.noconvert(), "metric"_a, "longest"_a, "heaviest"_a, "sum"_a.noconvert(),
               "weight"_a.noconvert());
    py::class_<PyBlockLloyd>(module, "BlockLloyd")
        .def(py::init<const Call&, int64_t, const std::string&>(), "context"_a, "n"_a, "metric"_a)
        .def("set_centers", &PyBlockLloyd::set_centers, "context"_a, "centers"_a)
        .def("assign", &PyBlockLloyd::assign, "context"_a, "X"_a, "first"_a)
        .def("relocate", &PyBlockLloyd::relocate, "context"_a, "rows"_a.noconvert(), "labels"_a.noconvert());
    module.def("next_centers", &py_next_centers, "context"_a, "centers"_a, "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "sum"_a.noconvert(), "weight"_a.noconvert(), "metric"_a, "longest"_a,
               "heaviest"_a);
}

}  // namespace latom
