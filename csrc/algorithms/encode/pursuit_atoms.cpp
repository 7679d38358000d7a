// pursuit_atoms.cpp: atoms are packed and multiplied as they come.
#include "algorithms/encode/pursuit_atoms.h"

#include <algorithm>

#include "core/message.h"
#include "rows/acceptable.h"

namespace latom {
namespace {

constexpr int64_t kMostTile = 16, kMostPanel = 32;  // rows and atoms of the kernel

/// A tile of rows with a panel of atoms: score [tile_rows, panel_atoms].
class TileProduct {
public:
    TileProduct(const KernelTable* kernels, Screen screen, int64_t cells)
        : kernel_(screen_kernel(kernels, screen)), cells_(cells) {
        std::fill_n(limit_, kMostTile, -HUGE_VALF);
    }
    /// next: the panel after it, so that it is on its way.
    void operator()(const std::uint32_t* tile, const std::uint32_t* panel, const float* factor, const void* next,
                    float* score) const {
        std::uint32_t hit[kMostTile];
        kernel_(tile, panel, cells_, {factor, none_, next}, {limit_, none_, false}, score, hit);
    }

private:
    ScreenTile* kernel_;
    int64_t cells_;
    float limit_[kMostTile], none_[kMostPanel] = {};
};

}  // namespace

template <class T>
PursuitAtoms<T>::PursuitAtoms(const KernelTable* kernels, int64_t d)
    : kernels_(kernels),
      d_(d),
      screen_(kernels->screen_i16 ? Screen::kInt16 : Screen::kFloat32),
      cells_(row_cells(screen_, d)) {}

template <class T>
void PursuitAtoms<T>::append(const Context& ctx, const T* atoms, int64_t count, bool keep_gram) {
    const auto dot = kernels_->of<T>().dense_dot;
    double longest2 = 0;
    for (int64_t j = 0; j < count; ++j) {
        const double norm2 = dot(atoms + j * d_, atoms + j * d_, d_);
        if (!acceptable(atoms + j * d_, d_, norm2)) refuse_row(ctx, "atoms", j, atoms + j * d_, d_);
        longest2 = std::max(longest2, norm2);
    }
    if (m_ == 0 && longest2 > 0) std::frexp(std::sqrt(longest2), &exponent_);
    const int64_t known = m_, width = kernels_->panel_atoms;
    m_ += count;
    rows_.resize(static_cast<std::size_t>(m_ * d_));
    norm2_.resize(static_cast<std::size_t>(m_));
    length_.resize(static_cast<std::size_t>(m_));
    factor_.resize(static_cast<std::size_t>(panels() * width));
    std::fill(factor_.begin() + known, factor_.end(), 0.0f);
    const auto before = static_cast<int64_t>(panels_.size());
    panels_.resize(static_cast<std::size_t>(panels() * width * cells_));
    std::fill(panels_.begin() + before, panels_.end(), 0u);
    const T scale = static_cast<T>(std::ldexp(1.0, -exponent_));
    std::vector<std::uint32_t> cells(static_cast<std::size_t>(cells_ + 16));
    for (int64_t j = 0; j < count; ++j) {
        T* row = rows_.data() + (known + j) * d_;
        for (int64_t t = 0; t < d_; ++t) row[t] = atoms[j * d_ + t] * scale;
        put(known + j, cells.data());
    }
    // Of two atoms of these errors; a unit for rounding and clamping, and float32 around both.
    gram_error_ = most_length_ * (2 * most_share_ + gamma()) + cover_ * (0x1p-15 + 0x1p-21);
    const bool covered = longest_ <= cover_;
    while (longest_ > cover_) cover_ *= 2;
    if (!has_gram()) return;
    if (keep_gram && covered) {
        extend_gram(ctx, known);
    } else {
        has_gram_.store(false, std::memory_order_release);
        gram_ = {};
        stride_ = 0;
    }
}

template <class T>
void PursuitAtoms<T>::put(int64_t j, std::uint32_t* cells) {
    const T* row = this->row(j);
    const int64_t width = kernels_->panel_atoms;
    norm2_[j] = kernels_->of<T>().dense_dot(row, row, d_);
    longest_ = std::max(longest_, std::sqrt(norm2_[j]));
    const RoundedRow as = round(row, norm2_[j], cells);
    std::uint32_t* panel = panels_.data() + j / width * width * cells_ + j % width;
    for (int64_t t = 0; t < cells_; ++t) panel[t * width] = cells[t];
    const double error = static_cast<double>(as.error) / as.scale;
    length_[j] = static_cast<double>(as.length) / as.scale;
    factor_[j] = static_cast<float>(1 / as.scale);
    most_length_ = std::max(most_length_, length_[j]);
    most_error_ = std::max(most_error_, error);
    if (length_[j] > 0) most_share_ = std::max(most_share_, error / length_[j]);
}

template <class T>
void PursuitAtoms<T>::products(const PursuitTiles& tiles, int64_t first, int64_t last, float* out,
                               int64_t stride) const {
    const TileProduct product(kernels_, screen_, cells_);
    const int64_t rows = kernels_->tile_rows, width = kernels_->panel_atoms;
    float score[kMostTile * kMostPanel];
    for (int64_t p = first; p < last; ++p) {
        const std::uint32_t* panel = panels_.data() + p * width * cells_;
        const auto* next = reinterpret_cast<const char*>(panel + (p + 1 < last ? width * cells_ : 0));
        for (int64_t from = 0; from < tiles.count; from += rows) {
            product(tiles.cells.data() + from * cells_, panel, factor_.data() + p * width, next, score);
            next += (from / rows) % 2 ? -64 * cells_ : 64 * cells_;  // one half of it after the other
            for (int64_t r = from; r < std::min(tiles.count, from + rows); ++r) {
                const auto inverse = static_cast<float>(tiles.inverse[r]);
                const float* of = score + (r - from) * width;
                float* to = out + r * stride + p * width;
                for (int64_t c = 0; c < width; ++c) to[c] = of[c] * inverse;
            }
        }
    }
    if (last == panels())
        for (int64_t r = 0; r < tiles.count; ++r)
            std::fill(out + r * stride + m_, out + r * stride + this->width(), std::numeric_limits<float>::quiet_NaN());
}

template <class T>
bool PursuitAtoms<T>::make_gram(const Context& ctx) {
    if (has_gram()) return true;
    const Turn turn(ctx, turns_);
    if (has_gram()) return true;
    if (!turn.taken()) return false;
    gram_.clear();
    stride_ = 0;
    extend_gram(ctx, 0);
    has_gram_.store(true, std::memory_order_release);
    return true;
}

template <class T>
void PursuitAtoms<T>::extend_gram(const Context& ctx, int64_t known) {
    if (width() > stride_) {  // some room more than is needed, unless these are the first
        const int64_t wider = known ? (width() + width() / 2) / kPursuitBlock * kPursuitBlock : width();
        AlignedVector<std::int16_t> grown(static_cast<std::size_t>(wider * wider));
        for (int64_t j = 0; j < known; ++j) {
            std::copy_n(gram_.data() + j * stride_, stride_, grown.data() + j * wider);
            std::fill_n(grown.data() + j * wider + stride_, wider - stride_, std::int16_t{0});
        }
        gram_ = std::move(grown);
        stride_ = wider;
    }
    const int64_t rows = 4 * kernels_->tile_rows;
    parallel_for(ctx, chunk_count(m_ - known, rows), [&](int64_t c, int) {
        const int64_t from = known + c * rows;
        gram_rows(from, std::min(m_, from + rows), known);
    });
}

// Rows [from, end) with all atoms; those of `known` atoms get the same products in their rows.
template <class T>
void PursuitAtoms<T>::gram_rows(int64_t from, int64_t end, int64_t known) {
    const TileProduct product(kernels_, screen_, cells_);
    const int64_t rows = kernels_->tile_rows, width = kernels_->panel_atoms;
    PursuitTiles tiles;
    load(end - from, [&](int64_t i) { return row(from + i); }, [&](int64_t i) { return norm2_[from + i]; }, tiles);
    float score[kMostTile * kMostPanel];
    const auto scale = [&](int64_t p) { return norm2_[p] > 0 ? 0x1p-15 / gram_unit(p) : 0.0; };
    for (int64_t p = 0; p < panels(); ++p)
        for (int64_t first = 0; first < tiles.count; first += rows) {
            product(tiles.cells.data() + first * cells_, panels_.data() + p * width * cells_,
                    factor_.data() + p * width, tiles.cells.data(), score);
            for (int64_t r = first; r < std::min(tiles.count, first + rows); ++r) {
                const int64_t i = from + r, count = std::min(width, stride_ - p * width);
                float* of = score + (r - first) * width;
                double length2;
                for (int64_t c = 0; c < width; ++c) of[c] *= static_cast<float>(tiles.inverse[r]);
                kernels_->f32.round_i16(of, count, scale(i), gram_.data() + i * stride_ + p * width, &length2);
                for (int64_t j = p * width; j < std::min(known, (p + 1) * width); ++j)
                    kernels_->f32.round_i16(of + (j - p * width), 1, scale(j), gram_.data() + j * stride_ + i,
                                            &length2);
            }
        }
    for (int64_t i = from; i < end; ++i)
        std::fill_n(gram_.data() + i * stride_ + panels() * width, stride_ - panels() * width, std::int16_t{0});
}

template class PursuitAtoms<float>;
template class PursuitAtoms<double>;

}  // namespace latom
