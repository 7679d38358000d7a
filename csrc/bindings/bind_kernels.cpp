// bind_kernels.cpp: kernels one by one, for tests and benchmarks of the kernels themselves.
#include <pybind11/stl.h>

#include "algorithms/product_select.h"
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
    const float best =
        active_kernels()->block_max(acc.data(), acc.size(), step, shift, least, scale ? scale->data() : nullptr,
                                    bias ? bias->data() : nullptr, bias_scale, block.mutable_data());
    return py::make_tuple(best, block);
}

template <class T>
py::array dense_dots(const Array<T>& x, const Array<T>& y) {
    if (x.ndim() != 2 || y.ndim() != 2 || x.shape(0) != y.shape(0) || x.shape(1) != y.shape(1))
        throw py::value_error("dense_dots: x and y must be matrices of one shape");
    std::vector<const T*> left, right;
    for (py::ssize_t i = 0; i < x.shape(0); ++i) {
        left.push_back(x.data() + i * x.shape(1));
        right.push_back(y.data() + i * y.shape(1));
    }
    py::array_t<double> out(x.shape(0));
    detail::dense_dots(active_kernels(), T{})(left.data(), right.data(), x.shape(0), x.shape(1), out.mutable_data());
    return out;
}

template <class T>
py::tuple round_row(const Array<T>& x, double scale, const std::string& to) {
    const KernelTable* k = active_kernels();
    constexpr bool wide = sizeof(T) == 8;
    const auto rounded = [&]<class Out>(double (*f64)(const double*, std::int64_t, double, Out*, double*),
                                        double (*f32)(const float*, std::int64_t, double, Out*, double*)) {
        py::array_t<Out> out(x.size());
        double left, length2;
        if constexpr (wide) left = f64(x.data(), x.size(), scale, out.mutable_data(), &length2);
        else left = f32(x.data(), x.size(), scale, out.mutable_data(), &length2);
        return py::make_tuple(out, left, length2);
    };
    if (to == "float32") return rounded(k->round_f64_f32, k->round_f32_f32);
    if (to == "int16") return rounded(k->round_f64_i16, k->round_f32_i16);
    if (to == "bfloat16") return rounded(k->round_f64_bf16, k->round_f32_bf16);
    if (to == "int8") return rounded(k->round_f64_i8, k->round_f32_i8);
    throw py::value_error("round_row: to must be 'float32', 'int16', 'bfloat16' or 'int8'");
}

template <class T>
double largest_magnitude(const Array<T>& x) {
    if constexpr (sizeof(T) == 8) return active_kernels()->largest_f64(x.data(), x.size());
    else return active_kernels()->largest_f32(x.data(), x.size());
}

py::array interleave(const Array<std::uint32_t>& rows, std::int64_t cells) {
    if (rows.ndim() != 2 || rows.shape(0) % 2 || cells < 0 || (cells + 3) / 4 * 4 > rows.shape(1))
        throw py::value_error(
            "interleave: rows must be an even number, as long as cells rounded up to a multiple of 4");
    py::array_t<std::uint32_t> out({static_cast<py::ssize_t>(cells), rows.shape(0)});
    active_kernels()->interleave(rows.data(), rows.shape(0), rows.shape(1), cells, out.mutable_data());
    return out;
}

template <void (*KernelTable::*widen)(const std::uint16_t*, std::int64_t, float*)>
py::array widened(const Array<std::uint16_t>& x) {
    py::array_t<float> out(x.size());
    (active_kernels()->*widen)(x.data(), x.size(), out.mutable_data());
    return out;
}

/// v up to the next multiple of 16, followed by what a kernel must not use.
template <class T>
std::vector<T> padded(const Array<T>& v, T rest) {
    std::vector<T> out(v.data(), v.data() + v.size());
    out.resize(static_cast<std::size_t>((v.size() + 15) / 16 * 16), rest);
    return out;
}

float raise_bar(const Array<float>& v, std::int64_t k, float low, int halvings) {
    if (k < 1 || halvings < 0) throw py::value_error("raise_bar: k must be positive and halvings not negative");
    return active_kernels()->raise_bar(padded(v, HUGE_VALF).data(), v.size(), k, low, halvings);
}

py::tuple drop_below(float bar, const Array<float>& lower, const Array<float>& upper,
                     const Array<std::int32_t>& position) {
    if (lower.size() != upper.size() || lower.size() != position.size())
        throw py::value_error("drop_below: lower, upper and position must be of one size");
    auto l = padded(lower, HUGE_VALF), u = padded(upper, HUGE_VALF);
    auto p = padded<std::int32_t>(position, -1);
    const std::int64_t kept = active_kernels()->drop_below(bar, upper.size(), l.data(), u.data(), p.data());
    l.resize(static_cast<std::size_t>(kept));
    u.resize(static_cast<std::size_t>(kept));
    p.resize(static_cast<std::size_t>(kept));
    return py::make_tuple(to_array(l), to_array(u), to_array(p));
}

py::tuple tile_shape() {
    const KernelTable* k = active_kernels();
    std::vector<std::string> screens{"float32"};
    if (k->screen_i16) screens.push_back("int16");
    if (k->screen_bf16) screens.push_back("bfloat16");
    if (k->screen_i8) screens.push_back("int8");
    return py::make_tuple(k->tile_rows, k->panel_atoms, screens);
}

/// Cells of 4 bytes: a float32, a pair of int16 or bfloat16, or four int8, which want a line more of the panel.
py::tuple screen_tile(const std::string& name, const Array<std::uint32_t>& tile, const Array<std::uint32_t>& panel,
                      const Array<float>& factor, const Array<float>& bias, const Array<float>& limit,
                      const Array<float>& row_bias, bool magnitude) {
    const KernelTable* k = active_kernels();
    ScreenTile* const screen = screen_kernel(k, parse_screen(k, name, "screen_tile"));
    const int start = screen == k->screen_i8;
    if (tile.ndim() != 2 || panel.ndim() != 2 || tile.shape(0) + start != panel.shape(0) ||
        tile.shape(1) != k->tile_rows || panel.shape(1) != k->panel_atoms)
        throw py::value_error("screen_tile: tile must be [cells, tile_rows] and panel [cells, panel_atoms]");
    if (factor.size() != k->panel_atoms || bias.size() != k->panel_atoms || limit.size() != k->tile_rows ||
        row_bias.size() != k->tile_rows)
        throw py::value_error("screen_tile: factor and bias must be [panel_atoms], limit and row_bias [tile_rows]");
    py::array_t<float> score({k->tile_rows, k->panel_atoms});
    std::fill_n(score.mutable_data(), score.size(), NAN);
    py::array_t<std::uint32_t> hit(k->tile_rows);
    const std::uint32_t any =
        screen(tile.data(), panel.data(), tile.shape(0), {factor.data(), bias.data(), panel.data()},
               {limit.data(), row_bias.data(), magnitude}, score.mutable_data(), hit.mutable_data());
    return py::make_tuple(any, hit, score);
}

/// The screen's inner loop alone, `times` on a tile and a panel that stay in the first cache: how fast it could be.
void repeat_screen(const std::string& name, std::int64_t cells, std::int64_t times, int n_threads) {
    const Context ctx = make_context(n_threads);
    ScreenTile* const screen = screen_kernel(ctx.kernels, parse_screen(ctx.kernels, name, "repeat_screen"));
    if (cells < 1 || times < 0) throw py::value_error("repeat_screen: cells must be positive and times not negative");
    py::gil_scoped_release release;
    parallel_for(ctx, ctx.n_threads, [&](std::int64_t c, int) {
        const AlignedVector<std::uint32_t> tile(static_cast<std::size_t>(cells * ctx.kernels->tile_rows), 0);
        const AlignedVector<std::uint32_t> panel(static_cast<std::size_t>((cells + 1) * ctx.kernels->panel_atoms), 0);
        const std::vector<float> zero(64, 0.0f), never(16, HUGE_VALF);
        float score[16 * 32];
        std::uint32_t hit[16];
        for (std::int64_t t = c; t < times; t += ctx.n_threads)
            screen(tile.data(), panel.data(), cells, {zero.data(), zero.data(), panel.data()},
                   {never.data(), zero.data(), false}, score, hit);
    });
}

/// What product_select claims of every pair: bounds on factor <x, w> + bias [n, m] in screen units, and those units
/// [n].
template <class T>
py::tuple score_bounds(const Array<T>& X, const Array<T>& atoms, const std::vector<double>& factor,
                       const std::vector<double>& bias, const std::string& screen, bool magnitude) {
    if (X.ndim() != 2 || atoms.ndim() != 2 || X.shape(1) != atoms.shape(1) || X.shape(1) < 1 || atoms.shape(0) < 1)
        throw py::value_error("score_bounds: X and atoms must be matrices of as many columns");
    const py::ssize_t n = X.shape(0), m = atoms.shape(0);
    for (const auto* v : {&factor, &bias})
        if (!v->empty() && static_cast<py::ssize_t>(v->size()) != m)
            throw py::value_error("score_bounds: factor and bias must be empty or have one number an atom");
    const Context ctx = make_context(1);
    const auto norms = [&](const Array<T>& rows) {
        std::vector<double> norm2;
        for (py::ssize_t i = 0; i < rows.shape(0); ++i) {
            const T* row = rows.data() + i * rows.shape(1);
            norm2.push_back(detail::dense_dot(ctx.kernels, T{})(row, row, rows.shape(1)));
        }
        return norm2;
    };
    const std::vector<double> x_norm2 = norms(X), norm2 = norms(atoms);
    const auto pointers = [](const Array<T>& matrix) {
        std::vector<const T*> rows;
        for (py::ssize_t i = 0; i < matrix.shape(0); ++i) rows.push_back(matrix.data() + i * matrix.shape(1));
        return rows;
    };
    const std::vector<const T*> rows = pointers(X);
    const AtomPanels<T> panels(ctx, pointers(atoms), atoms.shape(1), norm2, factor, bias, {},
                               parse_screen(ctx.kernels, screen, "score_bounds"));
    RowBlock<T> block;
    block.load(panels, rows.data(), x_norm2.data(), n, {m, magnitude});  // k = m: nothing is discarded
    block.scan(panels, 0, panels.panels());
    py::array_t<float> lower({n, m}), upper({n, m});
    std::fill_n(lower.mutable_data(), lower.size(), NAN);
    std::fill_n(upper.mutable_data(), upper.size(), NAN);
    std::vector<double> units;
    for (py::ssize_t r = 0; r < n; ++r) {
        for (std::int64_t c = 0; c < block.candidates(r); ++c) {
            lower.mutable_at(r, block.position(r)[c]) = block.lower(r)[c];
            upper.mutable_at(r, block.position(r)[c]) = block.upper(r)[c];
        }
        units.push_back(block.to_screen(r));
    }
    return py::make_tuple(lower, upper, to_array(units));
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
    kernels.def("sparse_dot", &sparse_dot<float, std::int32_t>, "x"_a.noconvert(), "column"_a.noconvert(),
                "y"_a.noconvert());
    kernels.def("sparse_dot", &sparse_dot<float, std::int64_t>, "x"_a.noconvert(), "column"_a.noconvert(),
                "y"_a.noconvert());
    kernels.def("sparse_dot", &sparse_dot<double, std::int32_t>, "x"_a.noconvert(), "column"_a.noconvert(),
                "y"_a.noconvert());
    kernels.def("sparse_dot", &sparse_dot<double, std::int64_t>, "x"_a.noconvert(), "column"_a.noconvert(),
                "y"_a.noconvert());
    kernels.def("quantise_row", &quantise_row, "a"_a.noconvert(), "round_up"_a, "drop"_a);
    kernels.def("accumulate", &accumulate, "acc"_a.noconvert(), "slab"_a.noconvert(), "line"_a.noconvert(),
                "p"_a.noconvert());
    kernels.def("accumulate_group", &accumulate_group, "acc"_a.noconvert(), "values"_a.noconvert(),
                "line"_a.noconvert(), "line_shift"_a, "p"_a.noconvert());
    kernels.def("block_max", &block_max, "acc"_a.noconvert(), "step"_a, "shift"_a, "least"_a, "scale"_a, "bias"_a,
                "bias_scale"_a);
    kernels.def("dense_dots", &dense_dots<float>, "x"_a.noconvert(), "y"_a.noconvert());
    kernels.def("dense_dots", &dense_dots<double>, "x"_a.noconvert(), "y"_a.noconvert());
    kernels.def("largest_magnitude", &largest_magnitude<float>, "x"_a.noconvert());
    kernels.def("largest_magnitude", &largest_magnitude<double>, "x"_a.noconvert());
    kernels.def("round_row", &round_row<float>, "x"_a.noconvert(), "scale"_a, "to"_a);
    kernels.def("round_row", &round_row<double>, "x"_a.noconvert(), "scale"_a, "to"_a);
    kernels.def("interleave", &interleave, "rows"_a.noconvert(), "cells"_a);
    kernels.def("widen_f16", &widened<&KernelTable::widen_f16>, "x"_a.noconvert());
    kernels.def("widen_bf16", &widened<&KernelTable::widen_bf16>, "x"_a.noconvert());
    kernels.def("raise_bar", &raise_bar, "v"_a.noconvert(), "k"_a, "low"_a, "halvings"_a);
    kernels.def("drop_below", &drop_below, "bar"_a, "lower"_a.noconvert(), "upper"_a.noconvert(),
                "position"_a.noconvert());
    kernels.def("repeat_screen", &repeat_screen, "screen"_a, "cells"_a, "times"_a, "n_threads"_a = 0);
    kernels.def("tile_shape", &tile_shape);
    kernels.def("screen_tile", &screen_tile, "screen"_a, "tile"_a.noconvert(), "panel"_a.noconvert(),
                "factor"_a.noconvert(), "bias"_a.noconvert(), "limit"_a.noconvert(), "row_bias"_a.noconvert(),
                "magnitude"_a);
    kernels.def("score_bounds", &score_bounds<float>, "X"_a.noconvert(), "atoms"_a.noconvert(), "factor"_a, "bias"_a,
                "screen"_a, "magnitude"_a);
    kernels.def("score_bounds", &score_bounds<double>, "X"_a.noconvert(), "atoms"_a.noconvert(), "factor"_a, "bias"_a,
                "screen"_a, "magnitude"_a);
    define_gather_add<float, std::int32_t>(kernels);
    define_gather_add<float, std::int64_t>(kernels);
    define_gather_add<double, std::int32_t>(kernels);
    define_gather_add<double, std::int64_t>(kernels);
    kernels.def(
        "philox",
        [](std::uint64_t seed, std::uint32_t purpose, std::uint64_t counter) {
            return Philox(seed, static_cast<Purpose>(purpose)).words(counter);
        },
        "seed"_a, "purpose"_a, "counter"_a);
}

}  // namespace latom
