// arrays.h: what bindings share: a call's context, numpy arrays without copies, checks of sizes.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/released.h"
#include "core/message.h"
#include "core/parallel.h"
#include "kernels/dispatch.h"
#include "latom/context.h"
#include "latom/views.h"

namespace latom {

namespace py = pybind11;

inline constexpr int kArrayFlags = int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};
/// C-contiguous, of this very type and aligned for it: what is not so is refused, and never copied.
template <class T>
using Array = py::array_t<T, kArrayFlags>;
template <class A>
bool is_array(const py::handle& object) {
    return py::isinstance<A>(object) && py::detail::check_flags(object.ptr(), kArrayFlags);
}
using OptionalWeights = std::optional<Array<double>>;

/// The variant that LATOM_ISA named at import, or the one that a test put in force.
const KernelTable* active_kernels();
void set_active_kernels(const KernelTable* table);

/// What Python tells every call: the function that messages name, threads (0: the environment's choice) and the seed.
struct Call {
    std::string function;
    int n_threads = 0;
    std::uint64_t seed = 0;

    Context context() const {
        Context ctx;
        ctx.n_threads = resolve_threads(n_threads);
        ctx.kernels = active_kernels();
        ctx.function = function;
        ctx.seed = seed;
        ctx.check_interrupt = [] {
            const Retaken lock;
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        };
        return ctx;
    }
};

/// A numpy array that owns a copy of v.
template <class T>
py::array_t<T> to_array(const std::vector<T>& v) {
    return py::array_t<T>(static_cast<py::ssize_t>(v.size()), v.data());
}

/// A numpy array that takes v over.
template <class T>
py::array_t<T> to_array(std::vector<T>&& v) {
    auto own = std::make_unique<std::vector<T>>(std::move(v));
    const py::capsule keep(own.get(), [](void* p) { delete static_cast<std::vector<T>*>(p); });
    const std::vector<T>* kept = own.release();
    return py::array_t<T>(static_cast<py::ssize_t>(kept->size()), kept->data(), keep);
}

/// What a message says of the shape of an array.
inline std::string shape_of(const py::array& array) {
    std::string text = "(";
    for (py::ssize_t a = 0; a < array.ndim(); ++a) text += (a ? ", " : "") + std::to_string(array.shape(a));
    return text + (array.ndim() == 1 ? ",)" : ")");
}

inline void check_shape(const Context& ctx, const std::string& name, const py::array& array,
                        const std::vector<py::ssize_t>& want) {
    bool fits = array.ndim() == static_cast<py::ssize_t>(want.size());
    for (std::size_t a = 0; fits && a < want.size(); ++a) fits = array.shape(static_cast<py::ssize_t>(a)) == want[a];
    if (fits) return;
    std::string text = "(";
    for (std::size_t a = 0; a < want.size(); ++a) text += (a ? ", " : "") + std::to_string(want[a]);
    fail(ctx, name + " must have shape " + text + (want.size() == 1 ? ",)" : ")"), shape_of(array),
         "Pass an array of that shape.");
}

template <class T>
DenseView<T> view_of(const Context& ctx, const Array<T>& array, const std::string& name) {
    if (array.ndim() != 2)
        fail(ctx, name + " must have two dimensions", "shape " + shape_of(array), "Reshape it to rows and columns.");
    if (array.shape(1) < 1)
        fail(ctx, name + " must have at least one column", "shape " + shape_of(array), "Leave out what is empty.");
    return {array.data(), array.shape(0), array.shape(1), array.shape(1)};
}

/// weights [n], or null for None.
inline const double* weights_of(const Context& ctx, const OptionalWeights& weights, std::int64_t n) {
    if (!weights) return nullptr;
    check_shape(ctx, "sample_weight", *weights, {static_cast<py::ssize_t>(n)});
    return weights->data();
}

/// Throws unless indices [count] lie in [0, limit).
template <class I>
void check_indices(const Context& ctx, const std::string& name, const I* indices, std::int64_t count,
                   std::int64_t limit) {
    for (std::int64_t p = 0; p < count; ++p)
        if (indices[p] < 0 || static_cast<std::int64_t>(indices[p]) >= limit)
            fail(ctx, name + " must have indices in [0, " + std::to_string(limit) + ")", indices[p],
                 "Rebuild it for these shapes.");
}

inline Metric parse_metric(const Context& ctx, const std::string& metric) {
    if (metric == "cosine") return Metric::kCosine;
    if (metric == "euclidean") return Metric::kEuclidean;
    fail(ctx, "metric must be 'cosine' or 'euclidean'", "'" + metric + "'",
         "Use 'cosine' for directions, 'euclidean' for distances.");
}

}  // namespace latom

template <class T>
struct pybind11::detail::pyobject_caster<latom::Array<T>> {
    bool load(handle object, bool) {
        if (!latom::is_array<latom::Array<T>>(object)) return false;
        value = reinterpret_borrow<latom::Array<T>>(object);
        return true;
    }
    static handle cast(const handle& object, return_value_policy, handle) { return object.inc_ref(); }
    PYBIND11_TYPE_CASTER(latom::Array<T>, handle_type_name<latom::Array<T>>::name);
};
