// bind_kernels.cpp: kernels one by one, for tests and benchmarks of the kernels themselves.
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "core/philox.h"

namespace latom {
namespace {

using namespace pybind11::literals;

template <class T, class I>
double sparse_dot(const Array<T>& x, const Array<I>& column, const Array<T>& y) {
    for (py::ssize_t p = 0; p < column.size(); ++p)
        if (column.at(p) < 0 || column.at(p) >= y.size()) throw py::index_error("sparse_dot: column out of range");
    return detail::sparse_dot(active_kernels(), T{}, I{})(x.data(), column.data(), std::min(x.size(), column.size()),
                                                          y.data());
}

template <class T>
double dense_dot(const Array<T>& x, const Array<T>& y) {
    return detail::dense_dot(active_kernels(), T{})(x.data(), y.data(), std::min(x.size(), y.size()));
}

py::tuple quantise_row(const Array<float>& a, bool round_up, int drop) {
    if (a.size() % 16) throw py::value_error("quantise_row: a must be padded to a multiple of 16");
    py::array_t<std::int8_t> p(a.size());
    const RowError e = active_kernels()->quantise_row(a.data(), a.size(), round_up, drop, p.mutable_data());
    return py::make_tuple(p, e.step, e.abs_sum, e.rest, e.dropped);
}

py::array accumulate(const Array<std::int32_t>& acc, const Array<std::int8_t>& slab, const Array<std::int32_t>& line,
                     const Array<std::uint8_t>& p) {
    if (slab.ndim() != 2 || acc.size() > slab.shape(1) || acc.size() % 64 || p.size() % 4 || line.size() != p.size())
        throw py::value_error("accumulate: acc must be a multiple of 64 within a row of slab, p a multiple of 4");
    for (py::ssize_t t = 0; t < line.size(); ++t)
        if (line.at(t) < 0 || line.at(t) >= slab.shape(0)) throw py::index_error("accumulate: line out of range");
    py::array_t<std::int32_t> out(acc.size(), acc.data());
    active_kernels()->accumulate(out.mutable_data(), slab.data(), slab.shape(1), line.data(), p.data(), p.size(),
                                 out.size());
    return out;
}

py::array accumulate_group(const Array<std::int32_t>& acc, const Array<std::int8_t>& values,
                           const Array<std::int32_t>& line, int line_shift, const Array<std::uint8_t>& p) {
    if (values.ndim() != 2 || values.shape(1) != 8 || acc.size() != 8 || p.size() % 4 || line.size() != p.size())
        throw py::value_error("accumulate_group: acc must have 8 numbers, values 8 columns, p a multiple of 4");
    for (py::ssize_t t = 0; t < line.size(); ++t)
        if (line.at(t) < 0 || line.at(t) >> line_shift >= values.shape(0))
            throw py::index_error("accumulate_group: line out of range");
    py::array_t<std::int32_t> out(8, acc.data());
    active_kernels()->accumulate_group(out.mutable_data(), values.data(), line.data(), line_shift, p.data(), p.size());
    return out;
}

py::tuple block_max(const Array<std::int32_t>& acc, float step, float shift, float least,
                    const std::optional<Array<float>>& scale, const std::optional<Array<float>>& bias,
                    float bias_scale) {
    if (scale.has_value() != bias.has_value() || (scale && (scale->size() < acc.size() || bias->size() < acc.size())))
        throw py::value_error("block_max: scale and bias must both be None or as long as acc");
    py::array_t<float> block((acc.size() + 63) / 64);
    const float best = active_kernels()->block_max(acc.data(), acc.size(), step, shift, least, scale ? scale->data() : nullptr,
                                                   bias ? bias->data() : nullptr, bias_scale, block.mutable_data());
    return py::make_tuple(best, block);
}

template <class T, class I>
py::array gather_add(const Array<I>& index, const Array<T>& value, const Array<T>& W, py::ssize_t first,
                     const Array<T>& out) {
    if (W.ndim() != 2 || value.size() > index.size() || first < 0 || first + out.size() > W.shape(1))
        throw py::value_error("gather_add: value must be no longer than index, first + out within the columns of W");
    for (py::ssize_t p = 0; p < index.size(); ++p)
        if (index.at(p) < 0 || index.at(p) >= W.shape(0)) throw py::index_error("gather_add: index out of range");
    py::array_t<T> sum(out.size(), out.data());
    detail::gather_add(active_kernels(), T{}, I{})(index.data(), value.data(), value.size(), index.size(),
                                                   W.data() + first, W.shape(1), sum.size(), sum.mutable_data());
    return sum;
}

template <class T, class I>
void define_gather_add(py::module_& kernels) {
    kernels.def("gather_add", &gather_add<T, I>, "index"_a.noconvert(), "value"_a.noconvert(), "W"_a.noconvert(),
                "first"_a, "out"_a.noconvert());
}

}  // namespace

void register_kernels(py::module_& module) {
    auto kernels = module.def_submodule("kernels", "Single kernels of the variant in use, for tests.");
    kernels.def("dense_dot", &dense_dot<float>, "x"_a.noconvert(), "y"_a.noconvert());
    kernels.def("dense_dot", &dense_dot<double>, "x"_a.noconvert(), "y"_a.noconvert());
    kernels.def("sparse_dot", &sparse_dot<float, std::int32_t>, "x"_a.noconvert(), "column"_a.noconvert(), "y"_a.noconvert());
    kernels.def("sparse_dot", &sparse_dot<float, std::int64_t>, "x"_a.noconvert(), "column"_a.noconvert(), "y"_a.noconvert());
    kernels.def("sparse_dot", &sparse_dot<double, std::int32_t>, "x"_a.noconvert(), "column"_a.noconvert(), "y"_a.noconvert());
    kernels.def("sparse_dot", &sparse_dot<double, std::int64_t>, "x"_a.noconvert(), "column"_a.noconvert(), "y"_a.noconvert());
    kernels.def("quantise_row", &quantise_row, "a"_a.noconvert(), "round_up"_a, "drop"_a);
    kernels.def("accumulate", &accumulate, "acc"_a.noconvert(), "slab"_a.noconvert(), "line"_a.noconvert(), "p"_a.noconvert());
    kernels.def("accumulate_group", &accumulate_group, "acc"_a.noconvert(), "values"_a.noconvert(), "line"_a.noconvert(),
                "line_shift"_a, "p"_a.noconvert());
    kernels.def("block_max", &block_max, "acc"_a.noconvert(), "step"_a, "shift"_a, "least"_a, "scale"_a, "bias"_a, "bias_scale"_a);
    define_gather_add<float, std::int32_t>(kernels);
    define_gather_add<float, std::int64_t>(kernels);
    define_gather_add<double, std::int32_t>(kernels);
    define_gather_add<double, std::int64_t>(kernels);
    kernels.def("philox", [](std::uint64_t seed, std::uint32_t purpose, std::uint64_t counter) {
        return Philox(seed, static_cast<Purpose>(purpose)).words(counter);
    }, "seed"_a, "purpose"_a, "counter"_a);
}

}  // namespace latom
