// bind_distances.cpp: distances to centers that are kept, for Python.
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "core/same_bytes.h"
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

    /// (labels, float64 scores): the nearest center of each CSR row.
    py::tuple nearest(const Call& call, const PyRows& X) const {
        const Context ctx = call.context();
        if (!X.sparse()) throw std::invalid_argument(ctx.function + ": X must be CSR");
        py::array_t<std::int32_t> label(X.n());
        py::array_t<double> score(X.n());
        std::int32_t* labels = label.mutable_data();
        double* scores = score.mutable_data();
        {
            const Released released;
            std::visit(
                [&](const auto& made) {
                    X.visit(ctx, [&](const auto& rows) {
                        if constexpr (requires { made->nearest(ctx, rows, scores, labels); })
                            made->nearest(ctx, rows, scores, labels);
                        else throw std::invalid_argument(ctx.function + ": centers must have the dtype of X");
                    });
                },
                made_);
        }
        return py::make_tuple(label, score);
    }

private:
    bool sparse_;
    std::variant<std::unique_ptr<CenterDistances<float>>, std::unique_ptr<CenterDistances<double>>> made_;
};

using AnyArray = std::variant<Array<float>, Array<double>, Array<std::int32_t>, Array<std::int64_t>>;

/// Whether two arrays hold the same bytes.
bool py_same_bytes(const Call& call, const AnyArray& a, const AnyArray& b) {
    const Context ctx = call.context();
    const auto bytes = [](const auto& array) { return array.nbytes(); };
    const auto data = [](const auto& array) { return static_cast<const void*>(array.data()); };
    const int64_t count = std::visit(bytes, a);
    if (a.index() != b.index() || count != std::visit(bytes, b)) return false;
    const void *left = std::visit(data, a), *right = std::visit(data, b);
    const Released released;
    return same_bytes(ctx, left, right, count);
}

}  // namespace

void register_distances(py::module_& module) {
    py::class_<PyCenterDistances>(module, "CenterDistances")
        .def(py::init<const Call&, const PyRows&, const std::string&>(), "context"_a, "centers"_a, "metric"_a)
        .def("run", &PyCenterDistances::run, "context"_a, "X"_a)
        .def("nearest", &PyCenterDistances::nearest, "context"_a, "X"_a);
    module.def("same_bytes", &py_same_bytes, "context"_a, "a"_a.noconvert(), "b"_a.noconvert());
}

}  // namespace latom
