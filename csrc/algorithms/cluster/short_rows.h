// short_rows.h: rows and atoms in the few numbers that projection.h makes of them, as the screen takes them, and a closer look
// at the atoms that these cannot rule out.
//
// The closer look is a float32 dot product: d products and d additions, in whatever order, are wrong by at most
// (d + 8) 2^-24 |x||w| (1 + 1%). Rows of float64 go without, so that short rows seldom pay there.
//
// Cost      2 d r flops a row once and an atom a pass; memory 4 (r + 1) + 8 bytes a row, d + r + 1 float32 an atom.
#pragma once

#include <algorithm>
#include <memory>

#include "algorithms/cluster/projection.h"
#include "algorithms/product_select.h"

namespace latom {

template <class View>
class ShortRows {
public:
    using T = typename View::value_type;

    explicit ShortRows(const Rows<View>& rows) : rows_(rows) {}

    /// Shortens the rows; false where few directions do not hold most of them.
    bool build(const Context& ctx);
    bool built() const { return static_cast<bool>(projection_); }
    /// Takes the atoms of a pass, with what AtomPanels asks of them.
    void pack(const Context& ctx, const std::vector<const T*>& atoms, const std::vector<double>& norm2,
              const std::vector<double>& factor, const std::vector<double>& bias, const std::vector<int32_t>& order);
    void drop_atoms() { panels_.reset(); }
    void clear();

    /// The atoms of this pass; null where there are none, or one that cannot be shortened.
    const AtomPanels<float>* panels() const { return panels_.get(); }
    int64_t width() const { return projection_.width(); }
    const float* values(int64_t i) const { return short_rows_.data() + i * width(); }
    double norm2(int64_t i) const { return row_norm2_[i]; }

    static constexpr bool kCloser = sizeof(T) == 4;
    struct Scratch {
        std::vector<int32_t> atom;
        std::vector<double> upper;
        AlignedVector<float> row, dots;
    };
    /// s.upper: bounds from above on the dot products of row i with the atoms s.atom.
    void look_closer(int64_t i, Scratch& s) const;

private:
    static constexpr int64_t kRows = 256, kLine = 16;
    static constexpr int64_t kMostWidth = 128;
    static constexpr double kLeft = 0.22;  // share of the squared length that may be left out

    const Rows<View>& rows_;
    Projection projection_;
    AlignedVector<float> short_rows_, short_atoms_;  // [n, width], [m, width]
    std::vector<double> row_norm2_, norm2_;          // of the short ones: [n], [m]
    AlignedVector<float> atoms_;                     // [m, whole lines]: for the closer look
    std::vector<double> length_;                     // [m]
    std::unique_ptr<AtomPanels<float>> panels_;
};

template <class View>
bool ShortRows<View>::build(const Context& ctx) {
    const int64_t n = rows_.n();
    for (int64_t i = 0; i < n; ++i)
        if (!Projection::takes(rows_.norm2(i))) return false;
    const auto directions = main_directions(ctx, rows_, std::min(kMostWidth, rows_.d() / 3), kLeft);
    if (directions.empty()) return false;
    const Projection projection(ctx.kernels, directions, rows_.d());
    if (!projection) return false;
    const int64_t width = projection.width();
    short_rows_.resize(static_cast<std::size_t>(n * width));
    row_norm2_.resize(static_cast<std::size_t>(n));
    parallel_for(ctx, chunk_count(n, kRows), [&](int64_t c, int) {
        const int64_t from = c * kRows, count = std::min(kRows, n - from);
        std::vector<const T*> rows;
        std::vector<double> norm2;
        for (int64_t i = from; i < from + count; ++i) {
            rows.push_back(rows_.values(i));
            norm2.push_back(rows_.norm2(i));
        }
        projection.apply(rows.data(), norm2.data(), count, short_rows_.data() + from * width, row_norm2_.data() + from);
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
    const auto m = static_cast<int64_t>(atoms.size()), d = rows_.d(), lines = chunk_count(d, kLine) * kLine;
    short_atoms_.resize(static_cast<std::size_t>(m * width()));
    norm2_.resize(static_cast<std::size_t>(m));
    if constexpr (kCloser) {
        atoms_.assign(static_cast<std::size_t>(m * lines), 0.0f);
        length_.resize(static_cast<std::size_t>(m));
    }
    parallel_for(ctx, chunk_count(m, kRows), [&](int64_t c, int) {
        const int64_t from = c * kRows, to = std::min(m, from + kRows);
        projection_.apply(atoms.data() + from, norm2.data() + from, to - from, short_atoms_.data() + from * width(),
                          norm2_.data() + from);
        if constexpr (kCloser) {
            for (int64_t j = from; j < to; ++j) {
                std::copy_n(atoms[j], d, atoms_.data() + j * lines);
                length_[j] = std::sqrt(norm2[j]);
            }
        }
    });
    std::vector<const float*> short_atoms;
    for (int64_t j = 0; j < m; ++j) short_atoms.push_back(short_atoms_.data() + j * width());
    panels_ = std::make_unique<AtomPanels<float>>(ctx, std::move(short_atoms), width(), norm2_, factor, bias, order, Screen::kAuto,
                                                  projection_.slack());
    panels_->keep(ctx);
}

template <class View>
void ShortRows<View>::clear() {
    panels_.reset();
    projection_ = {};
    for (auto* v : {&short_rows_, &short_atoms_, &atoms_}) AlignedVector<float>().swap(*v);
}

template <class View>
void ShortRows<View>::look_closer(int64_t i, Scratch& s) const {
    const int64_t d = rows_.d(), lines = chunk_count(d, kLine) * kLine, count = static_cast<int64_t>(s.atom.size());
    s.upper.resize(s.atom.size());
    if constexpr (kCloser) {
        const float* row = rows_.values(i);
        if (d < lines) {
            s.row.assign(static_cast<std::size_t>(lines), 0.0f);
            std::copy_n(row, d, s.row.data());
            row = s.row.data();
        }
        s.dots.resize(s.atom.size());
        rows_.kernels()->dots_at_f32_i32(s.atom.data(), count, count, row, atoms_.data(), lines, s.dots.data());
        const double error = 1.01 * static_cast<double>(d + 8) * 0x1p-24 * std::sqrt(rows_.norm2(i));
        for (int64_t c = 0; c < count; ++c) s.upper[c] = static_cast<double>(s.dots[c]) + error * length_[s.atom[c]];
    }
}

}  // namespace latom
