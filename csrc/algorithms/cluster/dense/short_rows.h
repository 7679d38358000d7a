// short_rows.h: rows and atoms in the few numbers that projection.h makes of them, as the screen takes them, and a
// closer look at the atoms that these cannot rule out.
//
// The closer look takes rows x~ and atoms w~ in bfloat16: half the memory to read, and that is what it waits for.
//   |<x, w> - dot| <= |x - x~| |w| + |x~| (|w - w~| + gamma |w~|),      |x~| <= |x| + |x - x~|
// as in row_block.h: d products and their sum in float32, gamma = (d + 8) 2^-24 (1 + 1%) in whatever order.
//
// Cost      2 d r flops per row once and per atom and pass; memory, where the screen has 16 bits, 2 (r + 1) + 16 bytes
//           per row and 2 d + 6 (r + 1) bytes per atom.
#pragma once

#include <algorithm>
#include <memory>

#include "algorithms/cluster/dense/projection.h"
#include "engines/product_select/row_block.h"

namespace latom {

template <class View>
class ShortRows {
public:
    using T = typename View::value_type;

    explicit ShortRows(const Rows<View>& rows) : rows_(rows) {}

    /// Shortens the rows; false where few directions do not hold most of them.
    bool build(const Context& ctx, bool biased);
    bool built() const { return static_cast<bool>(projection_); }
    /// Takes the atoms of a pass, with what AtomPanels asks of them.
    void pack(const Context& ctx, const std::vector<const T*>& atoms, const std::vector<double>& norm2,
              const std::vector<double>& factor, const std::vector<double>& bias, const std::vector<int32_t>& order);
    void drop_atoms() { panels_.reset(); }
    void clear();

    /// The atoms of this pass; null where there are none, or one that cannot be shortened.
    const AtomPanels<float>* panels() const { return panels_.get(); }
    int64_t width() const { return projection_.width(); }
    /// Row i as their screen takes it.
    RoundedRow row(int64_t i, std::uint32_t* cells) const {
        std::copy_n(cells_.data() + i * row_cells_, row_cells_, cells);
        return rounded_[i];
    }

    struct Scratch {
        std::vector<int32_t> atom;
        std::vector<double> upper;
        AlignedVector<std::uint32_t> row;
        AlignedVector<float> dots;
    };
    /// s.upper: bounds from above on the dot products of row i with the atoms s.atom.
    void look_closer(int64_t i, Scratch& s) const;

private:
    static constexpr int64_t kRows = 256, kLine = 32;  // numbers of bfloat16
    static constexpr int64_t kMostWidth = 128;
    static constexpr double kLeft = 0.22;  // share of the squared length that may be left out

    int64_t cells() const { return chunk_count(rows_.d(), kLine) * kLine / 2; }
    double round(const T* row, std::uint32_t* out) const;

    const Rows<View>& rows_;
    Projection projection_;
    int64_t row_cells_ = 0;
    AlignedVector<std::uint32_t> cells_;  // [n, row_cells_]
    std::vector<RoundedRow> rounded_;     // [n]
    AlignedVector<float> short_atoms_;    // [m, width]
    std::vector<double> norm2_;           // [m]: of the short ones
    AlignedVector<std::uint32_t> atoms_;  // [m, cells]: for the closer look
    std::vector<double> length_, error_;  // [m]: |w|, |w - w~| + gamma |w~|
    std::unique_ptr<AtomPanels<float>> panels_;
};

template <class View>
bool ShortRows<View>::build(const Context& ctx, bool biased) {
    const int64_t n = rows_.n();
    for (int64_t i = 0; i < n; ++i)
        if (!Projection::takes(rows_.norm2(i))) return false;
    const auto directions = main_directions(ctx, rows_, std::min(kMostWidth, rows_.d() / 3), kLeft);
    if (directions.empty()) return false;
    const Projection projection(ctx.kernels, directions, rows_.d());
    if (!projection) return false;
    const int64_t width = projection.width();
    const Screen screen = fine_screen(ctx.kernels, width);
    row_cells_ = latom::row_cells(screen, width);
    cells_.resize(static_cast<std::size_t>(n * row_cells_));
    rounded_.resize(static_cast<std::size_t>(n));
    parallel_for(ctx, chunk_count(n, kRows), [&](int64_t c, int) {
        const int64_t from = c * kRows, count = std::min(kRows, n - from);
        std::vector<const T*> rows;
        std::vector<double> norm2;
        for (int64_t i = from; i < from + count; ++i) {
            rows.push_back(rows_.values(i));
            norm2.push_back(rows_.norm2(i));
        }
        std::vector<float> shortened(static_cast<std::size_t>(count * width));
        projection.apply(rows.data(), norm2.data(), count, shortened.data(),
                         norm2.data());  // whose lengths are not needed again
        for (int64_t i = 0; i < count; ++i)
            rounded_[from + i] = round_for_screen(ctx.kernels, screen, shortened.data() + i * width, width, norm2[i],
                                                  biased, cells_.data() + (from + i) * row_cells_);
    });
    projection_ = projection;  // only now: an interrupt leaves nothing half built
    return true;
}

template <class View>
void ShortRows<View>::pack(const Context& ctx, const std::vector<const T*>& atoms, const std::vector<double>& norm2,
                           const std::vector<double>& factor, const std::vector<double>& bias,
                           const std::vector<int32_t>& order) {
    panels_.reset();
    for (const double v : norm2)
        if (!Projection::takes(v)) return;
    const auto m = static_cast<int64_t>(atoms.size());
    short_atoms_.resize(static_cast<std::size_t>(m * width()));
    norm2_.resize(static_cast<std::size_t>(m));
    atoms_.resize(static_cast<std::size_t>(m * cells()));
    length_.resize(static_cast<std::size_t>(m));
    error_.resize(static_cast<std::size_t>(m));
    parallel_for(ctx, chunk_count(m, kRows), [&](int64_t c, int) {
        const int64_t from = c * kRows, to = std::min(m, from + kRows);
        projection_.apply(atoms.data() + from, norm2.data() + from, to - from, short_atoms_.data() + from * width(),
                          norm2_.data() + from);
        for (int64_t j = from; j < to; ++j) {
            const double left = round(atoms[j], atoms_.data() + j * cells());
            length_[j] = std::sqrt(norm2[j]);
            error_[j] = left + 1.01 * static_cast<double>(rows_.d() + 8) * 0x1p-24 * (length_[j] + left);
        }
    });
    std::vector<const float*> short_atoms;
    short_atoms.reserve(atoms.size());
    for (int64_t j = 0; j < m; ++j) short_atoms.push_back(short_atoms_.data() + j * width());
    panels_ = std::make_unique<AtomPanels<float>>(ctx, std::move(short_atoms), width(), norm2_, factor, bias, order,
                                                  Screen::kAuto, projection_.slack());
    panels_->keep(ctx);
}

// A row or atom in bfloat16, out [cells]; the length of what that leaves.
template <class View>
double ShortRows<View>::round(const T* row, std::uint32_t* out) const {
    const int64_t d = rows_.d();
    std::fill_n(out + d / 2, cells() - d / 2, 0u);
    auto* half = reinterpret_cast<std::uint16_t*>(out);
    double left2, length2;
    if constexpr (sizeof(T) == 4) left2 = rows_.kernels()->f32.round_bf16(row, d, 1.0, half, &length2);
    else left2 = rows_.kernels()->f64.round_bf16(row, d, 1.0, half, &length2);
    return std::sqrt(left2) * (1 + 1e-6) + std::sqrt(static_cast<double>(d)) * 0x1p-74;  // as in atom_panels.cpp
}

template <class View>
void ShortRows<View>::clear() {
    panels_.reset();
    projection_ = {};
    for (auto* v : {&cells_, &atoms_}) AlignedVector<std::uint32_t>().swap(*v);
    std::vector<RoundedRow>().swap(rounded_);
}

template <class View>
void ShortRows<View>::look_closer(int64_t i, Scratch& s) const {
    const std::size_t count = s.atom.size();
    s.row.resize(static_cast<std::size_t>(cells()));
    s.dots.resize(count);
    s.upper.resize(count);
    const double left = round(rows_.values(i), s.row.data()), length = std::sqrt(rows_.norm2(i)) + left;
    rows_.kernels()->dots_at_bf16(s.atom.data(), static_cast<int64_t>(count), s.row.data(), atoms_.data(), cells(),
                                  s.dots.data());
    for (std::size_t c = 0; c < count; ++c) {
        const int32_t j = s.atom[c];
        s.upper[c] = static_cast<double>(s.dots[c]) + left * length_[j] + length * error_[j];
    }
}

}  // namespace latom
