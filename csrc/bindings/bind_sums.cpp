// bind_sums.cpp: the kernels of sums in integers, one by one, for tests.
#include <pybind11/stl.h>

#include <cmath>

#include "bindings/arrays.h"
#include "core/bin_grid.h"
#include "kernels/table.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// (exponent of the first unit, magic numbers) of the grid for numbers up to this bound.
py::tuple bin_grid(double bound) {
    if (!(bound > 0) || !std::isfinite(bound)) throw py::value_error("bin_grid: bound must be positive and finite");
    const BinGrid grid(bound);
    return py::make_tuple(grid.exponent(), std::vector<double>(grid.magic(), grid.magic() + grid.levels()));
}

void check_levels(const Array<double>& magic, py::ssize_t of_sum) {
    if (magic.ndim() != 1 || (magic.size() != 2 && magic.size() != 3) || of_sum != magic.size())
        throw py::value_error("magic must have 2 or 3 numbers, and sum as many levels");
}

template <class T>
py::array add_binned(const Array<T>& x, const Array<double>& factor, const Array<double>& magic,
                     const Array<std::int64_t>& sum) {
    if (x.ndim() != 2 || sum.ndim() != 2 || factor.size() != x.shape(0) || sum.shape(1) != x.shape(1))
        throw py::value_error("add_binned: x must be [count, d], factor [count] and sum [levels, d]");
    check_levels(magic, sum.shape(0));
    std::vector<const T*> rows;
    rows.reserve(static_cast<std::size_t>(x.shape(0)));
    for (py::ssize_t i = 0; i < x.shape(0); ++i) rows.push_back(x.data() + i * x.shape(1));
    py::array_t<std::int64_t> out({sum.shape(0), sum.shape(1)}, sum.data());
    active_kernels()->of<T>().add_binned(rows.data(), factor.data(), x.shape(0), x.shape(1), magic.data(),
                                         static_cast<int>(magic.size()), out.mutable_data());
    return out;
}

/// (sum, one flag per 8 columns); without flags: the sum and nothing.
template <class T, class I>
py::tuple scatter_binned(const Array<T>& x, const Array<I>& column, double factor, const Array<double>& magic,
                         const Array<std::int64_t>& sum, bool flags) {
    if (sum.ndim() != 2 || x.size() != column.size())
        throw py::value_error("scatter_binned: x must be as long as column, and sum [d, levels]");
    check_levels(magic, sum.shape(1));
    for (py::ssize_t p = 0; p < column.size(); ++p)
        if (column.at(p) < 0 || column.at(p) >= sum.shape(0))
            throw py::index_error("scatter_binned: column out of range");
    py::array_t<std::int64_t> out({sum.shape(0), sum.shape(1)}, sum.data());
    std::string touched(flags ? static_cast<std::size_t>(sum.shape(0) + 7) / 8 : 0, 0);
    active_kernels()->of<T, I>().scatter_binned(x.data(), column.data(), x.size(), factor, magic.data(),
                                                static_cast<int>(magic.size()), out.mutable_data(),
                                                flags ? touched.data() : nullptr);
    return py::make_tuple(out, py::bytes(touched));
}

/// sum [levels, d], or [d, levels] where levels stand side by side.
py::array binned_values(const Array<std::int64_t>& sum, const Array<double>& unit, bool side_by_side) {
    if (sum.ndim() != 2) throw py::value_error("binned_values: sum must have 2 dimensions");
    check_levels(unit, sum.shape(side_by_side ? 1 : 0));
    const py::ssize_t d = sum.shape(side_by_side ? 0 : 1);
    py::array_t<double> out(d);
    active_kernels()->binned_values(sum.data(), d, side_by_side ? 1 : d, unit.data(), static_cast<int>(unit.size()),
                                    out.mutable_data());
    return out;
}

template <class T>
void define_binned(py::module_& kernels) {
    kernels.def("add_binned", &add_binned<T>, "x"_a.noconvert(), "factor"_a.noconvert(), "magic"_a.noconvert(),
                "sum"_a.noconvert());
    kernels.def("scatter_binned", &scatter_binned<T, std::int32_t>, "x"_a.noconvert(), "column"_a.noconvert(),
                "factor"_a, "magic"_a.noconvert(), "sum"_a.noconvert(), "flags"_a);
    kernels.def("scatter_binned", &scatter_binned<T, std::int64_t>, "x"_a.noconvert(), "column"_a.noconvert(),
                "factor"_a, "magic"_a.noconvert(), "sum"_a.noconvert(), "flags"_a);
}

}  // namespace

void register_sums(py::module_& kernels) {
    kernels.def("bin_grid", &bin_grid, "bound"_a);
    kernels.def("binned_values", &binned_values, "sum"_a.noconvert(), "unit"_a.noconvert(), "side_by_side"_a);
    define_binned<float>(kernels);
    define_binned<double>(kernels);
}

}  // namespace latom
