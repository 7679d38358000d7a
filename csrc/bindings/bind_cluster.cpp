// bind_cluster.cpp: Lloyd's steps and those of mini-batches for Python.
#include <pybind11/stl.h>

#include "bindings/centers.h"
#include "bindings/rows.h"
#include "latom/cluster.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// For objects that change with each call. To be waited for without the interpreter's lock, which whoever has the turn
/// may ask for to see an interrupt.
void expect(const Turn& turn, const Context& ctx) {
    if (!turn.taken()) throw std::runtime_error(ctx.function + ": called by a signal handler amid a call of the same");
}

/// A Lloyd<float> or Lloyd<double> with the arrays it reads. Threads that share one take turns.
class PyLloyd {
    template <class F>
    auto alone(F f) {
        const Context ctx = call_.context();
        const Released released;
        const Turn turn(ctx, turns_);
        expect(turn, ctx);
        return std::visit([&](auto& run) { return f(*run, ctx); }, run_);
    }

public:
    PyLloyd(const Call& call, const PyRows& X, const OptionalWeights& weights, const std::string& metric,
            const LloydSwitches& switches)
        : call_(call), weights_(weights) {
        const Context ctx = call.context();
        const Metric parsed = parse_metric(ctx, metric);
        const double* numbers = weights_of(ctx, weights_, X.n());
        const Released released;
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

    py::tuple assign(bool objective) {
        const AssignStats stats = alone([=](auto& run, const Context& ctx) { return run.assign(ctx, objective); });
        return py::make_tuple(stats.changed, stats.objective, stats.products);
    }

    /// (order, width, label, own): what an assignment by another device has to look at.
    py::tuple plan() {
        SearchPlan plan = alone([](auto& run, const Context& ctx) { return run.plan(ctx); });
        return py::make_tuple(to_array(std::move(plan.order)), to_array(std::move(plan.width)),
                              to_array(std::move(plan.label)), to_array(std::move(plan.own)));
    }
    /// What that has found, in the place of assign().
    py::tuple adopt(const Array<std::int32_t>& label, const Array<double>& own, const Array<double>& others,
                    bool objective) {
        const AssignStats stats = alone([&](auto& run, const Context& ctx) {
            if (label.size() != run.n() || own.size() != run.n() || others.size() != run.n())
                throw std::invalid_argument(ctx.function + ": labels and scores must be of all rows");
            return run.adopt(ctx, {label.data(), own.data(), others.data()}, objective);
        });
        return py::make_tuple(stats.changed, stats.objective, stats.products);
    }

    double inertia() {
        return alone([](auto& run, const Context& ctx) { return run.inertia(ctx); });
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
        return std::visit([&](const auto& c) { return centers_to_python(c, m, d); }, found);
    }

    int64_t zero_rows() {
        return alone([](auto& run, const Context&) { return run.zero_rows(); });
    }

private:
    Call call_;
    OptionalWeights weights_;
    Turns turns_;
    std::variant<std::unique_ptr<Lloyd<float>>, std::unique_ptr<Lloyd<double>>> run_;
};

/// A MiniBatch<float> or MiniBatch<double>. Threads that share one take turns.
class PyMiniBatch {
    template <class F>
    auto alone(const Context& ctx, F f) {
        const Released released;
        const Turn turn(ctx, turns_);
        expect(turn, ctx);
        return std::visit([&](auto& run) { return f(*run); }, run_);
    }
    template <class F>
    auto alone(F f) {
        return alone(Call{"MiniBatch"}.context(), f);
    }

    // f(run, rows) where the batch has the container, the dtype and the columns of the centers.
    template <class F>
    auto with(const Context& ctx, const PyRows& batch, F f) {
        using Result = decltype(f(std::declval<MiniBatch<float>&>(), std::declval<const Rows<DenseView<float>>&>()));
        if (batch.sparse() != sparse_)
            throw std::invalid_argument(ctx.function + ": X must be " + (sparse_ ? "CSR" : "dense") +
                                        " as the centers are");
        return alone(ctx, [&](auto& run) {
            return batch.visit(ctx, [&](const auto& rows) -> Result {
                if (rows.d() != run.d())
                    fail(ctx, "X must have the columns of the centers (" + std::to_string(run.d()) + ")", rows.d(),
                         "Pass rows of the same features.");
                using T = typename std::decay_t<decltype(run)>::value_type;
                if constexpr (std::is_same_v<T, typename std::decay_t<decltype(rows)>::T>) return f(run, rows);
                else throw std::invalid_argument(ctx.function + ": X must have the dtype of the centers");
            });
        });
    }
    static std::vector<int64_t> within(const Context& ctx, const char* name, const Array<std::int64_t>& which,
                                       int64_t size) {
        std::vector<int64_t> out(which.data(), which.data() + which.size());
        for (const int64_t i : out)
            if (i < 0 || i >= size)
                fail(ctx, std::string(name) + " must be within [0, " + std::to_string(size) + ")", i,
                     "Pass indices that count from 0.");
        return out;
    }

public:
    PyMiniBatch(const Call& call, const PyRows& centers, const Array<double>& counts, const std::string& metric,
                bool normalize)
        : sparse_(centers.sparse()) {
        const Context ctx = call.context();
        const Metric parsed = parse_metric(ctx, metric);
        if (centers.n() < 1) fail(ctx, "centers must have at least one row", centers.n(), "Start from some.");
        if (counts.ndim() != 1 || counts.shape(0) != centers.n())
            fail(ctx, "counts must hold one number per center (" + std::to_string(centers.n()) + ")", counts.size(),
                 "Pass the counts of these centers.");
        std::vector<double> numbers(counts.data(), counts.data() + counts.size());
        const Released released;
        centers.visit(ctx, [&](const auto& rows) {
            using T = typename std::decay_t<decltype(rows)>::T;
            run_ = std::make_unique<MiniBatch<T>>(ctx, rows, std::move(numbers), parsed, normalize);
        });
    }

    py::tuple step(const Call& call, const PyRows& batch, const OptionalWeights& weights) {
        const Context ctx = call.context();
        const double* numbers = weights_of(ctx, weights, batch.n());
        const StepStats stats =
            with(ctx, batch, [&](auto& run, const auto& rows) { return run.step(ctx, rows, numbers); });
        return py::make_tuple(stats.inertia, stats.shift);
    }

    void replace(const Call& call, const PyRows& batch, const Array<std::int64_t>& rows,
                 const Array<std::int64_t>& clusters) {
        const Context ctx = call.context();
        const int64_t m = alone([](auto& run) { return run.m(); });
        if (rows.ndim() != 1 || clusters.ndim() != 1 || rows.size() != clusters.size())
            fail(ctx, "rows must hold one row per cluster (" + std::to_string(clusters.size()) + ")", rows.size(),
                 "Pass as many rows as clusters.");
        const std::vector<int64_t> from = within(ctx, "rows", rows, batch.n()),
                                   to = within(ctx, "clusters", clusters, m);
        with(ctx, batch, [&](auto& run, const auto& batch_rows) {
            run.replace(ctx, batch_rows, from, to);
            return 0;
        });
    }

    void set_counts(const Array<double>& counts) {
        const std::vector<double> numbers(counts.data(), counts.data() + counts.size());
        alone([&](auto& run) {
            if (numbers.size() != run.counts().size())
                throw std::invalid_argument("MiniBatch: counts must hold one number per center (" +
                                            std::to_string(run.m()) + "); got " + std::to_string(numbers.size()) +
                                            ". Pass the counts of these centers.");
            run.counts() = numbers;
        });
    }

    py::array counts() {
        return to_array(alone([](auto& run) { return std::vector<double>(run.counts()); }));
    }
    py::array labels() {
        return to_array(alone([](auto& run) { return std::vector<int32_t>(run.labels()); }));
    }
    py::array scores() {
        return to_array(alone([](auto& run) { return std::vector<double>(run.scores()); }));
    }
    py::object centers() {
        int64_t m = 0, d = 0;
        std::variant<Centers<float>, Centers<double>> found;
        alone([&](auto& run) {
            m = run.m();
            d = run.d();
            found = run.centers();
        });
        return std::visit([&](const auto& c) { return centers_to_python(c, m, d); }, found);
    }

private:
    bool sparse_;  // centers and batches
    Turns turns_;
    std::variant<std::unique_ptr<MiniBatch<float>>, std::unique_ptr<MiniBatch<double>>> run_;
};

LloydSwitches make_switches(bool screen, bool drift, bool residual, bool few, int shorten, int blocks, bool keep,
                            int group, int drop) {
    if (group != 0 && group != 1 && group != 8) throw py::value_error("Lloyd: group must be 0, 1 or 8");
    if (shorten < 0 || shorten > 2) throw py::value_error("Lloyd: shorten must be 0, 1 or 2");
    if (blocks < 0 || blocks > 2) throw py::value_error("Lloyd: blocks must be 0, 1 or 2");
    return {.screen = screen,
            .drift = drift,
            .residual = residual,
            .few = few,
            .group = group,
            .drop = drop,
            .shorten = shorten,
            .blocks = blocks,
            .keep = keep};
}

double py_mean_variance(const Call& call, const PyRows& X) {
    const Context ctx = call.context();
    if (X.n() < 1) fail(ctx, "X must have at least one row", X.n(), "Pass some.");
    const Released released;
    return X.visit(ctx, [&](const auto& rows) { return mean_variance(ctx, rows); });
}

}  // namespace

void register_cluster(py::module_& module) {
    py::class_<PyLloyd>(module, "Lloyd")
        .def(py::init([](const Call& call, const PyRows& X, const OptionalWeights& weights, const std::string& metric,
                         bool screen, bool drift, bool residual, bool few, int shorten, int blocks, bool keep,
                         int group, int drop) {
                 return std::make_unique<PyLloyd>(
                     call, X, weights, metric,
                     make_switches(screen, drift, residual, few, shorten, blocks, keep, group, drop));
             }),
             "context"_a, "X"_a, "weights"_a.noconvert(), "metric"_a, py::kw_only(), "screen"_a = true,
             "drift"_a = true, "residual"_a = true, "few"_a = true, "shorten"_a = 1, "blocks"_a = 1, "keep"_a = true,
             "group"_a = 0, "drop"_a = 0, py::keep_alive<1, 3>())
        .def("set_centers", &PyLloyd::set_centers, "centers"_a, "normalize"_a)
        .def("assign", &PyLloyd::assign, "objective"_a = true)
        .def("plan", &PyLloyd::plan)
        .def("adopt", &PyLloyd::adopt, "label"_a.noconvert(), "own"_a.noconvert(), "others"_a.noconvert(),
             "objective"_a = true)
        .def("inertia", &PyLloyd::inertia)
        .def("update", &PyLloyd::update)
        .def("labels", &PyLloyd::labels)
        .def("scores", &PyLloyd::scores)
        .def("centers", &PyLloyd::centers)
        .def_property_readonly("zero_rows", &PyLloyd::zero_rows);
    py::class_<PyMiniBatch>(module, "MiniBatch")
        .def(py::init<const Call&, const PyRows&, const Array<double>&, const std::string&, bool>(), "context"_a,
             "centers"_a, "counts"_a.noconvert(), "metric"_a, "normalize"_a)
        .def("step", &PyMiniBatch::step, "context"_a, "X"_a, "weights"_a.noconvert())
        .def("replace", &PyMiniBatch::replace, "context"_a, "X"_a, "rows"_a.noconvert(), "clusters"_a.noconvert())
        .def("set_counts", &PyMiniBatch::set_counts, "counts"_a.noconvert())
        .def("counts", &PyMiniBatch::counts)
        .def("labels", &PyMiniBatch::labels)
        .def("scores", &PyMiniBatch::scores)
        .def("centers", &PyMiniBatch::centers);
    module.def("mean_variance", &py_mean_variance, "context"_a, "X"_a);
}

}  // namespace latom
