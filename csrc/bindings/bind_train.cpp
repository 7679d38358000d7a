// bind_train.cpp: the steps that train autoencoders, for Python. Codes come as (indptr, indices, values).
#include <pybind11/stl.h>

#include "bindings/rows.h"
#include "latom/train.h"

namespace latom {
namespace {

using namespace pybind11::literals;

template <class T>
using CodeArrays = std::tuple<Array<std::int64_t>, Array<std::int32_t>, Array<T>>;

template <class T>
Codes<T, int32_t> codes_of(const Context& ctx, const CodeArrays<T>& arrays, std::int64_t n, std::int64_t m) {
    const auto& [indptr, indices, values] = arrays;
    const std::int64_t stored = std::min(indices.size(), values.size());
    check_indptr(ctx, "codes", indptr.data(), indptr.size(), stored, n);
    check_indices(ctx, "codes", indices.data(), indptr.data()[n], m);
    return {indptr.data(), indices.data(), values.data(), n};
}

template <class T>
void check_slopes(const Context& ctx, const Codes<T, int32_t>& codes, const Array<T>& slope) {
    check_shape(ctx, "slope", slope, {static_cast<py::ssize_t>(codes.indptr[codes.n])});
}

template <class T>
py::array_t<T> py_products_at(const Call& call, const CodeArrays<T>& arrays, const Array<T>& rows, const Array<T>& W) {
    const Context ctx = call.context();
    const DenseView<T> atoms = view_of(ctx, W, "W"), x = view_of(ctx, rows, "rows");
    const Codes<T, int32_t> codes = codes_of(ctx, arrays, x.n, atoms.n);
    check_shape(ctx, "rows", rows, {static_cast<py::ssize_t>(x.n), static_cast<py::ssize_t>(atoms.d)});
    py::array_t<T> out(codes.indptr[codes.n]);
    T* products = out.mutable_data();
    {
        const Released released;
        products_at(ctx, codes, x.data, atoms, 1.0, products);
    }
    return out;
}

/// Writes residual [n, d]; returns (slopes [nnz], squared lengths [n]).
template <class T>
py::tuple py_reconstruct(const Call& call, const CodeArrays<T>& arrays, const Array<T>& X, const Array<T>& W_dec,
                         const std::optional<Array<T>>& bias, double scale, Array<T> residual) {
    const Context ctx = call.context();
    const DenseView<T> target = view_of(ctx, X, "X"), atoms = view_of(ctx, W_dec, "W_dec");
    const auto n = static_cast<py::ssize_t>(target.n), d = static_cast<py::ssize_t>(atoms.d);
    check_shape(ctx, "X", X, {n, d});
    check_shape(ctx, "residual", residual, {n, d});
    if (bias) check_shape(ctx, "bias", *bias, {d});
    const Codes<T, int32_t> codes = codes_of(ctx, arrays, n, atoms.n);
    py::array_t<T> slope(codes.indptr[codes.n]);
    py::array_t<double> squared(n);
    T *r = residual.mutable_data(), *s = slope.mutable_data();
    double* q = squared.mutable_data();
    {
        const Released released;
        reconstruct(ctx, codes, target.data, atoms, bias ? bias->data() : nullptr, scale, r, s, q);
    }
    return py::make_tuple(slope, squared);
}

template <class T>
py::array_t<T> py_gather_by_latent(const Call& call, const CodeArrays<T>& arrays, const Array<T>& rows,
                                   std::int64_t m) {
    const Context ctx = call.context();
    const DenseView<T> x = view_of(ctx, rows, "rows");
    const Codes<T, int32_t> codes = codes_of(ctx, arrays, x.n, m);
    py::array_t<T> out({m, x.d});
    T* sums = out.mutable_data();
    {
        const Released released;
        gather_by_latent(ctx, codes, x, m, sums);
    }
    return out;
}

template <class T>
double py_contrast(const Call& call, const CodeArrays<T>& arrays, const std::optional<Array<std::int32_t>>& labels,
                   std::int64_t m, double temperature, double weight, Array<T> slope) {
    const Context ctx = call.context();
    const std::int64_t n = std::get<0>(arrays).size() - 1;
    const Codes<T, int32_t> codes = codes_of(ctx, arrays, n, m);
    check_slopes(ctx, codes, slope);
    if (labels) check_shape(ctx, "labels", *labels, {static_cast<py::ssize_t>(n)});
    const std::int32_t* label = labels ? labels->data() : nullptr;
    T* s = slope.mutable_data();
    const Released released;
    return contrast(ctx, codes, label, m, temperature, weight, s);
}

/// Value and both moments, of one shape.
template <class T>
using ParameterArrays = std::tuple<Array<T>, Array<T>, Array<T>>;

template <class T>
Parameter<T> parameter_of(const Context& ctx, const std::string& name, std::optional<ParameterArrays<T>>& arrays,
                          const std::vector<py::ssize_t>& shape) {
    if (!arrays) return {};
    auto& [value, first, second] = *arrays;
    for (const auto* part : {&value, &first, &second}) check_shape(ctx, name, *part, shape);
    return {value.mutable_data(), first.mutable_data(), second.mutable_data()};
}

/// A code of the batch: (codes, slope [nnz], residual [n, d], scale).
template <class T>
using PartArrays = std::tuple<CodeArrays<T>, Array<T>, Array<T>, double>;

template <class T>
py::array_t<double> py_train_latents(const Call& call, const std::vector<py::tuple>& parts, const Array<T>& X,
                                     std::optional<ParameterArrays<T>> encoder,
                                     std::optional<ParameterArrays<T>> decoder, std::optional<ParameterArrays<T>> bias,
                                     Array<std::int64_t> last, double rate, double beta1, double beta2, double epsilon,
                                     std::int64_t step, bool lazy, bool unit_norm) {
    Context ctx = call.context();
    ctx.check_interrupt = nullptr;  // a step is short, and half of one would be no state to go on from
    const DenseView<T> rows = view_of(ctx, X, "X");
    const py::ssize_t n = rows.n, m = last.size(), d = rows.d;
    if (!encoder) fail(ctx, "encoder must be given", "None", "Pass the encoder's weights and moments.");
    Latents<T> latents;
    latents.m = m;
    latents.d = d;
    latents.encoder = parameter_of<T>(ctx, "encoder", encoder, {m, d});
    latents.decoder = parameter_of<T>(ctx, "decoder", decoder, {m, d});
    latents.bias = parameter_of<T>(ctx, "bias", bias, {m});
    latents.last = last.mutable_data();
    std::vector<CodeGradient<T>> gradients;
    std::vector<PartArrays<T>> arrays_of;
    try {
        for (const py::tuple& part : parts) arrays_of.push_back(py::cast<PartArrays<T>>(part));
    } catch (const py::cast_error&) {
        throw py::type_error(ctx.function +
                             ": parts must be of codes, slopes, residuals and a number, in the type of "
                             "X; got others. Pass what reconstruct gives.");
    }
    for (const auto& [arrays, slope, residual, scale] : arrays_of) {
        const Codes<T, int32_t> codes = codes_of(ctx, arrays, n, m);
        check_slopes(ctx, codes, slope);
        check_shape(ctx, "residual", residual, {n, d});
        gradients.push_back({codes, slope.data(), residual.data(), scale});
    }
    py::array_t<double> out(d);
    double* gradient = out.mutable_data();
    {
        const Released released;
        train_latents<T>(ctx, gradients, rows, latents, {rate, beta1, beta2, epsilon, step, lazy, unit_norm}, gradient);
    }
    return out;
}

template <class T>
void define_training(py::module_& module) {
    module.def("products_at", &py_products_at<T>, "context"_a, "codes"_a.noconvert(), "rows"_a.noconvert(),
               "W"_a.noconvert());
    module.def("reconstruct", &py_reconstruct<T>, "context"_a, "codes"_a.noconvert(), "X"_a.noconvert(),
               "W_dec"_a.noconvert(), "bias"_a.noconvert(), "scale"_a, "residual"_a.noconvert());
    module.def("gather_by_latent", &py_gather_by_latent<T>, "context"_a, "codes"_a.noconvert(), "rows"_a.noconvert(),
               "m"_a);
    module.def("contrast", &py_contrast<T>, "context"_a, "codes"_a.noconvert(), "labels"_a.noconvert(), "m"_a,
               "temperature"_a, "weight"_a, "slope"_a.noconvert());
    module.def("train_latents", &py_train_latents<T>, "context"_a, "parts"_a.noconvert(), "X"_a.noconvert(),
               "encoder"_a.noconvert(), "decoder"_a.noconvert(), "bias"_a.noconvert(), "last"_a.noconvert(), "rate"_a,
               "beta1"_a, "beta2"_a, "epsilon"_a, "step"_a, "lazy"_a, "unit_norm"_a);
}

}  // namespace

void register_train(py::module_& module) {
    define_training<float>(module);
    define_training<double>(module);
}

}  // namespace latom
