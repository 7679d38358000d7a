// bind_kernels.cpp: kernels one by one, for tests and benchmarks of the kernels themselves.
#include <pybind11/stl.h>

#include <cmath>
#include <numeric>

#include "bindings/arrays.h"
#include "core/philox.h"
#include "kernels/table.h"

namespace latom {
namespace {

using namespace pybind11::literals;

template <class T, class I>
double sparse_dot(const Array<T>& x, const Array<I>& column, const Array<T>& y) {
    for (py::ssize_t p = 0; p < column.size(); ++p)
        if (column.at(p) < 0 || column.at(p) >= y.size()) throw py::index_error("sparse_dot: column out of range");
    return active_kernels()->of<T, I>().sparse_dot(x.data(), column.data(), std::min(x.size(), column.size()),
                                                   y.data());
}

template <class T>
double dense_dot(const Array<T>& x, const Array<T>& y) {
    return active_kernels()->of<T>().dense_dot(x.data(), y.data(), std::min(x.size(), y.size()));
}

py::tuple quantize_row(const Array<float>& a, bool round_up, int drop) {
    if (a.size() % 16) throw py::value_error("quantize_row: a must be padded to a multiple of 16");
    py::array_t<std::int8_t> p(a.size());
    const RowError e = active_kernels()->quantize_row(a.data(), a.size(), round_up, drop, p.mutable_data());
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
    if (values.ndim() != 2 || values.shape(1) != 8 || acc.size() != 8 || p.size() % 4 || line.size() != p.size() ||
        line_shift < 0 || line_shift > 31)
        throw py::value_error("accumulate_group: acc must have 8 numbers, values 8 columns, p a multiple of 4");
    for (py::ssize_t t = 0; t < line.size(); ++t)
        if (line.at(t) < 0 || line.at(t) >> line_shift >= values.shape(0))
            throw py::index_error("accumulate_group: line out of range");
    py::array_t<std::int32_t> out(8, acc.data());
    active_kernels()->accumulate_group(out.mutable_data(), values.data(), line.data(), line_shift, p.data(), p.size());
    return out;
}

// Positions that pass, and what is left of acc. p: two bytes per pair of lines.
py::tuple sift(const Array<std::int16_t>& acc, const Array<std::uint8_t>& slab, const Array<std::int32_t>& line,
               const Array<std::uint8_t>& p, std::int16_t cut) {
    if (slab.ndim() != 2 || acc.size() > slab.shape(1) || acc.size() % 64 || p.size() % 2 || line.size() != p.size())
        throw py::value_error("sift: acc must be a multiple of 64 within a row of slab, p a multiple of 2");
    std::vector<std::int32_t> at, passed(acc.size());
    std::vector<std::uint32_t> weights(p.size() / 2);
    for (py::ssize_t t = 0; t < line.size(); ++t) {
        if (line.at(t) < 0 || line.at(t) >= slab.shape(0)) throw py::index_error("sift: line out of range");
        at.push_back(static_cast<std::int32_t>(line.at(t) * slab.shape(1)));
        weights[t / 2] |= p.at(t) * (t % 2 ? 0x1000100U : 0x10001U);
    }
    py::array_t<std::int16_t> left(acc.size(), acc.data());
    const auto count = active_kernels()->sift(left.mutable_data(), slab.data(), at.data(), weights.data(), p.size() / 2,
                                              acc.size(), cut, passed.data());
    return py::make_tuple(py::array_t<std::int32_t>(count, passed.data()), left);
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
    active_kernels()->of<T>().dense_dots(left.data(), right.data(), x.shape(0), x.shape(1), out.mutable_data());
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
    if (to == "float32") return rounded(k->f64.round_f32, k->f32.round_f32);
    if (to == "int16") return rounded(k->f64.round_i16, k->f32.round_i16);
    if (to == "bfloat16") return rounded(k->f64.round_bf16, k->f32.round_bf16);
    if (to == "int8") return rounded(k->f64.round_i8, k->f32.round_i8);
    throw py::value_error("round_row: to must be 'float32', 'int16', 'bfloat16' or 'int8'");
}

template <class T>
double largest_magnitude(const Array<T>& x) {
    if constexpr (sizeof(T) == 8) return active_kernels()->f64.largest_magnitude(x.data(), x.size());
    else return active_kernels()->f32.largest_magnitude(x.data(), x.size());
}

py::array interleave(const Array<std::uint32_t>& rows, std::int64_t cells) {
    if (rows.ndim() != 2 || rows.shape(0) % 2 || cells < 0 || cells > rows.shape(1) ||
        (cells + 3) / 4 * 4 > rows.shape(1))
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

/// x [best_rows, d], atoms [m, d], bias [m]: (label, best, second) of each row.
py::tuple best_two(const Array<float>& x, const Array<float>& atoms, const Array<float>& bias) {
    const KernelTable* table = active_kernels();
    const py::ssize_t rows = table->best_rows, d = x.ndim() == 2 ? x.shape(1) : 0;
    if (x.ndim() != 2 || atoms.ndim() != 2 || x.shape(0) != rows || atoms.shape(1) != d || bias.ndim() != 1 ||
        bias.size() != atoms.shape(0) || bias.size() < 1)
        throw py::value_error("best_two: x must be [" + std::to_string(rows) + ", d], atoms [m, d] and bias [m]");
    std::vector<float> columns(static_cast<std::size_t>(d * rows));
    for (py::ssize_t t = 0; t < d; ++t)
        for (py::ssize_t r = 0; r < rows; ++r) columns[t * rows + r] = x.at(r, t);
    std::vector<std::int32_t> which(static_cast<std::size_t>(bias.size()));
    std::iota(which.begin(), which.end(), 0);
    py::array_t<std::int32_t> label(rows);
    py::array_t<float> best(rows), second(rows);
    table->best_two(columns.data(), d, atoms.data(), bias.data(), which.data(), bias.size(), label.mutable_data(),
                    best.mutable_data(), second.mutable_data());
    return py::make_tuple(label, best, second);
}

/// dot [m] of a row of this length, factor, bias, slope and base [m]: (best, least, others).
py::tuple lead(const Array<float>& dot, const Array<double>& factor, const Array<double>& bias,
               const Array<double>& slope, const Array<double>& base, double length) {
    const py::ssize_t m = dot.size();
    constexpr py::ssize_t kEight = 8;
    std::vector<float> products(static_cast<std::size_t>(m + kEight), std::numeric_limits<float>::quiet_NaN());
    std::copy_n(dot.data(), m, products.data());
    std::vector<std::vector<double>> whole;  // lines
    for (const Array<double>* part : {&factor, &bias, &slope, &base}) {
        if (m < 1 || part->size() != m) throw py::value_error("lead: dot, factor, bias, slope and base must be [m]");
        whole.emplace_back(static_cast<std::size_t>(m + kEight), 0.0);
        std::copy_n(part->data(), m, whole.back().data());
    }
    std::vector<double> upper(static_cast<std::size_t>(m + kEight));
    double least = 0, others = 0;
    const std::int64_t best =
        active_kernels()->lead(products.data(), {whole[0].data(), whole[1].data(), whole[2].data(), whole[3].data(), m},
                               length, upper.data(), &least, &others);
    return py::make_tuple(best, least, others);
}

/// x [best_rows, d] less origin [d], column by column, and the squared length of the longest row.
py::tuple turn_rows(const Array<float>& x, const std::optional<Array<float>>& origin) {
    const py::ssize_t rows = active_kernels()->best_rows, d = x.ndim() == 2 ? x.shape(1) : 0;
    if (x.ndim() != 2 || x.shape(0) != rows || (origin && origin->size() != d))
        throw py::value_error("turn_rows: x must be [" + std::to_string(rows) + ", d], and origin [d]");
    py::array_t<float> out({d, rows});
    const float longest2 =
        active_kernels()->turn_rows(x.data(), d, origin ? origin->data() : nullptr, out.mutable_data());
    return py::make_tuple(out, longest2);
}

/// atoms [m, d] with bias, error [m]; rows are within half [d] and radius of middle [d]: the atoms that are kept.
std::vector<std::int32_t> box_atoms(const Array<float>& atoms, const Array<float>& bias, const Array<float>& error,
                                    const Array<float>& middle, const Array<float>& half, float radius) {
    const py::ssize_t m = bias.size(), d = middle.size(), stride = (m + 15) / 16 * 16;
    if (atoms.ndim() != 2 || atoms.shape(0) != m || atoms.shape(1) != d || error.size() != m || half.size() != d ||
        m < 1)
        throw py::value_error("box_atoms: atoms must be [m, d], bias and error [m], middle and half [d]");
    std::vector<float> columns(static_cast<std::size_t>(d * stride)), apart2(static_cast<std::size_t>(m * stride)),
        above(static_cast<std::size_t>(stride), -HUGE_VALF), score(above.size());
    std::vector<std::int32_t> which(above.size());
    for (py::ssize_t j = 0; j < m; ++j) {
        above[j] = bias.at(j) + 2.0001f * error.at(j);
        for (py::ssize_t t = 0; t < d; ++t) {
            columns[t * stride + j] = atoms.at(j, t);
            score[j] += atoms.at(j, t) * middle.at(t);
        }
        for (py::ssize_t k = 0; k < m; ++k) {
            double sum = 0;
            for (py::ssize_t t = 0; t < d; ++t) sum += std::pow(double{atoms.at(j, t)} - double{atoms.at(k, t)}, 2);
            apart2[k * stride + j] = static_cast<float>(sum * (1 + 1e-6));
        }
    }
    which.resize(static_cast<std::size_t>(
        active_kernels()->box_atoms({columns.data(), apart2.data(), above.data(), error.data(), d, m, stride},
                                    half.data(), radius * radius * (1 + 1e-6f), score.data(), which.data())));
    return which;
}

template <class T>
py::array kth_magnitude(const Array<T>& x, std::int64_t k) {
    constexpr py::ssize_t kLanes = 64 / sizeof(T);
    if (x.ndim() != 2 || x.shape(1) != kLanes || k < 1 || k > x.shape(0))
        throw py::value_error("kth_magnitude: x must have rows of 64 bytes, and k lie between 1 and their number");
    py::array_t<T> bar(kLanes);
    active_kernels()->of<T>().kth_magnitude(x.data(), x.shape(0), k, bar.mutable_data());
    return bar;
}

template <class T>
double log_dot(const Array<T>& v, const Array<T>& y) {
    return active_kernels()->of<T>().log_dot(v.data(), y.data(), std::min(v.size(), y.size()));
}

/// triangle: 0 none, 1 upper, -1 lower.
template <class T>
py::array small_product(const Array<T>& X, const Array<T>& F, int triangle) {
    if (X.ndim() != 2 || F.ndim() != 2 || X.shape(1) != F.shape(0) || F.shape(1) % (64 / sizeof(T)))
        throw py::value_error("small_product: X must be [rows, d], and F [d, whole lines of 64 bytes]");
    py::array_t<T> out({X.shape(0), F.shape(1)});
    const auto& k = active_kernels()->of<T>();
    const std::int64_t rows = X.shape(0), d = X.shape(1), width = F.shape(1);
    if (triangle) k.triangular_product(X.data(), rows, d, F.data(), width, triangle > 0, out.mutable_data());
    else k.small_product(X.data(), rows, d, F.data(), width, out.mutable_data());
    return out;
}

py::tuple solve_cholesky(const Array<double>& A, const Array<double>& b) {
    if (A.ndim() != 2 || A.shape(0) != A.shape(1) || b.ndim() != 1 || b.size() != A.shape(0))
        throw py::value_error("solve_cholesky: A must be [k, k], and b [k]");
    py::array_t<double> factor({A.shape(0), A.shape(1)}, A.data()), x(b.size(), b.data());
    const bool solved = active_kernels()->solve_cholesky(factor.mutable_data(), x.mutable_data(), x.size());
    return py::make_tuple(solved, factor, x);
}

/// (F, x) after a step.
py::tuple pull_rows(const Array<std::int32_t>& index, const Array<float>& pull, float keep, const Array<float>& x,
                    const Array<float>& F) {
    if (F.ndim() != 2 || x.size() != F.shape(1) || x.size() % 16 || index.size() != pull.size())
        throw py::value_error("pull_rows: F must be [rows, whole lines], x a row of it, pull as long as index");
    for (py::ssize_t p = 0; p < index.size(); ++p)
        if (index.at(p) < 0 || index.at(p) >= F.shape(0)) throw py::index_error("pull_rows: index out of range");
    py::array_t<float> rows({F.shape(0), F.shape(1)}, F.data()), row(x.size(), x.data());
    active_kernels()->pull_rows(index.data(), pull.data(), index.size(), keep, row.mutable_data(), rows.mutable_data(),
                                row.size());
    return py::make_tuple(rows, row);
}

template <class T>
void define_small(py::module_& kernels) {
    kernels.def("kth_magnitude", &kth_magnitude<T>, "x"_a.noconvert(), "k"_a);
    kernels.def("log_dot", &log_dot<T>, "v"_a.noconvert(), "y"_a.noconvert());
    kernels.def("small_product", &small_product<T>, "X"_a.noconvert(), "F"_a.noconvert(), "triangle"_a = 0);
}

template <class T, class I>
py::array gather_add(const Array<I>& index, const Array<T>& value, const Array<T>& W, py::ssize_t first,
                     const Array<T>& out) {
    if (W.ndim() != 2 || value.size() > index.size() || first < 0 || first > W.shape(1) ||
        out.size() > W.shape(1) - first)
        throw py::value_error("gather_add: value must be no longer than index, first + out within the columns of W");
    for (py::ssize_t p = 0; p < index.size(); ++p)
        if (index.at(p) < 0 || index.at(p) >= W.shape(0)) throw py::index_error("gather_add: index out of range");
    py::array_t<T> sum(out.size(), out.data());
    active_kernels()->of<T, I>().gather_add(index.data(), value.data(), value.size(), index.size(), W.data() + first,
                                            W.shape(1), sum.size(), sum.mutable_data());
    return sum;
}

template <class T, class I>
void define_gather_add(py::module_& kernels) {
    kernels.def("gather_add", &gather_add<T, I>, "index"_a.noconvert(), "value"_a.noconvert(), "W"_a.noconvert(),
                "first"_a, "out"_a.noconvert());
}

}  // namespace

void register_kernels(py::module_& kernels) {
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
    kernels.def("quantize_row", &quantize_row, "a"_a.noconvert(), "round_up"_a, "drop"_a);
    kernels.def("accumulate", &accumulate, "acc"_a.noconvert(), "slab"_a.noconvert(), "line"_a.noconvert(),
                "p"_a.noconvert());
    kernels.def("accumulate_group", &accumulate_group, "acc"_a.noconvert(), "values"_a.noconvert(),
                "line"_a.noconvert(), "line_shift"_a, "p"_a.noconvert());
    kernels.def("sift", &sift, "acc"_a.noconvert(), "slab"_a.noconvert(), "line"_a.noconvert(), "p"_a.noconvert(),
                "cut"_a);
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
    kernels.def("tile_shape", &tile_shape);
    define_small<float>(kernels);
    define_small<double>(kernels);
    kernels.def("pull_rows", &pull_rows, "index"_a.noconvert(), "pull"_a.noconvert(), "keep"_a, "x"_a.noconvert(),
                "F"_a.noconvert());
    kernels.def("solve_cholesky", &solve_cholesky, "A"_a.noconvert(), "b"_a.noconvert());
    define_gather_add<float, std::int32_t>(kernels);
    define_gather_add<float, std::int64_t>(kernels);
    define_gather_add<double, std::int32_t>(kernels);
    define_gather_add<double, std::int64_t>(kernels);
    kernels.def("best_rows", [] { return active_kernels()->best_rows; });
    kernels.def("turn_rows", &turn_rows, "x"_a.noconvert(), "origin"_a.noconvert() = py::none());
    kernels.def("box_atoms", &box_atoms, "atoms"_a.noconvert(), "bias"_a.noconvert(), "error"_a.noconvert(),
                "middle"_a.noconvert(), "half"_a.noconvert(), "radius"_a);
    kernels.def("best_two", &best_two, "x"_a.noconvert(), "atoms"_a.noconvert(), "bias"_a.noconvert());
    kernels.def("lead", &lead, "dot"_a.noconvert(), "factor"_a.noconvert(), "bias"_a.noconvert(), "slope"_a.noconvert(),
                "base"_a.noconvert(), "length"_a);
    kernels.def(
        "philox",
        [](std::uint64_t seed, std::uint32_t purpose, std::uint64_t counter) {
            return Philox(seed, static_cast<Purpose>(purpose)).words(counter);
        },
        "seed"_a, "purpose"_a, "counter"_a);
}

}  // namespace latom
