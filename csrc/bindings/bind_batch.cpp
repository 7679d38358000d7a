// bind_batch.cpp: many small clusterings, and late interaction, for Python.
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "latom/batch.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// Offsets rise from 0 to the number of rows.
int64_t check_offsets(const Context& ctx, const std::string& name, const Array<std::int64_t>& offsets, int64_t rows) {
    const int64_t count = offsets.size() - 1, *at = offsets.data();
    bool sound = offsets.ndim() == 1 && count >= 0 && at[0] == 0 && at[count] == rows;
    for (int64_t b = 0; sound && b < count; ++b) sound = at[b] <= at[b + 1];
    if (!sound)
        fail(ctx, name + " must rise from 0 to " + std::to_string(rows), "others",
             "Pass the running sum of the lengths, with a 0 before it.");
    return count;
}

/// f(T) for the type that rows are computed with.
template <class F>
py::object with_type(bool wide, F f) {
    return wide ? f(double{}) : f(float{});
}

struct Given {
    OptionalWeights weights;
    std::optional<Array<std::int32_t>> fixed, labels;
    std::optional<std::variant<Array<float>, Array<double>>> centers;
    std::optional<Array<std::uint64_t>> seeds;
};

template <class T>
BatchInputs<T> inputs_of(const Context& ctx, const Given& given, const BatchPlan& plan, const Problems& problems,
                         int64_t n, int64_t d) {
    BatchInputs<T> in;
    const int64_t clusters = problems.center_offsets[problems.count];
    in.weights = weights_of(ctx, given.weights, n);
    const auto labels_of = [&](const auto& array, const std::string& name, int32_t lowest) -> const int32_t* {
        if (!array) return nullptr;
        check_shape(ctx, name, *array, {static_cast<py::ssize_t>(n)});
        for (int64_t b = 0; b < problems.count; ++b)
            for (int64_t i = problems.offsets[b]; i < problems.offsets[b + 1]; ++i)
                if (array->data()[i] < lowest ||
                    array->data()[i] >= problems.center_offsets[b + 1] - problems.center_offsets[b])
                    fail(ctx, name + " must lie within the clusters of their problem",
                         std::to_string(array->data()[i]) + " in row " + std::to_string(i), "Count from 0.");
        return array->data();
    };
    in.fixed = labels_of(given.fixed, "fixed_labels", -1);
    in.labels = labels_of(given.labels, "labels", 0);
    if (given.centers) {
        const auto* centers = std::get_if<Array<T>>(&*given.centers);
        if (!centers) throw std::invalid_argument(ctx.function + ": init must have the dtype of X");
        check_shape(ctx, "init", *centers, {static_cast<py::ssize_t>(clusters), static_cast<py::ssize_t>(d)});
        in.centers = centers->data();
    }
    if (given.seeds) {
        check_shape(ctx, "seeds", *given.seeds,
                    {static_cast<py::ssize_t>(problems.count), static_cast<py::ssize_t>(plan.n_init)});
        in.seeds = given.seeds->data();
    }
    const bool there = plan.start == BatchStart::kCenters    ? in.centers != nullptr
                       : plan.start == BatchStart::kLabels   ? in.labels != nullptr
                       : plan.start == BatchStart::kPlusPlus ? in.seeds != nullptr
                                                             : true;
    if (!there) throw std::invalid_argument(ctx.function + ": the start that was named must be given");
    return in;
}

BatchStart parse_start(const Context& ctx, const std::string& start) {
    if (start == "centers") return BatchStart::kCenters;
    if (start == "labels") return BatchStart::kLabels;
    if (start == "ward") return BatchStart::kWard;
    if (start == "k-means++") return BatchStart::kPlusPlus;
    throw std::invalid_argument(ctx.function + ": start must be 'centers', 'labels', 'ward' or 'k-means++'");
}

/// (labels, centers, inertia, n_iter, distinct)
py::object py_kmeans_batch(const Call& call, const PyRows& X, const Array<std::int64_t>& offsets,
                           const Array<std::int64_t>& center_offsets, const std::string& metric,
                           const std::string& start, std::int64_t max_iter, double tol, std::int64_t n_init,
                           const OptionalWeights& weights, const std::optional<Array<std::int32_t>>& fixed,
                           const std::optional<Array<std::int32_t>>& labels,
                           const std::optional<std::variant<Array<float>, Array<double>>>& centers,
                           const std::optional<Array<std::uint64_t>>& seeds, bool wide) {
    const Context ctx = call.context();
    const BatchPlan plan{parse_metric(ctx, metric), parse_start(ctx, start), max_iter, tol, n_init};
    const Problems problems{offsets.data(), center_offsets.data(), check_offsets(ctx, "offsets", offsets, X.n())};
    check_shape(ctx, "center_offsets", center_offsets, {offsets.size()});
    const int64_t clusters = center_offsets.data()[problems.count], d = X.d();
    check_offsets(ctx, "center_offsets", center_offsets, clusters);
    for (int64_t b = 0; b < problems.count; ++b)
        if (center_offsets.data()[b + 1] - center_offsets.data()[b] > offsets.data()[b + 1] - offsets.data()[b] ||
            (offsets.data()[b] < offsets.data()[b + 1]) != (center_offsets.data()[b] < center_offsets.data()[b + 1]))
            throw std::invalid_argument(ctx.function +
                                        ": a problem must have clusters where it has rows, and no more than rows");
    const Given given{weights, fixed, labels, centers, seeds};
    return with_type(wide, [&](auto zero) -> py::object {
        using T = decltype(zero);
        const BatchInputs<T> in = inputs_of<T>(ctx, given, plan, problems, X.n(), d);
        const StoredRows rows = X.stored<T>(ctx);
        py::array_t<std::int32_t> label(X.n());
        py::array_t<T> center({clusters, d});
        py::array_t<double> inertia(problems.count);
        py::array_t<std::int64_t> n_iter(problems.count), distinct(problems.count);
        const BatchOutputs<T> out{label.mutable_data(), center.mutable_data(), inertia.mutable_data(),
                                  n_iter.mutable_data(), distinct.mutable_data()};
        {
            const Released released;
            kmeans_batch<T>(ctx, rows, problems, plan, in, out);
        }
        return py::make_tuple(label, center, inertia, n_iter, distinct);
    });
}

/// (labels, found, merges or None)
py::object py_ward_batch(const Call& call, const PyRows& X, const Array<std::int64_t>& offsets,
                         const std::string& metric, const std::optional<Array<std::int64_t>>& clusters, double height,
                         bool linkage, bool wide, bool one_minus_cosine) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const int64_t count = check_offsets(ctx, "offsets", offsets, X.n());
    if (clusters) check_shape(ctx, "n_clusters", *clusters, {static_cast<py::ssize_t>(count)});
    int64_t merges = 0;
    for (int64_t b = 0; b < count; ++b) {
        const int64_t n = offsets.data()[b + 1] - offsets.data()[b];
        merges += std::max<int64_t>(n - 1, 0);
    }
    const WardCut cut{clusters ? clusters->data() : nullptr, height, one_minus_cosine};
    return with_type(wide, [&](auto zero) -> py::object {
        using T = decltype(zero);
        const StoredRows rows = X.stored<T>(ctx);
        py::array_t<std::int32_t> label(X.n());
        py::array_t<std::int64_t> found(count);
        py::array_t<double> tree({linkage ? merges : 0, int64_t{4}});
        std::int32_t* labels = label.mutable_data();
        std::int64_t* counts = found.mutable_data();
        double* merged = linkage ? tree.mutable_data() : nullptr;
        {
            const Released released;
            ward_batch<T>(ctx, rows, offsets.data(), count, parsed, cut, labels, counts, merged);
        }
        return py::make_tuple(label, found, linkage ? py::object(tree) : py::object(py::none()));
    });
}

/// (scores, indices)
py::object py_maxsim(const Call& call, const PyRows& Q, const Array<std::int64_t>& query_offsets, const PyRows& D,
                     const Array<std::int64_t>& document_offsets, std::int64_t k, bool wide) {
    const Context ctx = call.context();
    const int64_t queries = check_offsets(ctx, "query_offsets", query_offsets, Q.n());
    const int64_t documents = check_offsets(ctx, "document_offsets", document_offsets, D.n());
    if (Q.d() != D.d())
        fail(ctx, "queries must have " + std::to_string(D.d()) + " columns, as documents have", Q.d(),
             "Embed both by one model.");
    if (k < 1 || k > documents) throw std::invalid_argument(ctx.function + ": k must lie in [1, documents]");
    return with_type(wide, [&](auto zero) -> py::object {
        using T = decltype(zero);
        const StoredRows q = Q.stored<T>(ctx), d = D.stored<T>(ctx);
        py::array_t<double> score({queries, k});
        py::array_t<std::int64_t> index({queries, k});
        double* scores = score.mutable_data();
        std::int64_t* indices = index.mutable_data();
        {
            const Released released;
            maxsim<T>(ctx, q, query_offsets.data(), queries, d, document_offsets.data(), documents, k, scores, indices);
        }
        return py::make_tuple(score, index);
    });
}

}  // namespace

void register_batch(py::module_& module) {
    module.def("kmeans_batch", &py_kmeans_batch, "context"_a, "X"_a, "offsets"_a.noconvert(),
               "center_offsets"_a.noconvert(), "metric"_a, "start"_a, "max_iter"_a, "tol"_a, "n_init"_a, "weights"_a,
               "fixed"_a, "labels"_a, "centers"_a, "seeds"_a, "wide"_a);
    module.def("maxsim", &py_maxsim, "context"_a, "queries"_a, "query_offsets"_a.noconvert(), "documents"_a,
               "document_offsets"_a.noconvert(), "k"_a, "wide"_a);
    module.def("ward_batch", &py_ward_batch, "context"_a, "X"_a, "offsets"_a.noconvert(), "metric"_a, "n_clusters"_a,
               "height"_a, "linkage"_a, "wide"_a, "one_minus_cosine"_a = false);
}

}  // namespace latom
