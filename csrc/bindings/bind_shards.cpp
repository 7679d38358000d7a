// bind_shards.cpp: k-means on rows that lie apart, for Python.
#include <pybind11/stl.h>

#include <limits>

#include "algorithms/cluster/objective.h"
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

const std::int32_t* labels_of(const Context& ctx, const char* name, const Array<std::int32_t>& given, int64_t n,
                              int64_t m) {
    check_shape(ctx, name, given, {static_cast<py::ssize_t>(n)});
    for (int64_t i = 0; i < n; ++i)
        if (given.data()[i] < -1 || given.data()[i] >= m)
            fail(ctx, name + (" must be in [-1, " + std::to_string(m) + ")"), given.data()[i],
                 "Count clusters from 0.");
    return given.data();
}

/// (sum [m, levels, d], weight [m, 3]) of dense rows; (indptr, indices, sum [entries, levels], weight) of CSR.
py::tuple py_cluster_parts(const Call& call, const PyRows& X, const OptionalWeights& weights,
                           const OptionalLabels& before, const Array<std::int32_t>& labels, std::int64_t m,
                           const std::string& metric, double longest, double heaviest) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const double* numbers = weights_of(ctx, weights, X.n());
    const SumBounds bounds = bounds_of(ctx, longest, heaviest);
    if (m < 1 || m > std::numeric_limits<int32_t>::max()) fail(ctx, "n_clusters must be positive", m, "Pass it so.");
    const LabelChange change{before ? labels_of(ctx, "before", *before, X.n(), m) : nullptr,
                             labels_of(ctx, "labels", labels, X.n(), m)};
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
            found.values.reserve(static_cast<std::size_t>(rows.stored()));
            for (int64_t j = 0; j < rows.n(); ++j) {
                found.values.insert(found.values.end(), rows.values(j), rows.values(j) + rows.size(j));
                if constexpr (std::decay_t<decltype(rows)>::sparse)
                    for (int64_t p = 0; p < rows.size(j); ++p)
                        found.indices.push_back(static_cast<int32_t>(rows.columns(j)[p]));
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

    /// (labels, scores, multiply-adds). sum and weight, as cluster_parts has them of dense rows, change by what the
    /// rows add by these labels, less what they have added by labels `before`.
    py::tuple assign(const Call& call, const PyRows& X, int64_t first, const OptionalWeights& weights,
                     const OptionalLabels& before, double longest, double heaviest,
                     std::optional<Array<std::int64_t>> sum, std::optional<Array<std::int64_t>> weight) {
        const Context ctx = call.context();
        if (first < 0 || first > n_ - X.n() || X.d() != d_)
            throw std::invalid_argument(ctx.function + ": a block must be of rows and columns that there are");
        Block block{X, first, weights_of(ctx, weights, X.n()), {}, bounds_of(ctx, longest, heaviest), nullptr, nullptr};
        py::array_t<int32_t> labels(X.n());
        py::array_t<double> scores(X.n());
        block.labels = labels.mutable_data();
        block.scores = scores.mutable_data();
        if (sum) {
            const int64_t m = with_run([](const auto& run) { return run.m(); });
            block.change.before = before ? labels_of(ctx, "before", *before, X.n(), m) : nullptr;
            if (!weight || X.sparse()) throw std::invalid_argument(ctx.function + ": sums must be of dense rows");
            check_shape(ctx, "weight", *weight, {m, BinGrid::kMostLevels});
            check_shape(ctx, "sum", *sum, {m, sum_levels(block.bounds), X.d()});
            block.sum = sum->mutable_data();
            block.weight = weight->mutable_data();
        }
        double products = 0;
        {
            const Released released;
            if (!again<float>(ctx, block, products) && !again<double>(ctx, block, products))
                measured(ctx, block, products);
        }
        return py::make_tuple(labels, scores, products);
    }

private:
    struct Block {
        const PyRows& X;
        int64_t first;
        const double* weights;
        LabelChange change;
        SumBounds bounds;
        int32_t* labels;
        double* scores;
        int64_t *sum = nullptr, *weight = nullptr;
    };
    template <class View>
    static void add(const Context& ctx, const BlockLloyd<View>& run, Block& block) {
        if (!block.sum) return;
        block.change.labels = block.labels;
        run.add(ctx, block.weights, block.change, block.bounds, block.sum, block.weight);
    }
    // Dense rows that a pass has had need no more than a look at their lengths.
    template <class T>
    bool again(const Context& ctx, Block& block, double& products) {
        auto* run = std::get_if<Run<DenseView<T>>>(&run_);
        if (!run || !block.X.template holds<T>() || !(*run)->passed()) return false;
        const StoredRows rows = block.X.template stored<T>(ctx);
        const DenseView<T> view{static_cast<const T*>(rows.data), rows.n, rows.d, rows.d};
        products = (*run)->assign_again(ctx, view, block.first, block.labels, block.scores);
        add(ctx, **run, block);
        return true;
    }
    void measured(const Context& ctx, Block& block, double& products) {
        block.X.visit(ctx, [&]<class View>(const Rows<View>& rows) {
            using T = typename View::value_type;
            if constexpr (!std::is_same_v<View, CsrView<T, int64_t>>)
                if (auto* run = std::get_if<Run<View>>(&run_)) {
                    products = (*run)->assign(ctx, rows, block.first, block.labels, block.scores);
                    return add(ctx, **run, block);
                }
            throw std::invalid_argument(ctx.function + ": a block must have the type of the centers");
        });
    }
    // f(run), where there are centers.
    template <class F>
    int64_t with_run(F f) {
        return std::visit(
            [&](auto& run) -> int64_t {
                if constexpr (std::is_same_v<std::decay_t<decltype(run)>, std::monostate>)
                    throw std::invalid_argument("BlockLloyd: set_centers must come first");
                else return f(*run);
            },
            run_);
    }

    int64_t n_, d_ = 0;
    Metric metric_;
    std::variant<std::monostate, Run<DenseView<float>>, Run<DenseView<double>>, Run<CsrView<float, int32_t>>,
                 Run<CsrView<double, int32_t>>>
        run_;
};

using Integers = Array<std::int64_t>;
using Columns = std::optional<Array<std::int32_t>>;

/// Where each of m clusters begins among the entries of CSR parts.
const int64_t* clusters_of(const Context& ctx, const Integers& indptr, int64_t m, int64_t entries) {
    check_shape(ctx, "indptr", indptr, {m + 1});
    const int64_t* from = indptr.data();
    bool rising = from[0] == 0 && from[m] == entries;
    for (int64_t j = 0; j < m; ++j) rising = rising && from[j] <= from[j + 1];
    if (!rising) throw std::invalid_argument(ctx.function + ": indptr must rise from 0 to the entries");
    return from;
}

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
    check_shape(ctx, "sum", sum, {indices->size(), levels});
    check_indices(ctx, "indices", indices->data(), indices->size(), d);
    parts.indptr = clusters_of(ctx, *indptr, m, indices->size());
    parts.indices = indices->data();
    return parts;
}

/// (indptr, indices, sum) of cluster_parts of CSR rows: those of two parts together, or less the second.
py::tuple py_merge_parts(const Call& call, const Integers& indptr, const Array<std::int32_t>& indices,
                         const Integers& sum, const Integers& other_indptr, const Array<std::int32_t>& other_indices,
                         const Integers& other_sum, bool minus) {
    const Context ctx = call.context();
    if (indptr.ndim() != 1 || indptr.size() < 1 || sum.ndim() != 2 || sum.shape(1) < 1)
        throw std::invalid_argument(ctx.function + ": parts must be CSR");
    const int64_t m = indptr.size() - 1, levels = sum.shape(1);
    const auto view = [&](const Integers& begin, const Array<std::int32_t>& columns, const Integers& numbers) {
        check_shape(ctx, "sum", numbers, {columns.size(), levels});
        return PartsView{clusters_of(ctx, begin, m, columns.size()), columns.data(), numbers.data(), nullptr};
    };
    const PartsView a = view(indptr, indices, sum), b = view(other_indptr, other_indices, other_sum);
    ClusterParts parts;
    {
        const Released released;
        parts = merge_parts(ctx, a, b, m, static_cast<int>(levels), minus);
    }
    const auto entries = static_cast<py::ssize_t>(parts.indices.size());
    return py::make_tuple(to_array(std::move(parts.indptr)), to_array(std::move(parts.indices)),
                          to_array(std::move(parts.sum)).reshape({entries, py::ssize_t{levels}}));
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
    module.def("cluster_parts", &py_cluster_parts, "context"_a, "X"_a, "weights"_a.noconvert(), "before"_a.noconvert(),
               "labels"_a.noconvert(), "n_clusters"_a, "metric"_a, "longest"_a, "heaviest"_a);
    module.def("merge_parts", &py_merge_parts, "context"_a, "indptr"_a.noconvert(), "indices"_a.noconvert(),
               "sum"_a.noconvert(), "other_indptr"_a.noconvert(), "other_indices"_a.noconvert(),
               "other_sum"_a.noconvert(), "minus"_a);
    py::class_<PyBlockLloyd>(module, "BlockLloyd")
        .def(py::init<const Call&, int64_t, const std::string&>(), "context"_a, "n"_a, "metric"_a)
        .def("set_centers", &PyBlockLloyd::set_centers, "context"_a, "centers"_a)
        .def("assign", &PyBlockLloyd::assign, "context"_a, "X"_a, "first"_a, "weights"_a.noconvert(),
             "before"_a.noconvert(), "longest"_a, "heaviest"_a, "sum"_a.noconvert(), "weight"_a.noconvert());
    module.def("next_centers", &py_next_centers, "context"_a, "centers"_a, "indptr"_a.noconvert(),
               "indices"_a.noconvert(), "sum"_a.noconvert(), "weight"_a.noconvert(), "metric"_a, "longest"_a,
               "heaviest"_a);
    module.def("objective_by_sums", &objective_by_sums, "d"_a, "m"_a);
    module.def("sums_objective", &py_sums_objective, "context"_a, "centers"_a, "sum"_a.noconvert(),
               "weight"_a.noconvert(), "metric"_a, "longest"_a, "heaviest"_a, "squares"_a);
}

}  // namespace latom
