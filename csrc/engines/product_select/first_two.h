// first_two.h: the best of few atoms for each dense row, and how far behind the others are, by float32 products.
//
//   S(x, j) = factor_j <x, w_j> + bias_j              as float64 decides it (score_rule.h)
//
// The screen takes rows and atoms in float32, s_j = factor_j dot_j + bias_j in float64. Of float64 data each number is
// rounded once; products and sums round d times in whatever order (kernels/few_dots.inl.h):
//
//   |dot_j - <x, w_j>| <= gamma |x| |w_j| + tiny,         gamma = 1.01 (d + 12) 2^-24
//   |s_j - S_j|        <= e_j = factor_j (gamma |x| |w_j| + tiny) + 2^-50 |bias_j|
//
// where tiny is for numbers below what float32 holds, and the roundings of S itself, (d + 16) 2^-53 of |x| |w_j| and
// one of the bias, are below gamma's margin and the last term. The atom k with the highest s is the answer where no
// other has s_j + e_j >= s_k - e_k. Nothing of a row is packed or kept.
//
// Cost      2 d flops per row and atom.        Memory  the atoms once more, in float32.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/buffer.h"
#include "core/parallel.h"
#include "engines/product_select/score_rule.h"
#include "kernels/table.h"

namespace latom {

template <class T>
class FirstTwo {
public:
    static constexpr int64_t kMostAtoms = 128, kMostColumns = 1 << 16;

    struct Lead {
        int32_t atom;
        bool sure;               // it is the best, whatever was rounded
        double least;            // what S of the atom is at least,
        double others;           // and that of all others at most
        double most = HUGE_VAL;  // what S of the atom is at most
    };
    struct Scratch {
        std::vector<const float*> row;
        AlignedVector<float> narrow, product;
        AlignedVector<double> upper;
    };

    /// atoms [m] of d numbers with their squared lengths, and the rule. False where there are too many, or float32 does
    /// not hold them.
    bool pack(const KernelTable* kernels, const std::vector<const T*>& atoms, int64_t d,
              const std::vector<double>& norm2, const ScoreRule& rule);

    /// rows [count] with their squared lengths.
    void run(const T* const* rows, const double* norm2, int64_t count, Scratch& s, Lead* out) const;

private:
    static constexpr double kLargest = 1e18;  // length whose products float32 holds
    static constexpr int64_t kLine = 16, kFour = 4, kEight = 8, kTogether = 32;

    const KernelTable* kernels_ = nullptr;
    int64_t m_ = 0, padded_ = 0, d_ = 0, stride_ = 0;
    AlignedVector<float> atoms_;                          // [padded, stride]
    AlignedVector<double> factor_, bias_, slope_, base_;  // [m], whole lines: e_j = slope_j |x| + base_j
};

template <class T>
bool FirstTwo<T>::pack(const KernelTable* kernels, const std::vector<const T*>& atoms, int64_t d,
                       const std::vector<double>& norm2, const ScoreRule& rule) {
    m_ = static_cast<int64_t>(atoms.size());
    if (m_ > kMostAtoms || d > kMostColumns) return false;
    for (const double v : norm2)
        if (!(v <= kLargest * kLargest)) return false;
    kernels_ = kernels;
    d_ = d;
    padded_ = chunk_count(m_, kFour) * kFour;
    stride_ = chunk_count(d, kLine) * kLine;
    atoms_.assign(static_cast<std::size_t>(padded_ * stride_), 0.0f);
    for (auto* v : {&factor_, &bias_, &slope_, &base_})
        v->assign(static_cast<std::size_t>(chunk_count(m_, kEight) * kEight), 0.0);
    const double gamma = 1.01 * static_cast<double>(d + 12) * 0x1p-24, tiny = static_cast<double>(d + 12) * 0x1p-148;
    for (int64_t j = 0; j < m_; ++j) {
        for (int64_t t = 0; t < d; ++t) atoms_[j * stride_ + t] = static_cast<float>(atoms[j][t]);
        const double length = std::sqrt(norm2[j]), up = 1 + 1e-9;
        factor_[j] = rule.factor.empty() ? 1.0 : rule.factor[j];
        bias_[j] = rule.bias.empty() ? 0.0 : rule.bias[j];
        slope_[j] = factor_[j] * (gamma * length + tiny) * up;
        base_[j] = (factor_[j] * tiny * (1 + length) + 0x1p-50 * std::abs(bias_[j])) * up;
    }
    return true;
}

template <class T>
void FirstTwo<T>::run(const T* const* rows, const double* norm2, int64_t count, Scratch& s, Lead* out) const {
    s.product.resize(static_cast<std::size_t>(kTogether * padded_ + kEight));
    s.upper.resize(slope_.size());
    const LeadAtoms of{factor_.data(), bias_.data(), slope_.data(), base_.data(), m_};
    if constexpr (sizeof(T) == 8) {
        s.narrow.resize(static_cast<std::size_t>(kTogether * d_));
        s.row.resize(kTogether);
    }
    for (int64_t from = 0; from < count; from += kTogether) {
        const int64_t some = std::min(kTogether, count - from);
        const float* const* x;
        if constexpr (sizeof(T) == 8) {
            for (int64_t r = 0; r < some; ++r) {
                const T* row = rows[from + r];
                float* narrow = s.narrow.data() + r * d_;
                for (int64_t t = 0; t < d_; ++t) narrow[t] = static_cast<float>(row[t]);
                s.row[r] = narrow;
            }
            x = s.row.data();
        } else {
            x = rows + from;
        }
        kernels_->few_dots(x, some, d_, atoms_.data(), padded_, stride_, s.product.data());
        for (int64_t r = 0; r < some; ++r) {
            Lead& to = out[from + r] = {0, false, -HUGE_VAL, HUGE_VAL};
            if (!(norm2[from + r] <= kLargest * kLargest)) continue;
            to.atom = static_cast<int32_t>(kernels_->lead(
                s.product.data() + r * padded_, of, std::sqrt(norm2[from + r]), s.upper.data(), &to.least, &to.others));
            to.sure = to.least > to.others;
            const double error = slope_[to.atom] * std::sqrt(norm2[from + r]) + base_[to.atom];
            to.most = to.least + 2 * error + 1e-15 * std::abs(to.least);
        }
    }
}

}  // namespace latom
