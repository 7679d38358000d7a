// few_columns.h: the best atom of each dense row of few columns: all scores in float32 at once, near ties in float64.
//
// Rows of few columns cost more to pack, to queue and to keep bounds for than to score. So every pass scores them all:
// the kernel (kernels/best_two.inl.h) has rows across its lanes and gives the best atom and the two highest scores. The
// best is the answer where it leads by more than both may be wrong; other rows meet all atoms in float64.
//
// Euclidean scores are taken from a point o amid the atoms, which changes all scores of a row alike: data far from the
// origin would leave float32 nothing to tell atoms apart by. With x' = x - o, w' = factor (w - o) and their bias b',
//
//   |score_j - S'_j| <= e_j = gamma (|x'| |w'_j| + |b'_j|) + t + f,      gamma = 1.01 (d + 10) 2^-24
//
// which counts the rounding of x', w' and b' to float32 and of d products and sums, in whatever order; t is for numbers
// below what float32 holds, f = (d + 16) 2^-52 (|x| |w_j| + |b_j|) for the float64 scores that decide. The kernel adds
// e_j to each score. The atom j of the highest is the answer where it leads by more than 2 e_j.
//
// Cost      2 n m d flops and one reading of X per pass; m d numbers for the atoms.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "algorithms/cluster/drift.h"
#include "core/buffer.h"
#include "engines/product_select/decide.h"
#include "rows/atom.h"
#include "rows/rows.h"

namespace latom {

template <class View>
class FewColumns {
public:
    using T = typename View::value_type;

    explicit FewColumns(const Rows<View>& rows) : rows_(rows) {}

    /// Takes the atoms of a pass; false where this is not the way: too many columns, numbers that float32 does not
    /// hold, or a pass before this one that left much to float64.
    bool pack(const Context& ctx, const std::vector<Atom<T>>& atoms, const ScoreRule& rule);

    /// Labels and scores of all rows. Returns the multiply-adds spent.
    double run(const Context& ctx, RowState& state);

private:
    static constexpr int64_t kMostColumns = 64;       // by measurement
    static constexpr int64_t kMostNumbers = 1 << 14;  // of all atoms together: the second cache holds them
    static constexpr double kTooMany = 1.0 / 16;      // share of the rows in float64 from which bounds are better
    static constexpr double kLargest = 1e18;          // length whose products float32 holds
    static constexpr double kSmallest = 1e-18;        // length whose square float32 holds

    struct Scratch {
        AlignedVector<float> rows, columns, bias, best, second;
        std::vector<int32_t> label;
        std::vector<double> error, scores;  // [m]
        int64_t near = 0;
    };
    double columns(int64_t from, int64_t count, Scratch& s) const;
    double length(int64_t from, int64_t count) const;
    void widen(double shifted, double length, Scratch& s) const;
    int32_t decide(int64_t i, Scratch& s) const;
    double dot(const T* x, const T* y) const;

    const Rows<View>& rows_;
    const KernelTable* kernels_ = nullptr;
    const std::vector<Atom<T>>* atoms_ = nullptr;
    const ScoreRule* rule_ = nullptr;
    int64_t groups_ = 0;
    std::vector<double> origin_;        // [d], or empty: o
    AlignedVector<float> packed_;       // [groups][d][best_atoms]
    std::vector<double> bias_;          // [m]: b'
    std::vector<double> slope_, base_;  // [m]: e_j is at most slope |x'| + base + far |x|
    std::vector<double> far_;
    bool useful_ = true;
    std::vector<Scratch> scratch_;
};

template <class View>
bool FewColumns<View>::pack(const Context& ctx, const std::vector<Atom<T>>& atoms, const ScoreRule& rule) {
    const auto m = static_cast<int64_t>(atoms.size()), d = rows_.d();
    if (!useful_ || d > kMostColumns || m * d > kMostNumbers) return false;
    kernels_ = ctx.kernels;
    atoms_ = &atoms;
    rule_ = &rule;
    const int64_t width = kernels_->best_atoms;
    groups_ = chunk_count(m, width);
    packed_.assign(static_cast<std::size_t>(groups_ * d * width), 0.0f);
    for (auto* v : {&bias_, &slope_, &base_, &far_}) v->assign(static_cast<std::size_t>(m), 0.0);
    if (!rule.bias.empty() && origin_.empty()) {
        origin_.assign(static_cast<std::size_t>(d), 0.0);
        for (const Atom<T>& atom : atoms)
            for (int64_t t = 0; t < d; ++t) origin_[t] += static_cast<double>(atom.value[t]) / static_cast<double>(m);
    }
    const double gamma = 1.01 * static_cast<double>(d + 10) * 0x1p-24, tiny = static_cast<double>(d + 10) * 0x1p-148;
    for (int64_t j = 0; j < m; ++j) {
        const double factor = rule.factor.empty() ? 1.0 : rule.factor[j];
        double norm2 = 0;
        for (int64_t t = 0; t < d; ++t) {
            const double w = factor * (static_cast<double>(atoms[j].value[t]) - (origin_.empty() ? 0.0 : origin_[t]));
            packed_[(j / width * d + t) * width + j % width] = static_cast<float>(w);
            norm2 += w * w;
        }
        if (!(norm2 <= kLargest * kLargest) || !(atoms[j].norm2 <= kLargest * kLargest)) return false;
        if (!origin_.empty()) bias_[j] = -0.5 * norm2;
        slope_[j] = gamma * std::sqrt(norm2) + tiny;
        far_[j] = static_cast<double>(d + 16) * 0x1p-52 * std::sqrt(atoms[j].norm2) * factor;
        base_[j] = gamma * std::abs(bias_[j]) + tiny * (2 + std::sqrt(norm2));
        if (!rule.bias.empty()) base_[j] += static_cast<double>(d + 16) * 0x1p-52 * std::abs(rule.bias[j]);
    }
    return true;
}

// The rows [from, from + count) less the origin, as the kernel takes them; returns the length of the longest.
template <class View>
double FewColumns<View>::columns(int64_t from, int64_t count, Scratch& s) const {
    const int64_t d = rows_.d(), width = kernels_->best_rows;
    s.rows.resize(static_cast<std::size_t>(width * d));  // those after count are of earlier rows, or 0: nobody looks
    s.columns.resize(static_cast<std::size_t>(width * d));
    float largest = 0;
    for (int64_t r = 0; r < count; ++r) {
        const T* x = rows_.values(from + r);
        float* out = s.rows.data() + r * d;
        float norm2 = 0;
        for (int64_t t = 0; t < d; ++t) {
            out[t] = static_cast<float>(origin_.empty() ? static_cast<double>(x[t]) : x[t] - origin_[t]);
            norm2 += out[t] * out[t];
        }
        largest = std::max(largest, norm2);
    }
    kernels_->interleave(reinterpret_cast<const std::uint32_t*>(s.rows.data()), width, d, d,
                         reinterpret_cast<std::uint32_t*>(s.columns.data()));
    return std::sqrt(static_cast<double>(largest)) * (1 + 1e-5) + kSmallest;
}

// Of the longest of the rows.
template <class View>
double FewColumns<View>::length(int64_t from, int64_t count) const {
    double largest = 0;
    for (int64_t i = from; i < from + count; ++i) largest = std::max(largest, rows_.norm2(i));
    return std::sqrt(largest);
}

// The errors of scores of rows of such lengths, and biases that hold them.
template <class View>
void FewColumns<View>::widen(double shifted, double length, Scratch& s) const {
    const auto m = static_cast<int64_t>(atoms_->size());
    s.error.resize(static_cast<std::size_t>(m));
    s.bias.assign(static_cast<std::size_t>(groups_ * kernels_->best_atoms), -std::numeric_limits<float>::infinity());
    for (int64_t j = 0; j < m; ++j) {
        s.error[j] = slope_[j] * shifted + (base_[j] + far_[j] * length);
        s.bias[j] = static_cast<float>(bias_[j] + s.error[j]);
    }
}

template <class View>
int32_t FewColumns<View>::decide(int64_t i, Scratch& s) const {
    const auto m = static_cast<int64_t>(atoms_->size());
    const auto row = [this](int64_t j) { return (*atoms_)[j].value.data(); };
    s.scores.resize(static_cast<std::size_t>(m));
    AtomTable<T, decltype(row)>(kernels_, rows_.d(), *rule_, row).run(rows_.values(i), 0, m, s.scores.data());
    ++s.near;
    return static_cast<int32_t>(std::max_element(s.scores.begin(), s.scores.end()) - s.scores.begin());
}

// In the order of kernels/dot.inl.h, without a call for so few columns.
template <class View>
double FewColumns<View>::dot(const T* x, const T* y) const {
    const int64_t d = rows_.d();
    if (d > 8) return kernels_->template of<T>().dense_dot(x, y, d);
    double s[8] = {};
    for (int64_t t = 0; t < d; ++t) s[t] += static_cast<double>(x[t]) * static_cast<double>(y[t]);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

template <class View>
double FewColumns<View>::run(const Context& ctx, RowState& state) {
    constexpr int64_t kRows = 1024;
    const int64_t n = rows_.n(), d = rows_.d(), width = kernels_->best_rows;
    const auto m = static_cast<int64_t>(atoms_->size());
    const int32_t zero_label = rule_->zero_label();
    scratch_.resize(static_cast<std::size_t>(workers(ctx, chunk_count(n, kRows))));
    for (Scratch& s : scratch_) s.near = 0;
    parallel_for(ctx, chunk_count(n, kRows), [&](int64_t c, int worker) {
        Scratch& s = scratch_[worker];
        s.label.resize(static_cast<std::size_t>(width));
        s.best.resize(static_cast<std::size_t>(width));
        s.second.resize(static_cast<std::size_t>(width));
        const int64_t end = std::min(n, (c + 1) * kRows);
        for (int64_t from = c * kRows; from < end; from += width) {
            const int64_t count = std::min(width, end - from);
            const double longest = length(from, count);
            const bool held = longest <= kLargest;
            if (held) {
                widen(columns(from, count, s), longest, s);
                kernels_->best_two(s.columns.data(), d, packed_.data(), s.bias.data(), groups_, s.label.data(),
                                   s.best.data(), s.second.data());
            }
            for (int64_t r = 0; r < count; ++r) {
                const int64_t i = from + r;
                const auto lead = [&] { return static_cast<double>(s.best[r]) - static_cast<double>(s.second[r]); };
                if (!(rows_.norm2(i) > 0)) {
                    state.label[i] = zero_label;
                } else if (held && lead() > 2 * s.error[s.label[r]]) {
                    state.label[i] = s.label[r];
                } else {
                    state.label[i] = decide(i, s);
                }
            }
        }
        for (int64_t i = c * kRows; i < end; ++i) {
            const int32_t j = state.label[i];
            state.own[i] = (*rule_)(rows_.norm2(i) > 0 ? dot(rows_.values(i), (*atoms_)[j].value.data()) : 0.0, j);
            state.far[i] = -1;
        }
    });
    int64_t near = 0;
    for (const Scratch& s : scratch_) near += s.near;
    useful_ = static_cast<double>(near) <= kTooMany * static_cast<double>(n) + 64;
    return static_cast<double>(n + near) * static_cast<double>(m) * static_cast<double>(d);
}

}  // namespace latom
