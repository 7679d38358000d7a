// pursuit_atoms.h: atoms as pursuit computes with them: rows, panels of 16 bits that screen them all, their Gram
// matrix.
//
// Numbers are scaled by a power of two so that the longest of the first atoms has a length in [1/2, 1): squares of what
// T holds may not be held by T. All grow by append().
//
// Screened products, of rows r with atoms w_j, both rounded by round_for_screen (engines/product_select/row_block.h has
// the proof; scales are taken out here):
//
//   |<r, w_j> - s_j| <= (e + gamma l) W + l D,      e, l: error and length of r;  W, D: the largest of all atoms
//
// The Gram matrix G is made of such products, g_pj = G_pj / unit_p in 16 bits, unit_p = 2^-15 |w_p| cover, cover the
// power of two that no atom is longer than: off by gram_error(p), which counts a whole unit for what is cut off at the
// ends.
#pragma once

#include <atomic>
#include <cmath>

#include "core/buffer.h"
#include "core/turns.h"
#include "engines/product_select/atom_panels.h"
#include "latom/pursuit.h"

namespace latom {

/// Rows as the screen's kernel takes them.
struct PursuitTiles {
    AlignedVector<std::uint32_t> cells, rounded;
    std::vector<double> inverse, error, length;  // 1 / scale, and e and l
    int64_t count = 0;
};

template <class T>
class PursuitAtoms {
public:
    PursuitAtoms(const KernelTable* kernels, int64_t d);

    int64_t m() const { return m_; }
    int64_t d() const { return d_; }
    int64_t panels() const { return (m_ + kernels_->panel_atoms - 1) / kernels_->panel_atoms; }
    /// Of products with all atoms: NaN beyond m. Blocks of the step's kernel.
    int64_t width() const { return (m_ + kPursuitBlock - 1) / kPursuitBlock * kPursuitBlock; }
    int exponent() const { return exponent_; }  // atoms are as given times 2^-exponent
    const T* row(int64_t j) const { return rows_.data() + j * d_; }
    double norm2(int64_t j) const { return norm2_[j]; }
    double longest() const { return longest_; }  // length
    const KernelTable* kernels() const { return kernels_; }

    /// keep_gram: the Gram matrix, if there is one, grows with them; otherwise it goes.
    void append(const Context& ctx, const T* atoms, int64_t count, bool keep_gram);

    /// row(i): the i-th of `count` rows of d numbers, of squared length norm2(i).
    template <class Row, class Norm2>
    void load(int64_t count, Row row, Norm2 norm2, PursuitTiles& tiles) const;
    /// out [rows of tiles, stride] at the atoms of panels [first, last), and NaN from m on.
    void products(const PursuitTiles& tiles, int64_t first, int64_t last, float* out, int64_t stride) const;
    /// What products() of row r of the tiles may be off by.
    double error(const PursuitTiles& tiles, int64_t r) const {
        return (tiles.error[r] + gamma() * tiles.length[r]) * most_length_ + tiles.length[r] * most_error_ + 1e-30;
    }
    /// The same of any row of length 1, roughly.
    double usual_error() const { return 2 * most_error_ + gamma() * most_length_; }

    /// Makes the Gram matrix unless it is there; it grows with the atoms from then on. False: a signal handler
    /// interrupted its making, and has to do without.
    bool make_gram(const Context& ctx);
    bool has_gram() const { return has_gram_.load(std::memory_order_acquire); }
    const std::int16_t* gram(int64_t j) const { return gram_.data() + j * stride_; }  // [width]
    double gram_unit(int64_t j) const { return std::sqrt(norm2_[j]) * cover_ * 0x1p-15; }
    double gram_error(int64_t j) const { return length_[j] * gram_error_; }  // of <w_j, w>, w any

private:
    double gamma() const {
        return 1.01 * (screen_ == Screen::kInt16 ? 8.0 : static_cast<double>(d_ + 8)) * 0x1p-24 + 0x1p-21;
    }
    void put(int64_t j, std::uint32_t* cells);
    template <class U>
    RoundedRow round(const U* row, double norm2, std::uint32_t* cells) const;
    void extend_gram(const Context& ctx, int64_t known);
    void gram_rows(int64_t from, int64_t end, int64_t known);

    const KernelTable* kernels_;
    int64_t d_, m_ = 0, stride_ = 0;
    Screen screen_;
    int64_t cells_;  // of 4 bytes, in a row
    int exponent_ = 0;
    double longest_ = 0, cover_ = 1;
    double most_length_ = 0, most_error_ = 0, most_share_ = 0, gram_error_ = 0;  // share: error of length
    AlignedVector<T> rows_;
    AlignedVector<std::uint32_t> panels_;  // [panels, cells, panel_atoms]
    AlignedVector<float> factor_;          // 1 / scale
    AlignedVector<std::int16_t> gram_;
    std::vector<double> norm2_, length_;  // length_: of w and w~
    std::atomic<bool> has_gram_{false};
    Turns turns_;
};

template <class T>
template <class Row, class Norm2>
void PursuitAtoms<T>::load(int64_t count, Row row, Norm2 norm2, PursuitTiles& tiles) const {
    const int64_t rows = kernels_->tile_rows, padded = (count + rows - 1) / rows * rows, stride = cells_ + 16;
    tiles.count = count;
    tiles.cells.resize(static_cast<std::size_t>(padded * cells_));
    tiles.rounded.resize(static_cast<std::size_t>(rows * stride));
    for (auto* v : {&tiles.inverse, &tiles.error, &tiles.length}) v->resize(static_cast<std::size_t>(count));
    for (int64_t i = 0; i < padded; ++i) {
        std::uint32_t* rounded = tiles.rounded.data() + i % rows * stride;
        if (i < count) {
            const RoundedRow as = round(row(i), norm2(i), rounded);
            tiles.inverse[i] = 1 / as.scale;
            tiles.error[i] = static_cast<double>(as.error) / as.scale;
            tiles.length[i] = static_cast<double>(as.length) / as.scale;
        } else {
            std::fill_n(rounded, cells_, 0u);
        }
        if (i % rows == rows - 1)
            kernels_->interleave(tiles.rounded.data(), rows, stride, cells_,
                                 tiles.cells.data() + i / rows * rows * cells_);
    }
}

// To a length in [0.71, 1.41), where the kernel's sums still are exact, unless that cuts off numbers: twice as fine as
// half of it for rows of length 1.
template <class T>
template <class U>
RoundedRow PursuitAtoms<T>::round(const U* row, double norm2, std::uint32_t* cells) const {
    constexpr double kLess = 0.505;
    const bool spread = kernels_->of<U>().largest_magnitude(row, d_) < 0.7 * std::sqrt(norm2);
    return round_for_screen(kernels_, screen_, row, d_, spread ? kLess * norm2 : norm2, false, cells);
}

}  // namespace latom
