// arrays.h: numpy arrays as views, without copies; scipy's CSR parts as one argument.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "algorithms/rows.h"
#include "core/message.h"
#include "kernels/dispatch.h"
#include "latom/context.h"
#include "latom/kmeans.h"
#include "latom/views.h"

namespace latom {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using AnyArray = std::variant<Array<float>, Array<double>>;
using AnyIndices = std::variant<Array<std::int32_t>, Array<std::int64_t>>;

/// Every view that algorithms are compiled for.
using AnyView = std::variant<DenseView<float>, DenseView<double>, CsrView<float, int32_t>, CsrView<float, int64_t>,
                             CsrView<double, int32_t>, CsrView<double, int64_t>>;

/// The variant that LATOM_ISA named at import, or the one that a test put in force.
const KernelTable*& active_kernels();

inline Context make_context(int n_threads) {
    Context ctx;
    ctx.n_threads = resolve_threads(n_threads);
    ctx.kernels = active_kernels();
    ctx.check_interrupt = [] {
        py::gil_scoped_acquire gil;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    };
    return ctx;
}

/// X of Python: a C-contiguous 2-d array, or (indptr int64, indices, data, n_columns). Keeps the arrays alive.
class Matrix {
public:
    Matrix(const py::object& X, const std::string& function, const std::string& name = "X") : keep_(X), name_(name) {
        if (py::isinstance<py::tuple>(X)) {
            const auto parts = X.cast<py::tuple>();
            const auto indptr = parts[0].cast<Array<std::int64_t>>();
            const auto d = parts[3].cast<std::int64_t>();
            std::visit([&](auto indices, auto data) { take(function, indptr, indices, data, d); },
                       cast_any<AnyIndices>(parts[1], function, name + ".indices", "int32 or int64"),
                       cast_any<AnyArray>(parts[2], function, name + ".data", "float32 or float64"));
        } else {
            std::visit(
                [&](auto array) {
                    if (array.ndim() != 2)
                        fail(function, name_ + " must have two dimensions", array.ndim(), "Reshape it.");
                    view_ = DenseView<typename decltype(array)::value_type>{array.data(), array.shape(0),
                                                                            array.shape(1), array.shape(1)};
                },
                cast_any<AnyArray>(X, function, name, "C-contiguous float32 or float64"));
        }
    }
    const AnyView& view() const { return view_; }

private:
    template <class Variant, std::size_t k = 0>
    static Variant cast_any(const py::handle& object, const std::string& function, const std::string& name,
                            const char* want) {
        if constexpr (k < std::variant_size_v<Variant>) {
            using A = std::variant_alternative_t<k, Variant>;
            if (py::isinstance<A>(object)) return py::reinterpret_borrow<A>(object);
            return cast_any<Variant, k + 1>(object, function, name, want);
        } else {
            const std::string type = py::hasattr(object, "dtype") ? std::string(py::str(object.attr("dtype")))
                                                                  : std::string(py::str(py::type::of(object)));
            throw py::type_error(function + ": " + name + " must be a " + want + " array; got " + type +
                                 ". Convert it, for example with numpy.ascontiguousarray.");
        }
    }

    template <class I, class T>
    void take(const std::string& function, const Array<std::int64_t>& indptr, const Array<I>& indices,
              const Array<T>& data, std::int64_t d) {
        check_indptr(function, name_, indptr.data(), indptr.size(), std::min<int64_t>(indices.size(), data.size()));
        view_ = CsrView<T, I>{indptr.data(), indices.data(), data.data(), indptr.size() - 1, d};
    }

    py::object keep_;
    std::string name_;
    AnyView view_;
};

/// A numpy array that owns a copy of v.
template <class T>
py::array_t<T> to_array(const std::vector<T>& v) {
    return py::array_t<T>(static_cast<py::ssize_t>(v.size()), v.data());
}

/// weights [n] or None.
struct Weights {
    std::optional<Array<double>> array;
    const double* data() const { return array ? array->data() : nullptr; }
};

inline Metric parse_metric(const std::string& function, const std::string& metric) {
    if (metric == "cosine") return Metric::kCosine;
    if (metric == "euclidean") return Metric::kEuclidean;
    fail(function, "metric must be 'cosine' or 'euclidean'", "'" + metric + "'", "Pass one of them.");
}

}  // namespace latom
