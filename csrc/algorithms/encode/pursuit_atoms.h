// pursuit_atoms.h: atoms as pursuit computes with them: rows, panels for products with all of them, their Gram matrix.
//
// A panel is one line of 64 bytes wide: panel p holds number j of its atoms side by side, for kernels/small_product.
// All grow by append(). Numbers are scaled by a power of two so that the longest of the first atoms has a length in
// [1/2, 1): squares of what T holds may not be held by T.
#pragma once

#include <atomic>

#include "core/buffer.h"
#include "core/turns.h"
#include "kernels/table.h"
#include "latom/pursuit.h"

namespace latom {

template <class T>
class PursuitAtoms {
public:
    static constexpr int64_t kPanel = static_cast<int64_t>(64 / sizeof(T));  // atoms

    PursuitAtoms(const KernelTable* kernels, int64_t d) : kernels_(kernels), d_(d) {}

    int64_t m() const { return m_; }
    int64_t d() const { return d_; }
    int64_t panels() const { return (m_ + kPanel - 1) / kPanel; }
    int64_t width() const { return panels() * kPanel; }  // of products with all atoms: zeros beyond m
    int exponent() const { return exponent_; }           // atoms are as given times 2^-exponent
    const T* row(int64_t j) const { return rows_.data() + j * d_; }
    double norm2(int64_t j) const { return norm2_[j]; }
    double longest() const { return longest_; }  // length
    const KernelTable* kernels() const { return kernels_; }

    /// keep_gram: the Gram matrix, if there is one, grows with them; otherwise it goes.
    void append(const Context& ctx, const T* atoms, int64_t count, bool keep_gram);

    /// out [rows, stride] at columns [first * kPanel, last * kPanel) = X [rows, d] times the atoms of these panels.
    void products(const T* X, int64_t rows, int64_t first, int64_t last, T* out, int64_t stride, T* tile) const;
    static constexpr int64_t kTileRows = 64;  // tile [kTileRows, kPanel] is scratch of products()

    /// Makes the Gram matrix unless it is there; it grows with the atoms from then on. False: a signal handler
    /// interrupted its making, and has to do without.
    bool make_gram(const Context& ctx);
    bool has_gram() const { return has_gram_.load(std::memory_order_acquire); }
    const T* gram(int64_t j) const { return gram_.data() + j * stride_; }  // [width]

private:
    void extend_gram(const Context& ctx, int64_t known);

    const KernelTable* kernels_;
    int64_t d_, m_ = 0, stride_ = 0;
    int exponent_ = 0;
    double longest_ = 0;
    AlignedVector<T> rows_, panels_, gram_;
    std::vector<double> norm2_;
    std::atomic<bool> has_gram_{false};
    Turns turns_;
};

}  // namespace latom
