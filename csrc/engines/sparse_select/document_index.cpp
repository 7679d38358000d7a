// document_index.cpp: builds the inverted index of documents.
#include "engines/sparse_select/document_index.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/parallel.h"

namespace latom {
namespace {

constexpr int64_t kRows = 2048;   // of a chunk
constexpr double kUp = 1 + 1e-6;  // more than roundings of float32 and of sums of squares amount to

// The least power of two that is more than x, or 1.
double power_above(double x) {
    if (!(x > 0)) return 1;
    int exponent = 0;
    std::frexp(x, &exponent);
    return std::ldexp(1.0, exponent);
}

}  // namespace

template <class T, class I>
DocumentIndex::DocumentIndex(const Context& ctx, const Rows<CsrView<T, I>>& X, const ScoreRule& rule)
    : n_(X.n()),
      start_(static_cast<std::size_t>(X.d()) + 1),
      level_(static_cast<std::size_t>(X.d())),
      length_(static_cast<std::size_t>(X.n())) {
    const auto factor = [&](int64_t j) { return rule.factor.empty() ? 1.0 : rule.factor[j]; };
    double longest = 0;
    for (int64_t j = 0; j < n_; ++j) longest = std::max(longest, std::sqrt(X.norm2(j)) * factor(j));
    scale_ = 1 / power_above(longest);
    for (int64_t j = 0; j < n_; ++j) {
        X.each(j, [&](int64_t t, T) { ++start_[t + 1]; });
        length_[j] = static_cast<float>(std::sqrt(X.norm2(j)) * factor(j) * scale_ * kUp);
    }
    for (std::size_t t = 0; t < level_.size(); ++t) {
        const int64_t count = start_[t + 1];
        int level = 1;
        while (level < kLevels && count < (n_ >> (level + 1))) ++level;
        level_[t] = level;
        start_[t + 1] += start_[t];
    }
    postings_.resize(static_cast<std::size_t>(start_.back()));
    std::vector<int64_t> at(start_.begin(), start_.end() - 1);
    for (int64_t j = 0; j < n_; ++j) {
        const double times = factor(j) * scale_;
        X.each(j, [&](int64_t t, T v) {
            postings_[at[t]++] = {static_cast<int32_t>(j), static_cast<float>(static_cast<double>(v) * times)};
        });
        if (j % kRows == 0 && ctx.check_interrupt) ctx.check_interrupt();
    }
    bound_heads(ctx, X, rule);
}

template <class T, class I>
void DocumentIndex::bound_heads(const Context& ctx, const Rows<CsrView<T, I>>& X, const ScoreRule& rule) {
    const int64_t chunks = chunk_count(n_, kRows);
    std::vector<std::array<float, kLevels + 1>> lengths(static_cast<std::size_t>(n_));
    parallel_for(ctx, chunks, [&](int64_t chunk, int) {
        for (int64_t j = chunk * kRows; j < std::min(n_, (chunk + 1) * kRows); ++j) {
            double squares[kLevels + 1] = {};
            const double times = (rule.factor.empty() ? 1.0 : rule.factor[j]) * scale_;
            X.each(j, [&](int64_t t, T v) {
                const double w = static_cast<double>(v) * times;
                squares[level_[t]] += w * w;
            });
            double sum = 0;
            for (int l = 0; l <= kLevels; ++l) {
                sum += squares[l];
                lengths[j][l] = static_cast<float>(std::sqrt(sum) * kUp);
            }
        }
    });
    head_.resize(static_cast<std::size_t>((kLevels + 1) * n_));
    heavy_.resize(head_.size());
    heavy_count_.assign((kLevels + 1) * 257, 0);
    parallel_for(ctx, kLevels + 1, [&](int64_t l, int) {
        float most = 0;
        for (int64_t j = 0; j < n_; ++j) most = std::max(most, lengths[j][l]);
        unit_[l] = static_cast<double>(most) * kUp / 255;
        int64_t* count = heavy_count_.data() + l * 257;
        uint8_t* head = head_.data() + l * n_;
        for (int64_t j = 0; j < n_; ++j) {
            head[j] =
                most > 0 ? static_cast<uint8_t>(std::min(255.0, std::ceil(lengths[j][l] / unit_[l]))) : uint8_t{0};
            ++count[head[j]];
        }
        for (int b = 255; b >= 0; --b) count[b] += count[b + 1];
        int64_t at[256];
        for (int b = 0; b < 256; ++b) at[b] = count[b + 1];
        for (int64_t j = 0; j < n_; ++j) heavy_[l * n_ + at[head[j]]++] = static_cast<int32_t>(j);
    });
}

template DocumentIndex::DocumentIndex(const Context&, const Rows<CsrView<float, int32_t>>&, const ScoreRule&);
template DocumentIndex::DocumentIndex(const Context&, const Rows<CsrView<float, int64_t>>&, const ScoreRule&);
template DocumentIndex::DocumentIndex(const Context&, const Rows<CsrView<double, int32_t>>&, const ScoreRule&);
template DocumentIndex::DocumentIndex(const Context&, const Rows<CsrView<double, int64_t>>&, const ScoreRule&);

}  // namespace latom
