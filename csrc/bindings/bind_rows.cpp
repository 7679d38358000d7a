// bind_rows.cpp: the prepared X, and half precision widened, for Python.
#include <pybind11/stl.h>

#include <limits>

#include "bindings/rows.h"
#include "rows/widen.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// f(array) for the array type that `object` is; a TypeError names what it should have been.
template <class First, class Second, class F>
auto with_either(const Context& ctx, const py::handle& object, const std::string& name, const char* want, F f) {
    if (is_array<First>(object)) return f(py::reinterpret_borrow<First>(object));
    if (is_array<Second>(object)) return f(py::reinterpret_borrow<Second>(object));
    const std::string type = py::hasattr(object, "dtype") ? std::string(py::str(object.attr("dtype")))
                                                          : std::string(py::str(py::type::of(object)));
    throw py::type_error(ctx.function + ": " + name + " must be a " + want + " array; got " + type +
                         ". Convert it, for example with numpy.ascontiguousarray.");
}

Storage parse_storage(const Context& ctx, const std::string& storage) {
    if (storage.empty()) return Storage::kNative;
    if (storage == "float16") return Storage::kFloat16;
    if (storage == "bfloat16") return Storage::kBFloat16;
    fail(ctx, "storage must be '', 'float16' or 'bfloat16'", "'" + storage + "'", "Leave it out for other types.");
}

void check_extents(const Context& ctx, const std::string& name, int64_t n, int64_t d) {
    if (n < 0 || d < 1)
        fail(ctx, name + " must have rows of at least one column",
             "shape (" + std::to_string(n) + ", " + std::to_string(d) + ")", "Leave out what is empty.");
    if (d > std::numeric_limits<int32_t>::max())
        fail(ctx, name + " must have fewer than 2^31 columns", d, "Hash or drop features.");
}

py::array_t<float> py_widen(const Call& call, const Array<std::uint16_t>& half, const std::string& storage) {
    const Context ctx = call.context();
    const Storage stored = parse_storage(ctx, storage);
    py::array_t<float> out(std::vector<py::ssize_t>(half.shape(), half.shape() + half.ndim()));
    float* numbers = out.mutable_data();
    {
        const Released released;
        widen(ctx, half.data(), half.size(), stored, numbers);
    }
    return out;
}

}  // namespace

template <class I, class T>
bool PyRows::take_csr(const Context& ctx, const Array<std::int64_t>& indptr, const Array<I>& indices,
                      const Array<T>& data) {
    check_indptr(ctx, name_, indptr.data(), indptr.size(), std::min<int64_t>(indices.size(), data.size()), n_);
    arrays_ = CsrView<T, I>{indptr.data(), indices.data(), data.data(), n_, d_};
    const Released released;
    if (first_uncanonical_row(ctx, indptr.data(), indices.data(), n_) < n_) return false;
    check_range(ctx, name_, indptr.data(), indices.data(), n_, d_);  // at once: scipy's code trusts what is kept of X
    return true;
}

std::unique_ptr<PyRows> PyRows::prepare(const Call& call, const py::object& X, const std::string& storage,
                                        const std::string& name) {
    const Context ctx = call.context();
    std::unique_ptr<PyRows> out(new PyRows);
    out->keep_ = X;
    out->name_ = name;
    if (py::isinstance<py::tuple>(X)) {
        const auto parts = X.cast<py::tuple>();
        if (parts.size() != 4) throw py::type_error(ctx.function + ": CSR must be (indptr, indices, data, shape)");
        std::tie(out->n_, out->d_) = parts[3].cast<std::pair<int64_t, int64_t>>();
        out->sparse_ = true;
        check_extents(ctx, name, out->n_, out->d_);
        const bool sorted = with_either<Array<std::int64_t>, Array<std::int64_t>>(
            ctx, parts[0], name + ".indptr", "int64", [&](const auto& indptr) {
                return with_either<Array<std::int32_t>, Array<std::int64_t>>(
                    ctx, parts[1], name + ".indices", "int32 or int64", [&](const auto& indices) {
                        return with_either<Array<float>, Array<double>>(
                            ctx, parts[2], name + ".data", "float32 or float64",
                            [&](const auto& data) { return out->take_csr(ctx, indptr, indices, data); });
                    });
            });
        if (!sorted) return nullptr;
        return out;
    }
    const Storage stored = parse_storage(ctx, storage);
    const auto take = [&](const auto& array) {
        using T = typename std::decay_t<decltype(array)>::value_type;
        const DenseView<T> view = view_of(ctx, array, name);
        out->n_ = view.n;
        out->d_ = view.d;
        check_extents(ctx, name, view.n, view.d);
        out->number_bytes_ = sizeof(T);
        out->arrays_ = StoredRows{view.data, view.n, view.d, stored};
        return true;
    };
    if (stored == Storage::kNative)
        with_either<Array<float>, Array<double>>(ctx, X, name, "C-contiguous float32 or float64", take);
    else with_either<Array<std::uint16_t>, Array<std::uint16_t>>(ctx, X, name, "C-contiguous uint16", take);
    return out;
}

std::unique_ptr<PyRows::Measured> PyRows::measure(const Context& ctx) const {
    auto out = std::make_unique<Measured>();
    if (const auto* dense = std::get_if<StoredRows>(&arrays_)) {
        const void* data = dense->data;
        if (dense->storage != Storage::kNative) {
            out->wide.resize(static_cast<std::size_t>(n_ * d_));
            widen(ctx, static_cast<const std::uint16_t*>(data), n_ * d_, dense->storage, out->wide.data());
            data = out->wide.data();
        }
        if (number_bytes_ == 8)
            out->rows = Rows(ctx, DenseView<double>{static_cast<const double*>(data), n_, d_, d_}, name_);
        else out->rows = Rows(ctx, DenseView<float>{static_cast<const float*>(data), n_, d_, d_}, name_);
        return out;
    }
    std::visit(
        [&](const auto& view) {
            if constexpr (!std::is_same_v<std::decay_t<decltype(view)>, StoredRows>)
                out->rows = Rows(ctx, view, name_, true);
        },
        arrays_);
    return out;
}

const AnyRows& PyRows::rows(const Context& ctx) const {
    return part_ ? rows_ : measured_.get(ctx, [&] { return measure(ctx); }).rows;
}

template <class T>
StoredRows PyRows::stored(const Context& ctx) const {
    const auto* dense = std::get_if<StoredRows>(&arrays_);
    if (!dense || part_) throw py::type_error(ctx.function + ": " + name_ + " must be dense, and not a subset");
    const bool half = dense->storage != Storage::kNative;
    if (half ? sizeof(T) != 4 : number_bytes_ != static_cast<int>(sizeof(T)))
        throw py::type_error(ctx.function + ": " + name_ + " must have the dtype of the atoms");
    return *dense;
}
template StoredRows PyRows::stored<float>(const Context&) const;
template StoredRows PyRows::stored<double>(const Context&) const;

template <class T>
const Transposed<T>& PyRows::transposed(const Context& ctx) const {
    const AnyRows& any = rows(ctx);
    return std::get<Once<Transposed<T>>>(transposed_).get(ctx, [&] {
        if (const auto* narrow = std::get_if<Rows<CsrView<T, int32_t>>>(&any))
            return std::make_unique<Transposed<T>>(ctx, *narrow);
        if (const auto* wide = std::get_if<Rows<CsrView<T, int64_t>>>(&any))
            return std::make_unique<Transposed<T>>(ctx, *wide);
        throw std::invalid_argument(ctx.function + ": factors must have the dtype of X, which must be CSR");
    });
}
template const Transposed<float>& PyRows::transposed<float>(const Context&) const;
template const Transposed<double>& PyRows::transposed<double>(const Context&) const;

// py::keep_alive is not for return values: pybind11 3.1 reads that of a call whose arguments did not fit.
std::unique_ptr<PyRows> PyRows::subset(const py::object& whole, const Call& call, const Array<std::int64_t>& chosen) {
    const Context ctx = call.context();
    const auto& of = whole.cast<const PyRows&>();
    check_indices(ctx, "rows", chosen.data(), chosen.size(), of.n_);
    std::unique_ptr<PyRows> out(new PyRows);
    out->keep_ = whole;
    out->name_ = of.name_;
    out->n_ = chosen.size();
    out->d_ = of.d_;
    out->sparse_ = of.sparse_;
    out->number_bytes_ = of.number_bytes_;
    out->part_ = true;
    const std::vector<int64_t> rows(chosen.data(), chosen.data() + chosen.size());
    const Released released;
    of.visit(ctx, [&](const auto& all) { out->rows_ = all.subset(rows); });
    return out;
}

py::array_t<double> PyRows::norm2(const Call& call) const {
    const Context ctx = call.context();
    py::array_t<double> out(n_);
    double* numbers = out.mutable_data();
    const Released released;
    visit(ctx, [&](const auto& rows) {
        for (int64_t i = 0; i < rows.n(); ++i) numbers[i] = rows.norm2(i);
    });
    return out;
}

bool PyRows::non_negative(const Call& call) const {
    const Context ctx = call.context();
    const Released released;
    return visit(ctx, [](const auto& rows) { return rows.non_negative(); });
}

int64_t PyRows::zero_rows(const Call& call) const {
    const Context ctx = call.context();
    const Released released;
    return visit(ctx, [](const auto& rows) { return rows.zero_rows(); });
}

void register_rows(py::module_& module) {
    py::class_<Call>(module, "Context")
        .def(py::init([](std::string function, int n_threads, std::uint64_t seed) {
                 return Call{std::move(function), n_threads, seed};
             }),
             "function"_a, "n_threads"_a = 0, "seed"_a = 0)
        .def_readonly("function", &Call::function)
        .def_readonly("n_threads", &Call::n_threads)
        .def_readonly("seed", &Call::seed);
    py::class_<PyRows>(module, "Rows")
        .def("subset", &PyRows::subset, "context"_a, "chosen"_a.noconvert())
        .def("norm2", &PyRows::norm2, "context"_a)
        .def("non_negative", &PyRows::non_negative, "context"_a)
        .def("zero_rows", &PyRows::zero_rows, "context"_a)
        .def_property_readonly("n", &PyRows::n)
        .def_property_readonly("d", &PyRows::d);
    module.def("prepare", &PyRows::prepare, "context"_a, "X"_a, "storage"_a = "", "name"_a = "X");
    module.def("widen", &py_widen, "context"_a, "half"_a.noconvert(), "storage"_a);
}

}  // namespace latom
