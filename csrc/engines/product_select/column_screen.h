// column_screen.h: the best atom of each of a few dense rows of few columns: scores in float32, near ties in float64.
//
// Rows of few columns cost more to pack and to queue than to score. The kernel (kernels/best_two.inl.h) has rows across
// its lanes and gives the best atom and the two highest scores. The best is the answer where it leads by more than both
// may be wrong; other rows are scored once more, and float64 decides between the atoms that may be the best.
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
// Cost      2 m d flops per row.
// Memory    3 m d numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/buffer.h"
#include "engines/product_select/decide.h"
#include "rows/rows.h"

namespace latom {

/// The rows row(0), ..., row(count - 1) less the origin in float32, column by column: out [d][width], 0 after the last.
/// Returns a bound on the length of the longest. kRun: they are neighbors in X.
template <bool kRun, class View, class Row>
double load_columns(const Rows<View>& rows, const std::vector<typename View::value_type>& origin, int64_t count,
                    int64_t width, Row row, float* out) {
    constexpr int64_t kAhead = 8;  // rows that are on their way from memory
    const int64_t d = rows.d();
    const auto bound = [](float norm2) { return std::sqrt(static_cast<double>(norm2)) * (1 + 1e-5) + 1e-18; };
    if constexpr (kRun && sizeof(typename View::value_type) == 4)
        if (count == width && width == rows.kernels()->best_rows && rows.whole())
            return bound(
                rows.kernels()->turn_rows(rows.values(row(0)), d, origin.empty() ? nullptr : origin.data(), out));
    if (count < width) std::fill_n(out, d * width, 0.0f);
    for (int64_t r = 0; r < count; ++r) {
        if (r + kAhead < count) rows.prefetch(row(r + kAhead));
        const auto* x = rows.values(row(r));
        for (int64_t t = 0; t < d; ++t)
            out[t * width + r] = static_cast<float>(origin.empty() ? x[t] : x[t] - origin[t]);
    }
    float norm2[64] = {}, largest = 0;
    for (int64_t t = 0; t < d; ++t)
        for (int64_t r = 0; r < width; ++r) norm2[r] += out[t * width + r] * out[t * width + r];
    for (int64_t r = 0; r < count; ++r) largest = std::max(largest, norm2[r]);
    return bound(largest);
}

/// Whether m atoms are few enough, by measurement: the second cache holds them, and bounds spare more of more columns.
inline bool few_numbers(int64_t m, int64_t d) { return m * d <= (d <= 40 ? 1 << 16 : 1 << 15); }

template <class View>
class ColumnScreen {
public:
    using T = typename View::value_type;
    static constexpr int64_t kMostColumns = 64;  // by measurement
    static constexpr double kLargest = 1e18;     // length whose products float32 holds

    struct alignas(kCacheLine) Scratch {
        AlignedVector<float> columns, best, second;
        std::vector<int32_t> label;        // of the rows that were scored last
        AlignedVector<float> bias, above;  // [m] with the error of a score, [padded] with twice the error
        std::vector<float> error;          // [m], and the largest
        double error_most = 0, held = -1;  // of rows of what length
        AlignedVector<float> row, of_row;  // one row, and its scores
        std::vector<int32_t> which;        // [padded]
        int64_t near = 0, scored = 0;

        void begin(int64_t width, int64_t d) {
            near = scored = 0;
            held = -1;
            label.resize(static_cast<std::size_t>(width));
            for (auto* v : {&best, &second}) v->resize(static_cast<std::size_t>(width));
            columns.resize(static_cast<std::size_t>(width * d));
        }
    };

    explicit ColumnScreen(const Rows<View>& rows) : rows_(rows) {}

    /// Takes atoms, atom(j) of squared length norm2(j) for j in [0, m), of `rows`' columns; false where float32 does
    /// not hold them.
    template <class AtomOf, class Norm2>
    bool pack(const KernelTable* kernels, int64_t m, AtomOf atom, Norm2 norm2, const ScoreRule& rule);

    /// The errors of scores of rows of such a length less the origin, and biases that hold them. Those of somewhat
    /// longer rows serve as well.
    void widen(double longest, Scratch& s) const;
    /// Scores of the rows that lie in these columns with `among` atoms `which` (none: all): the best of each row into
    /// s.label, its score into s.best, which no score exceeds. False where rows are too long for float32.
    bool score(double longest, const float* columns, const int32_t* which, int64_t among, Scratch& s) const;
    /// The best atom of row i, which score() saw at place r of these columns.
    int32_t settled(int64_t r, int64_t i, const float* columns, Scratch& s) const {
        const double lead = static_cast<double>(s.best[r]) - static_cast<double>(s.second[r]);
        return lead > 2 * static_cast<double>(s.error[s.label[r]]) ? s.label[r] : decide(r, i, columns, s);
    }
    /// Both, for the rows row(0), ..., row(count - 1): the best atom of each into s.label.
    template <class Row>
    void settle(int64_t count, double longest, const float* columns, Row row, const int32_t* which, int64_t among,
                Scratch& s) const;
    /// The best atom of row i by float64 alone.
    int32_t best_of_all(int64_t i, Scratch& s) const;

    int64_t size() const { return m_; }
    int64_t width() const { return kernels_->best_rows; }
    const T* value(int64_t j) const { return value_.data() + j * rows_.d(); }
    const std::vector<T>& origin() const { return origin_; }
    const float* atoms() const { return atoms_.data(); }
    /// The atoms column by column [d][padded], 0 after the last.
    const float* turned() const { return turned_.data(); }
    int64_t padded() const { return padded_; }
    const ScoreRule& rule() const { return rule_; }

private:
    static constexpr int64_t kLine = 16;  // numbers

    int32_t decide(int64_t r, int64_t i, const float* columns, Scratch& s) const;

    const Rows<View>& rows_;
    const KernelTable* kernels_ = nullptr;
    int64_t m_ = 0, padded_ = 0;
    ScoreRule rule_;
    std::vector<T> value_;             // [m, d]
    std::vector<T> origin_;            // [d], or empty: o
    AlignedVector<float> atoms_;       // [m, d]: w'
    AlignedVector<float> turned_;      // [d, padded]
    std::vector<float> bias_;          // [m]: b'
    std::vector<float> slope_, base_;  // [m]: e_j is at most slope |x'| + base
    std::vector<int32_t> all_;         // [m]: 0, 1, ...
};

template <class View>
template <class AtomOf, class Norm2>
bool ColumnScreen<View>::pack(const KernelTable* kernels, int64_t m, AtomOf atom, Norm2 atom_norm2,
                              const ScoreRule& rule) {
    const int64_t d = rows_.d();
    kernels_ = kernels;
    rule_ = rule;
    m_ = m;
    padded_ = chunk_count(m, kLine) * kLine;
    turned_.assign(static_cast<std::size_t>(d * padded_), 0.0f);
    value_.resize(static_cast<std::size_t>(m * d));
    atoms_.resize(value_.size());
    for (auto* v : {&bias_, &slope_, &base_}) v->assign(static_cast<std::size_t>(m), 0.0f);
    all_.resize(static_cast<std::size_t>(m));
    std::iota(all_.begin(), all_.end(), 0);
    if (!rule.bias.empty() && origin_.empty()) {
        std::vector<double> sum(static_cast<std::size_t>(d), 0.0);
        for (int64_t j = 0; j < m; ++j)
            for (int64_t t = 0; t < d; ++t) sum[t] += static_cast<double>(atom(j)[t]) / static_cast<double>(m);
        origin_.assign(sum.begin(), sum.end());
    }
    double away = 0;  // |o|
    for (const T v : origin_) away += static_cast<double>(v) * static_cast<double>(v);
    away = std::sqrt(away);
    const double gamma = 1.01 * static_cast<double>(d + 10) * 0x1p-24, tiny = static_cast<double>(d + 10) * 0x1p-148,
                 far = static_cast<double>(d + 16) * 0x1p-52, up = 1 + 1e-6;
    for (int64_t j = 0; j < m; ++j) {
        const T* value = atom(j);
        std::copy_n(value, d, value_.begin() + j * d);
        const double factor = rule.factor.empty() ? 1.0 : rule.factor[j];
        double norm2 = 0;
        for (int64_t t = 0; t < d; ++t) {
            const double w =
                factor * (static_cast<double>(value[t]) - (origin_.empty() ? 0.0 : static_cast<double>(origin_[t])));
            atoms_[j * d + t] = turned_[t * padded_ + j] = static_cast<float>(w);
            norm2 += w * w;
        }
        if (!(norm2 <= kLargest * kLargest) || !(atom_norm2(j) <= kLargest * kLargest)) return false;
        const double bias = origin_.empty() ? 0.0 : -0.5 * norm2, length = far * std::sqrt(atom_norm2(j)) * factor;
        bias_[j] = static_cast<float>(bias);
        slope_[j] = static_cast<float>((gamma * std::sqrt(norm2) + tiny + length) * up) + 0x1p-140f;
        double base = gamma * std::abs(bias) + tiny * (2 + std::sqrt(norm2)) + length * away;
        if (!rule.bias.empty()) base += far * std::abs(rule.bias[j]);
        base_[j] = static_cast<float>(base * up) + 0x1p-140f;
    }
    return true;
}

template <class View>
void ColumnScreen<View>::widen(double longest, Scratch& s) const {
    constexpr double kSlack = 1.2;
    if (longest <= s.held && s.held <= 2 * kSlack * longest) return;
    s.held = kSlack * longest;
    s.error.resize(static_cast<std::size_t>(m_));
    s.bias.resize(static_cast<std::size_t>(m_));
    const auto length = static_cast<float>(s.held * (1 + 1e-6));
    float most = 0;
    for (int64_t j = 0; j < m_; ++j) {
        s.error[j] = (slope_[j] * length + base_[j]) * (1 + 1e-6f);
        s.bias[j] = bias_[j] + s.error[j];
        most = std::max(most, s.error[j]);
    }
    s.error_most = most;
    s.above.assign(static_cast<std::size_t>(padded_), -std::numeric_limits<float>::infinity());
    for (int64_t j = 0; j < m_; ++j) s.above[j] = bias_[j] + 2.0001f * s.error[j];
}

template <class View>
int32_t ColumnScreen<View>::best_of_all(int64_t i, Scratch& s) const {
    ++s.near;
    if (!(rows_.norm2(i) > 0)) return rule_.zero_label();
    int32_t best = 0;
    double most = -HUGE_VAL;
    for (int64_t j = 0; j < m_; ++j)
        if (const double v = rule_(rows_.dot(i, value(j)), j); v > most) {
            most = v;
            best = static_cast<int32_t>(j);
        }
    return best;
}

// The atoms that may be the best of a box, which is a point here, are taken in float64.
template <class View>
int32_t ColumnScreen<View>::decide(int64_t r, int64_t i, const float* columns, Scratch& s) const {
    const int64_t d = rows_.d();
    ++s.near;
    if (!(rows_.norm2(i) > 0)) return rule_.zero_label();
    s.row.resize(static_cast<std::size_t>(d));
    s.of_row.resize(static_cast<std::size_t>(padded_));
    s.which.resize(static_cast<std::size_t>(padded_));
    for (int64_t t = 0; t < d; ++t) s.row[t] = columns[t * width() + r];
    kernels_->f32.small_product(s.row.data(), 1, d, turned_.data(), padded_, s.of_row.data());
    const BoxAtoms atoms{turned_.data(), nullptr, s.above.data(), s.error.data(), d, m_, padded_};
    const int64_t count = kernels_->box_atoms(atoms, nullptr, 0, s.of_row.data(), s.which.data());
    int32_t best = 0;
    double most = -HUGE_VAL;
    for (int64_t c = 0; c < count; ++c) {
        const int32_t j = s.which[c];
        const double v = rule_(rows_.dot(i, value(j)), j);
        if (!(v > most)) continue;
        most = v;
        best = j;
    }
    return best;
}

template <class View>
bool ColumnScreen<View>::score(double longest, const float* columns, const int32_t* which, int64_t among,
                               Scratch& s) const {
    if (!(longest <= kLargest)) return false;
    widen(longest, s);
    if (among == 0) {
        which = all_.data();
        among = m_;
    }
    kernels_->best_two(columns, rows_.d(), atoms_.data(), s.bias.data(), which, among, s.label.data(), s.best.data(),
                       s.second.data());
    return true;
}

template <class View>
template <class Row>
void ColumnScreen<View>::settle(int64_t count, double longest, const float* columns, Row row, const int32_t* which,
                                int64_t among, Scratch& s) const {
    if (!score(longest, columns, which, among, s)) {
        for (int64_t r = 0; r < count; ++r) s.label[r] = best_of_all(row(r), s);
        return;
    }
    s.scored += count * (among > 0 ? among : m_);
    const auto clear = static_cast<float>(2 * s.error_most * (1 + 1e-6));
    const float *best = s.best.data(), *second = s.second.data();
    int near = 0;
    for (int64_t r = 0; r < count; ++r) near |= !(best[r] - second[r] > clear);
    for (int64_t r = 0; near && r < count; ++r) s.label[r] = settled(r, row(r), columns, s);
}

}  // namespace latom
