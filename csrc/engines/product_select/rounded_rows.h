// rounded_rows.h: rows as a screen takes them, kept from one pass to the next.
//
// Where bounds spare most atoms, rounding a row costs more than the products that are left, and its 8 bits are a
// quarter of what has to be read for it. A row is rounded when it is asked for the first time.
//
// Memory    d bytes per row in 8 bits, 2 d in 16, and 16 bytes.
#pragma once

#include <cstring>
#include <vector>

#include "core/buffer.h"
#include "core/prefetch.h"
#include "engines/product_select/atom_panels.h"

namespace latom {

template <class T>
class RoundedRows {
public:
    /// Keeps n rows of d numbers for this screen, from now on, in whatever it had of them; nothing where they are too
    /// many bytes.
    void reserve(const KernelTable* kernels, Screen screen, int64_t n, int64_t d, bool biased) {
        if (screen == screen_) return;
        clear();
        const int64_t cells = row_cells(screen, d);
        if (static_cast<double>(n) * static_cast<double>(cells) * 4 > kMostBytes) return;
        kernels_ = kernels;
        d_ = d;
        cells_ = cells;
        biased_ = biased;
        cell_.resize(static_cast<std::size_t>(n * cells_));
        row_.assign(static_cast<std::size_t>(n), RoundedRow{0, 0, 0});
        screen_ = screen;
    }
    bool keeps(Screen screen) const { return screen == screen_; }
    void clear() { *this = RoundedRows(); }

    void prefetch(int64_t i) const { latom::prefetch(cell_.data() + i * cells_, cells_); }
    /// Row i of these numbers and squared norm, into `cells`. Threads may ask for different rows.
    RoundedRow row(int64_t i, const T* values, double norm2, std::uint32_t* cells) {
        std::uint32_t* own = cell_.data() + i * cells_;
        RoundedRow& row = row_[static_cast<std::size_t>(i)];
        if (!(row.scale > 0)) row = round_for_screen(kernels_, screen_, values, d_, norm2, biased_, own);
        std::memcpy(cells, own, static_cast<std::size_t>(cells_) * sizeof *cells);
        return row;
    }

private:
    static constexpr double kMostBytes = 512 << 20;

    const KernelTable* kernels_ = nullptr;
    Screen screen_ = Screen::kAuto;  // none yet
    int64_t d_ = 0, cells_ = 0;
    bool biased_ = false;
    AlignedVector<std::uint32_t> cell_;  // [n, cells]
    std::vector<RoundedRow> row_;        // [n]; scale 0: not rounded yet
};

}  // namespace latom
