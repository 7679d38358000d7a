// bind_seed.cpp: seeding, coresets and weighted draws for Python.
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>

#include "bindings/rows.h"
#include "latom/seed.h"

namespace latom {
namespace {

using namespace pybind11::literals;

SeedMethod parse_method(const Context& ctx, const std::string& method) {
    if (method == "auto") return SeedMethod::kAuto;
    if (method == "exact") return SeedMethod::kExact;
    if (method == "fold") return SeedMethod::kFold;
    if (method == "rejection") return SeedMethod::kRejection;
    fail(ctx, "method must be 'auto', 'exact', 'fold' or 'rejection'", "'" + method + "'", "Leave it at 'auto'.");
}

const char* method_name(SeedMethod method) {
    return method == SeedMethod::kExact ? "exact" : method == SeedMethod::kRejection ? "rejection" : "fold";
}

SeedBound parse_bound(const Context& ctx, const std::string& bound) {
    if (bound == "auto") return SeedBound::kAuto;
    if (bound == "first-center") return SeedBound::kFirstCenter;
    if (bound == "paper") return SeedBound::kPaper;
    if (bound == "cap") return SeedBound::kCap;
    fail(ctx, "bound must be 'auto', 'first-center', 'paper' or 'cap'", "'" + bound + "'", "Leave it at 'auto'.");
}

void check_count(const Context& ctx, const char* name, std::int64_t value, std::int64_t most) {
    if (value < 1 || value > most)
        fail(ctx, std::string(name) + " must lie in [1, " + std::to_string(most) + "]", value,
             "X has no more rows than that.");
}

py::dict to_dict(const Seeding& s) {
    py::dict out("indices"_a = to_array(s.indices), "distinct"_a = s.distinct, "method"_a = method_name(s.method),
                 "trials"_a = s.trials, "greedy"_a = s.greedy, "uniform"_a = s.uniform, "folds"_a = s.folds,
                 "products"_a = s.products);
    out["potential"] = s.potential < 0 ? py::object(py::none()) : py::object(py::float_(s.potential));
    return out;
}

/// A callable of Python (None: empty) that is given the numbers of centers, and gives (nearest int32 [n], dot float64
/// [n]).
NearestOf nearest_by(const Context& ctx, const py::object& callable, std::int64_t n) {
    if (callable.is_none()) return {};
    return [&ctx, &callable, n](const std::vector<int64_t>& centers, int32_t* nearest, double* dot) {
        const Retaken retaken;
        const auto found = py::cast<std::pair<Array<std::int32_t>, Array<double>>>(
            callable(py::array_t<std::int64_t>(static_cast<py::ssize_t>(centers.size()), centers.data())));
        const auto& [which, dots] = found;
        if (which.ndim() != 1 || which.shape(0) != n || dots.ndim() != 1 || dots.shape(0) != n ||
            std::any_of(which.data(), which.data() + n,
                        [&](std::int32_t c) { return c < 0 || c >= static_cast<std::int64_t>(centers.size()); }))
            throw std::logic_error(ctx.function + ": nearest must give one center and one product per row");
        std::copy_n(which.data(), n, nearest);
        std::copy_n(dots.data(), n, dot);
    };
}

py::dict py_kmeans_plusplus(const Call& call, const PyRows& X, std::int64_t m, const OptionalWeights& weights,
                            const std::string& metric, const std::string& method, const std::string& bound,
                            std::int64_t local_trials, double budget, std::int64_t max_trials, bool potential,
                            const PyRows* existing, const py::object& nearest) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const double* numbers = weights_of(ctx, weights, X.n());
    check_count(ctx, "n_clusters", m, X.n());
    if (local_trials < 1) fail(ctx, "n_local_trials must be positive", local_trials, "Use 1 for the plain law.");
    SeedPlan plan{parse_method(ctx, method), parse_bound(ctx, bound), local_trials, budget, max_trials, potential};
    plan.nearest = nearest_by(ctx, nearest, X.n());
    Seeding seeding;
    {
        const Released released;
        X.visit(ctx, [&](const auto& rows) {
            using Same = std::decay_t<decltype(rows)>;
            const Same* there = existing ? std::get_if<Same>(&existing->rows(ctx)) : nullptr;
            if (existing && !there)
                fail(ctx, "existing_centers must be stored as X is", "another container or type",
                     "Convert them to that of X.");
            seeding = kmeans_plusplus(ctx, rows, there, numbers, parsed, m, plan);
        });
    }
    return to_dict(seeding);
}

py::dict py_afkmc2(const Call& call, const PyRows& X, std::int64_t m, std::int64_t chain,
                   const OptionalWeights& weights, const std::string& metric) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const double* numbers = weights_of(ctx, weights, X.n());
    check_count(ctx, "n_clusters", m, X.n());
    if (chain < 1) fail(ctx, "chain_length must be positive", chain, "Use 200.");
    Seeding seeding;
    {
        const Released released;
        X.visit(ctx, [&](const auto& rows) { seeding = afkmc2(ctx, rows, numbers, parsed, m, chain); });
    }
    return to_dict(seeding);
}

py::tuple py_parallel_candidates(const Call& call, const PyRows& X, std::int64_t m, double amount, std::int64_t rounds,
                                 const OptionalWeights& weights, const std::string& metric, const py::object& nearest) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const double* numbers = weights_of(ctx, weights, X.n());
    check_count(ctx, "n_clusters", m, X.n());
    const NearestOf others = nearest_by(ctx, nearest, X.n());
    Candidates out;
    {
        const Released released;
        X.visit(ctx, [&](const auto& rows) {
            out = parallel_candidates(ctx, rows, numbers, parsed, m, amount, rounds, others);
        });
    }
    return py::make_tuple(to_array(out.indices), to_array(out.mass), out.potential);
}

py::tuple py_coreset(const Call& call, const PyRows& X, std::int64_t size, std::int64_t rough_centers,
                     const OptionalWeights& weights, const std::string& metric) {
    const Context ctx = call.context();
    const Metric parsed = parse_metric(ctx, metric);
    const double* numbers = weights_of(ctx, weights, X.n());
    if (size < 1) fail(ctx, "size must be positive", size, "Draw at least one row.");
    if (rough_centers != 0) check_count(ctx, "n_clusters", rough_centers, X.n());
    Coreset out;
    {
        const Released released;
        X.visit(ctx, [&](const auto& rows) { out = coreset(ctx, rows, numbers, parsed, size, rough_centers); });
    }
    return py::make_tuple(to_array(out.indices), to_array(out.weights));
}

py::array py_weighted_sample(const Call& call, const Array<double>& weights, std::int64_t size, bool replacement) {
    const Context ctx = call.context();
    if (size < 0) fail(ctx, "size must be at least 0", size, "Draw none or more.");
    if (weights.size() < 1) fail(ctx, "weights must not be empty", shape_of(weights), "Pass a weight per row.");
    std::vector<int64_t> out;
    {
        const Released released;
        out = weighted_sample(ctx, weights.data(), weights.size(), size, replacement);
    }
    return to_array(std::move(out));
}

}  // namespace

void register_seed(py::module_& module) {
    module.def("kmeans_plusplus", &py_kmeans_plusplus, "context"_a, "X"_a, "n_clusters"_a, "weights"_a.noconvert(),
               "metric"_a, py::kw_only(), "method"_a = "auto", "bound"_a = "auto", "local_trials"_a = 1,
               "budget"_a = HUGE_VAL, "max_trials"_a = 0, "potential"_a = false, "existing"_a = py::none(),
               "nearest"_a = py::none());
    module.def("afkmc2", &py_afkmc2, "context"_a, "X"_a, "n_clusters"_a, "chain"_a, "weights"_a.noconvert(),
               "metric"_a);
    module.def("parallel_candidates", &py_parallel_candidates, "context"_a, "X"_a, "n_clusters"_a, "amount"_a,
               "rounds"_a, "weights"_a.noconvert(), "metric"_a, "nearest"_a = py::none());
    module.def("coreset", &py_coreset, "context"_a, "X"_a, "size"_a, "rough_centers"_a, "weights"_a.noconvert(),
               "metric"_a);
    module.def("weighted_sample", &py_weighted_sample, "context"_a, "weights"_a.noconvert(), "size"_a, "replacement"_a);
}

}  // namespace latom
