// bind_seed.cpp: seeding, coresets and weighted draws for Python.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "latom/coreset.h"
#include "latom/seeding.h"

namespace latom {
namespace {

using namespace pybind11::literals;
using OptionalWeights = std::optional<Array<double>>;

SeedMethod parse_method(const std::string& function, const std::string& method) {
    if (method == "auto") return SeedMethod::kAuto;
    if (method == "exact") return SeedMethod::kExact;
    if (method == "fold") return SeedMethod::kFold;
    if (method == "rejection") return SeedMethod::kRejection;
    fail(function, "method must be 'auto', 'exact', 'fold' or 'rejection'", "'" + method + "'", "Pass one of them.");
}

const char* method_name(SeedMethod method) {
    return method == SeedMethod::kExact ? "exact" : method == SeedMethod::kRejection ? "rejection" : "fold";
}

SeedBound parse_bound(const std::string& function, const std::string& bound) {
    if (bound == "auto") return SeedBound::kAuto;
    if (bound == "first-center") return SeedBound::kFirstCenter;
    if (bound == "paper") return SeedBound::kPaper;
    if (bound == "cap") return SeedBound::kCap;
    fail(function, "bound must be 'auto', 'first-center', 'paper' or 'cap'", "'" + bound + "'", "Pass one of them.");
}

py::dict to_dict(const Seeding& s) {
    py::dict out("indices"_a = to_array(s.indices), "distinct"_a = s.distinct, "method"_a = method_name(s.method),
                 "trials"_a = s.trials, "greedy"_a = s.greedy, "uniform"_a = s.uniform, "folds"_a = s.folds,
                 "products"_a = s.products);
    out["potential"] = s.potential < 0 ? py::object(py::none()) : py::object(py::float_(s.potential));
    return out;
}

py::dict py_kmeans_plusplus(const py::object& X, std::int64_t m, const OptionalWeights& weights,
                            const std::string& metric, std::uint64_t seed, int n_threads, const std::string& function,
                            const std::string& method, const std::string& bound, std::int64_t local_trials,
                            double budget, std::int64_t max_trials, bool potential,
                            const std::optional<py::object>& existing) {
    const Matrix matrix(X, function);
    std::optional<Matrix> there;
    if (existing) there.emplace(*existing, function, "existing_centers");
    const Context ctx = make_context(n_threads);
    const Metric parsed = parse_metric(function, metric);
    const SeedPlan plan{
        parse_method(function, method), parse_bound(function, bound), local_trials, budget, max_trials, potential};
    Seeding seeding;
    {
        py::gil_scoped_release release;
        std::visit(
            [&](const auto& view) {
                using View = std::decay_t<decltype(view)>;
                const View* centers = there ? std::get_if<View>(&there->view()) : nullptr;
                if (there && !centers)
                    fail(function, "existing_centers must be stored as X is", "another type", "Convert them.");
                seeding = kmeans_plusplus(ctx, view, centers, weights ? weights->data() : nullptr, parsed, m, plan,
                                          seed, function);
            },
            matrix.view());
    }
    return to_dict(seeding);
}

py::dict py_afkmc2(const py::object& X, std::int64_t m, std::int64_t chain, const OptionalWeights& weights,
                   const std::string& metric, std::uint64_t seed, int n_threads, const std::string& function) {
    const Matrix matrix(X, function);
    const Context ctx = make_context(n_threads);
    const Metric parsed = parse_metric(function, metric);
    Seeding seeding;
    {
        py::gil_scoped_release release;
        std::visit(
            [&](const auto& view) {
                seeding = afkmc2(ctx, view, weights ? weights->data() : nullptr, parsed, m, chain, seed, function);
            },
            matrix.view());
    }
    return to_dict(seeding);
}

py::tuple py_parallel_candidates(const py::object& X, std::int64_t m, double amount, std::int64_t rounds,
                                 const OptionalWeights& weights, const std::string& metric, std::uint64_t seed,
                                 int n_threads, const std::string& function) {
    const Matrix matrix(X, function);
    const Context ctx = make_context(n_threads);
    const Metric parsed = parse_metric(function, metric);
    Candidates out;
    {
        py::gil_scoped_release release;
        std::visit(
            [&](const auto& view) {
                out = parallel_candidates(ctx, view, weights ? weights->data() : nullptr, parsed, m, amount, rounds,
                                          seed, function);
            },
            matrix.view());
    }
    return py::make_tuple(to_array(out.indices), to_array(out.mass), out.potential);
}

py::tuple py_coreset(const py::object& X, std::int64_t size, std::int64_t rough_centers, const OptionalWeights& weights,
                     const std::string& metric, std::uint64_t seed, int n_threads, const std::string& function) {
    const Matrix matrix(X, function);
    const Context ctx = make_context(n_threads);
    const Metric parsed = parse_metric(function, metric);
    Coreset out;
    {
        py::gil_scoped_release release;
        std::visit(
            [&](const auto& view) {
                out = coreset(ctx, view, weights ? weights->data() : nullptr, parsed, size, rough_centers, seed,
                              function);
            },
            matrix.view());
    }
    return py::make_tuple(to_array(out.indices), to_array(out.weights));
}

py::array py_weighted_sample(const Array<double>& weights, std::int64_t size, bool replacement, std::uint64_t seed,
                             int n_threads) {
    const Context ctx = make_context(n_threads);
    std::vector<int64_t> out;
    {
        py::gil_scoped_release release;
        out = weighted_sample(ctx, weights.data(), weights.size(), size, replacement, seed);
    }
    return to_array(out);
}

}  // namespace

void register_seed(py::module_& module) {
    module.def("kmeans_plusplus", &py_kmeans_plusplus, "X"_a, "n_clusters"_a, "weights"_a.noconvert(), "metric"_a,
               "seed"_a, "n_threads"_a = 0, "function"_a = "kmeans_plusplus", py::kw_only(), "method"_a = "auto",
               "bound"_a = "auto", "local_trials"_a = 1, "budget"_a = HUGE_VAL, "max_trials"_a = 0,
               "potential"_a = false, "existing"_a = py::none());
    module.def("afkmc2", &py_afkmc2, "X"_a, "n_clusters"_a, "chain"_a, "weights"_a.noconvert(), "metric"_a, "seed"_a,
               "n_threads"_a = 0, "function"_a = "afkmc2");
    module.def("parallel_candidates", &py_parallel_candidates, "X"_a, "n_clusters"_a, "amount"_a, "rounds"_a,
               "weights"_a.noconvert(), "metric"_a, "seed"_a, "n_threads"_a = 0, "function"_a = "kmeans_parallel");
    module.def("coreset", &py_coreset, "X"_a, "size"_a, "rough_centers"_a, "weights"_a.noconvert(), "metric"_a,
               "seed"_a, "n_threads"_a = 0, "function"_a = "coreset");
    module.def("weighted_sample", &py_weighted_sample, "weights"_a.noconvert(), "size"_a, "replacement"_a, "seed"_a,
               "n_threads"_a = 0);
}

}  // namespace latom
