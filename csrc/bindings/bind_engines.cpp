// bind_engines.cpp: the screen of dense rows by itself, for tests of its bounds and benchmarks of its speed.
#include <pybind11/stl.h>

#include <cmath>

#include "bindings/rows.h"
#include "core/buffer.h"
#include "engines/gather/transposed_product.h"
#include "engines/product_select/row_block.h"

namespace latom {
namespace {

using namespace pybind11::literals;

/// Cells of 4 bytes: a float32, a pair of int16 or bfloat16, or four int8, which want a line more of the panel.
py::tuple screen_tile(const std::string& name, const Array<std::uint32_t>& tile, const Array<std::uint32_t>& panel,
                      const Array<float>& factor, const Array<float>& bias, const Array<float>& limit,
                      const Array<float>& row_bias, bool magnitude) {
    const KernelTable* k = active_kernels();
    ScreenTile* const screen = screen_kernel(k, parse_screen(Call{"screen_tile"}.context(), name));
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
    const Context ctx = Call{"repeat_screen", n_threads}.context();
    ScreenTile* const screen = screen_kernel(ctx.kernels, parse_screen(ctx, name));
    if (cells < 1 || cells > 1 << 24 || times < 0)
        throw py::value_error("repeat_screen: cells must be in [1, 2^24] and times not negative");
    const Released released;
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

/// Bounds of all pairs, from blocks that have all rows one after the other, and the units of rows.
template <class T>
py::tuple bounds_of(const std::vector<const RowBlock<T>*>& blocks, py::ssize_t n, py::ssize_t m) {
    py::array_t<float> lower({n, m}), upper({n, m});
    std::fill_n(lower.mutable_data(), lower.size(), NAN);
    std::fill_n(upper.mutable_data(), upper.size(), NAN);
    std::vector<double> units;
    for (const RowBlock<T>* block : blocks)
        for (py::ssize_t r = 0; r < block->count(); ++r) {
            const auto row = static_cast<py::ssize_t>(units.size());
            for (std::int64_t c = 0; c < block->candidates(r); ++c) {
                lower.mutable_at(row, block->position(r)[c]) = block->lower(r)[c];
                upper.mutable_at(row, block->position(r)[c]) = block->upper(r)[c];
            }
            units.push_back(block->to_screen(r));
        }
    return py::make_tuple(lower, upper, to_array(units));
}

/// The rows of a matrix, and their squared lengths.
template <class T>
std::pair<std::vector<const T*>, std::vector<double>> rows_of(const Context& ctx, const Array<T>& matrix) {
    std::vector<const T*> rows;
    std::vector<double> norm2;
    for (py::ssize_t i = 0, d = matrix.shape(1); i < matrix.shape(0); ++i) {
        rows.push_back(matrix.data() + i * d);
        norm2.push_back(ctx.kernels->of<T>().dense_dot(rows[i], rows[i], d));
    }
    return {rows, norm2};
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
            throw py::value_error("score_bounds: factor and bias must be empty or have one number per atom");
    const Context ctx = Call{"score_bounds", 1}.context();
    const auto [rows, x_norm2] = rows_of(ctx, X);
    const auto [atom_rows, norm2] = rows_of(ctx, atoms);
    const AtomPanels<T> panels(ctx, atom_rows, atoms.shape(1), norm2, factor, bias, {}, parse_screen(ctx, screen));
    RowBlock<T> block;
    block.load(panels, rows.data(), x_norm2.data(), n, {m, magnitude});  // k = m: nothing is discarded
    block.scan(panels, 0, panels.panels());
    return bounds_of<T>({&block}, n, m);
}

/// score_bounds of X with itself, each product for two rows: X of more than 32 rows, in blocks of 32 and the rest.
template <class T>
py::tuple pair_bounds(const Array<T>& X, const std::vector<double>& factor, const std::vector<double>& bias,
                      const std::string& screen) {
    constexpr py::ssize_t kFirst = 32;
    if (X.ndim() != 2 || X.shape(0) <= kFirst || X.shape(1) < 1)
        throw py::value_error("pair_bounds: X must be a matrix of more than 32 rows");
    const py::ssize_t n = X.shape(0), d = X.shape(1);
    for (const auto* v : {&factor, &bias})
        if (!v->empty() && static_cast<py::ssize_t>(v->size()) != n)
            throw py::value_error("pair_bounds: factor and bias must be empty or have one number per row");
    const Context ctx = Call{"pair_bounds", 1}.context();
    const auto [rows, norm2] = rows_of(ctx, X);
    AtomPanels<T> panels(ctx, rows, d, norm2, factor, bias, {}, parse_screen(ctx, screen));
    panels.keep(ctx);
    RowBlock<T> one, other;
    one.load(panels, rows.data(), norm2.data(), kFirst, {n});  // k = n: nothing is discarded
    other.load(panels, rows.data() + kFirst, norm2.data() + kFirst, n - kFirst, {n});
    one.scan_pairs(panels, 0, one, 0);
    other.scan_pairs(panels, kFirst, other, kFirst);
    one.scan_pairs(panels, 0, other, kFirst);
    return bounds_of<T>({&one, &other}, n, n);
}

/// X^T W [d, k] by blocks of so many rows, whatever suits the cache.
template <class T>
Array<T> py_transposed_product(const Call& call, const PyRows& X, const Array<T>& W, std::int64_t rows_per_block) {
    const Context ctx = call.context();
    const DenseView<T> factor = view_of(ctx, W, "W");
    check_shape(ctx, "W", W, {static_cast<py::ssize_t>(X.n()), static_cast<py::ssize_t>(factor.d)});
    Array<T> out({X.d(), factor.d});
    T* numbers = out.mutable_data();
    const Released released;
    X.visit(ctx, [&](const auto& rows) {
        if constexpr (requires { Transposed<T>(ctx, rows, rows_per_block); })
            transposed_product(ctx, Transposed<T>(ctx, rows, rows_per_block), factor, numbers);
        else throw py::type_error("transposed_product: X must be CSR of the dtype of W");
    });
    return out;
}

}  // namespace

void register_engines(py::module_& kernels) {
    kernels.def("repeat_screen", &repeat_screen, "screen"_a, "cells"_a, "times"_a, "n_threads"_a = 0);
    kernels.def("screen_tile", &screen_tile, "screen"_a, "tile"_a.noconvert(), "panel"_a.noconvert(),
                "factor"_a.noconvert(), "bias"_a.noconvert(), "limit"_a.noconvert(), "row_bias"_a.noconvert(),
                "magnitude"_a);
    kernels.def("score_bounds", &score_bounds<float>, "X"_a.noconvert(), "atoms"_a.noconvert(), "factor"_a, "bias"_a,
                "screen"_a, "magnitude"_a);
    kernels.def("score_bounds", &score_bounds<double>, "X"_a.noconvert(), "atoms"_a.noconvert(), "factor"_a, "bias"_a,
                "screen"_a, "magnitude"_a);
    kernels.def("pair_bounds", &pair_bounds<float>, "X"_a.noconvert(), "factor"_a, "bias"_a, "screen"_a);
    kernels.def("pair_bounds", &pair_bounds<double>, "X"_a.noconvert(), "factor"_a, "bias"_a, "screen"_a);
    kernels.def("transposed_product", &py_transposed_product<float>, "context"_a, "X"_a, "W"_a.noconvert(),
                "rows_per_block"_a);
    kernels.def("transposed_product", &py_transposed_product<double>, "context"_a, "X"_a, "W"_a.noconvert(),
                "rows_per_block"_a);
}

}  // namespace latom
