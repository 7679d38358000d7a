// document_index.h: an inverted index of sparse documents with their weights in float32, and bounds on what frequent
// terms can add.
//
//   w_jt = scale factor_j x_jt       scale is a power of 2 that makes the longest document at most 1 long
//
// A term's list holds (document, w rounded to float32) by rising document. Terms have levels by how many documents hold
// them: level l >= 1 is the least with count >= n / 2^(l+1), and kLevels stands for all rarer ones too. head(l)[j]
// bounds the length of document j in its terms of levels 1 .. l, in units of unit(l), rounded up: so by Cauchy and
// Schwarz, terms of a query at those levels, of length |q_H|, add at most |q_H| unit(l) head(l)[j] to its product with
// document j.
//
// heavy(l) lists documents by falling head(l), so that those whose frequent terms alone could answer are found at once.
//
// Memory    8 bytes per entry, 12 per column, 5 kLevels + 4 per document.
// Cost      three passes over the entries.
#pragma once

#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "engines/product_select/score_rule.h"
#include "rows/rows.h"

namespace latom {

class DocumentIndex {
public:
    static constexpr int kLevels = 12;
    struct Posting {
        int32_t document;
        float weight;
    };

    /// rule: what the products are ranked by (factor and bias of each document).
    template <class T, class I>
    DocumentIndex(const Context& ctx, const Rows<CsrView<T, I>>& X, const ScoreRule& rule);

    int64_t n() const { return n_; }
    int64_t d() const { return static_cast<int64_t>(level_.size()); }
    double scale() const { return scale_; }
    const Posting* begin(int64_t term) const { return postings_.data() + start_[term]; }
    int64_t count(int64_t term) const { return start_[term + 1] - start_[term]; }
    /// The level of a term, in [1, kLevels].
    int level(int64_t term) const { return level_[term]; }
    /// l in [0, kLevels]; level 0 bounds nothing: its numbers are 0.
    const uint8_t* head(int l) const { return head_.data() + l * n_; }
    double unit(int l) const { return unit_[l]; }
    /// Documents by falling head(l): the first heavy_count(l, b) have head(l)[j] >= b, b in [0, 256].
    const int32_t* heavy(int l) const { return heavy_.data() + l * n_; }
    int64_t heavy_count(int l, int b) const { return heavy_count_[static_cast<std::size_t>(l * 257 + b)]; }
    /// An upper bound of the length of document j, scaled.
    float length(int64_t j) const { return length_[j]; }
    int64_t bytes() const {
        return static_cast<int64_t>(postings_.size() * sizeof(Posting) + start_.size() * 8 + level_.size() * 4 +
                                    head_.size() + length_.size() * 4 + heavy_.size() * 4 + heavy_count_.size() * 8);
    }

private:
    template <class T, class I>
    void bound_heads(const Context& ctx, const Rows<CsrView<T, I>>& X, const ScoreRule& rule);

    int64_t n_;
    double scale_ = 1;
    std::vector<int64_t> start_;  // [d + 1]
    std::vector<int32_t> level_;  // [d]
    AlignedVector<Posting> postings_;
    AlignedVector<uint8_t> head_;       // [kLevels + 1, n]
    AlignedVector<int32_t> heavy_;      // [kLevels + 1, n]
    std::vector<int64_t> heavy_count_;  // [kLevels + 1, 257]
    std::vector<float> length_;         // [n]
    double unit_[kLevels + 1] = {};
};

}  // namespace latom
