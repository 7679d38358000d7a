// pursuit_atoms.cpp: atoms are packed and multiplied as they come.
#include "algorithms/encode/pursuit_atoms.h"

#include <algorithm>
#include <cmath>

#include "core/message.h"
#include "rows/acceptable.h"

namespace latom {

template <class T>
void PursuitAtoms<T>::append(const Context& ctx, const T* atoms, int64_t count, bool keep_gram) {
    const auto dot = kernels_->of<T>().dense_dot;
    std::vector<double> lengths2(static_cast<std::size_t>(count));
    double longest2 = 0;
    for (int64_t j = 0; j < count; ++j) {
        lengths2[j] = dot(atoms + j * d_, atoms + j * d_, d_);
        if (!acceptable(atoms + j * d_, d_, lengths2[j])) refuse_row(ctx, "atoms", j, atoms + j * d_, d_);
        longest2 = std::max(longest2, lengths2[j]);
    }
    if (m_ == 0 && longest2 > 0) std::frexp(std::sqrt(longest2), &exponent_);
    const int64_t known = m_;
    m_ += count;
    rows_.resize(static_cast<std::size_t>(m_ * d_));
    norm2_.resize(static_cast<std::size_t>(m_));
    const auto before = static_cast<int64_t>(panels_.size());
    panels_.resize(static_cast<std::size_t>(panels() * kPanel * d_));
    std::fill(panels_.begin() + before, panels_.end(), T{0});
    const T scale = static_cast<T>(std::ldexp(1.0, -exponent_));
    for (int64_t j = 0; j < count; ++j) {
        const int64_t at = known + j;
        T* row = rows_.data() + at * d_;
        T* panel = panels_.data() + at / kPanel * kPanel * d_ + at % kPanel;
        for (int64_t t = 0; t < d_; ++t) panel[t * kPanel] = row[t] = atoms[j * d_ + t] * scale;
        norm2_[at] = dot(row, row, d_);
        longest_ = std::max(longest_, std::sqrt(norm2_[at]));
    }
    if (!has_gram()) return;
    if (keep_gram) {
        extend_gram(ctx, known);
    } else {
        has_gram_.store(false, std::memory_order_release);
        gram_ = {};
        stride_ = 0;
    }
}

template <class T>
void PursuitAtoms<T>::products(const T* X, int64_t rows, int64_t first, int64_t last, T* out, int64_t stride,
                               T* tile) const {
    const auto product = kernels_->of<T>().small_product;
    for (int64_t from = 0; from < rows; from += kTileRows) {
        const int64_t some = std::min(kTileRows, rows - from);
        for (int64_t p = first; p < last; ++p) {
            product(X + from * d_, some, d_, panels_.data() + p * kPanel * d_, kPanel, tile);
            for (int64_t r = 0; r < some; ++r)
                std::copy_n(tile + r * kPanel, kPanel, out + (from + r) * stride + p * kPanel);
        }
    }
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

// The products of new atoms with all before them, and among themselves with those from their own panel on; the rest are
// these, mirrored: a product of two rows has the same bits either way.
template <class T>
void PursuitAtoms<T>::extend_gram(const Context& ctx, int64_t known) {
    constexpr int64_t kRows = 32;
    if (width() > stride_) {  // some room more than is needed, unless these are the first
        const int64_t wider = known ? (width() + width() / 2 + kPanel - 1) / kPanel * kPanel : width();
        AlignedVector<T> grown(static_cast<std::size_t>(wider * wider));
        for (int64_t j = 0; j < known; ++j) {
            std::copy_n(gram_.data() + j * stride_, stride_, grown.data() + j * wider);
            std::fill_n(grown.data() + j * wider + stride_, wider - stride_, T{0});
        }
        gram_ = std::move(grown);
        stride_ = wider;
    }
    const int64_t before = (known + kPanel - 1) / kPanel;  // panels with an older atom
    parallel_for(ctx, chunk_count(m_ - known, kRows), [&](int64_t c, int) {
        const int64_t from = known + c * kRows, end = std::min(m_, from + kRows);
        AlignedVector<T> tile(static_cast<std::size_t>(kTileRows * kPanel));
        T* out = gram_.data() + from * stride_;
        const int64_t own = std::max(before, from / kPanel);
        products(row(from), end - from, 0, before, out, stride_, tile.data());
        products(row(from), end - from, own, panels(), out, stride_, tile.data());
    });
    parallel_for(ctx, chunk_count(m_, kPanel), [&](int64_t c, int) {
        const int64_t from = c * kPanel, end = std::min(m_, from + kPanel);
        for (int64_t i = known; i < m_; ++i)
            for (int64_t t = from; t < end; ++t)
                if (t < known || i < t) gram_[t * stride_ + i] = gram_[i * stride_ + t];
        for (int64_t t = std::max(from, known); t < end; ++t)
            std::fill_n(gram_.data() + t * stride_ + m_, stride_ - m_, T{0});
    });
}

template class PursuitAtoms<float>;
template class PursuitAtoms<double>;

}  // namespace latom
