// bind_distances.cpp: distances to centers that are kept, for Python.
#include "bindings/rows.h"
#include "latom/distances.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// A CenterDistances<float> or CenterDistances<double>, which holds copies of its centers.
class PyCenterDistances {
public:
    PyCenterDistances(const Call& call, const PyRows& centers, const std::string& metric) : sparse_(centers.sparse()) {
        const Context ctx = call.context();
        const Metric parsed = parse_metric(ctx, metric);
        const Released released;
        centers.visit(ctx, [&](const auto& rows) { made_ = make_center_distances(ctx, rows, parsed); });
    }

    /// Distances [n, m] of rows that have the dtype of the centers; dense rows ask for dense centers.
    py::array run(const Call& call, const PyRows& X) const {
        const Context ctx = call.context();
        if (sparse_ && !X.sparse()) throw std::invalid_argument(ctx.function + ": centers must be dense as X is");
        return std::visit(
            [&](const auto& made) -> py::array {
                using T = typename std::decay_t<decltype(*made)>::value_type;
                py::array_t<T> out({static_cast<py::ssize_t>(X.n()), static_cast<py::ssize_t>(made->m())});
                T* distances = out.mutable_data();
                {
                    const Released released;
                    X.visit(ctx, [&](const auto& rows) {
                        if (!rows.whole()) throw std::invalid_argument(ctx.function + ": X must be a whole matrix");
                        if constexpr (std::is_same_v<T, typename std::decay_t<decltype(rows)>::T>)
                            made->run(ctx, rows, distances);
                        else throw std::invalid_argument(ctx.function + ": centers must have the dtype of X");
                    });
                }
                return out;
            },
            made_);
    }

private:
    bool sparse_;
    std::variant<std::unique_ptr<CenterDistances<float>>, std::unique_ptr<CenterDistances<double>>> made_;
};

}  // namespace

void register_distances(py::module_& module) {
    py::class_<PyCenterDistances>(module, "CenterDistances")
        .def(py::init<const Call&, const PyRows&, const std::string&>(), "context"_a, "centers"_a, "metric"_a)
        .def("run", &PyCenterDistances::run, "context"_a, "X"_a);
}

}  // namespace latom
