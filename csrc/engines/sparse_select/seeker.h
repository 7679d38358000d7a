// seeker.h: one sparse query against an inverted index of documents: the k best, or all above a bar, exactly.
//
//   S(q, j) = factor_j <q, x_j> + bias_j       score_rule.h; bias at most 0, or none
//
// The bound. Let q be scaled by a power of 2 to length at most 1, and its terms stand by rising count of documents.
// When the lists of the first p terms have been added up in float32 into acc, then for each document
//
//   S' = <q, w_j> + bias'_j  <=  acc_j + |q_p..| unit(l) head(l)[j] + e length_j + tiny + bias'_j
//
// where S' and bias' are scaled as products are, l is the highest level of the terms left, and e = (terms + 8) 2^-24:
//   - the terms left add at most |q_p..| times the length of the document in terms of levels 1 .. l, by Cauchy and
//     Schwarz, and document_index.h has that length;
//   - q and w are rounded to float32 once each, a product once, and each of at most p additions once; together that
//     is below (p + 4) 2^-24 (1 + 2^-10) sum |q_t w_jt| <= (p + 4) 2^-24 (1 + 2^-10) |q| length_j, for p < 2^13;
//   - products below the smallest normal numbers lose at most 2^-149 each, which tiny = 1e-30 covers;
//   - a float64 score differs from S' by less than d 2^-52 |q| length_j, which the slack of e covers for d < 2^27, and
//     by 2^-52 |bias'_j|, which is much where queries are short: |bias'_j| <= |S'| + length_j, so that bounds are held
//     against a bar that is lower by 2^-48 of itself (hurdle).
// So a document whose bound is below what k documents are known to reach cannot be among the k best: ties pass, since
// only what is strictly below is dropped. Documents on none of the p lists have acc 0; where |q_p..| most(l) + e + tiny
// + the largest bias' is below the bar, none of them can answer, and only the lists are looked through.
//
// The steps.
//   1. Lists of the rarest terms are added until there is a number of candidates. The best by partial sum are scored in
//      float64: the k-th best score is the bar. (For all above a threshold, that is the bar.)
//   2. Lists are added until no document outside of them can answer.
//   3. Documents on the lists whose bound reaches the bar are scored in float64, highest bound first.
// Where step 2 does not succeed (fewer than k documents share terms, or the bar is not above 0), all documents are
// looked at, each once, with its bound for all terms; those on no list have S = bias_j without any product.
//
// Scratch   4 n + d sizeof(T) bytes, zero between queries.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "engines/sparse_select/document_index.h"
#include "latom/neighbors.h"

namespace latom {

/// A document with its score; better: higher, ties to the lower document.
struct Found {
    double score;
    int32_t document;
    bool operator<(const Found& other) const {  // a heap of these has its worst on top
        return score != other.score ? score > other.score : document < other.document;
    }
};

/// The k best of what is offered, or all of it above a bar.
class Kept {
public:
    /// k 0: all. Only scores above `least` are taken.
    void reset(int64_t k, double least) {
        k_ = k;
        least_ = least;
        found_.clear();
    }
    bool full() const { return k_ > 0 && static_cast<int64_t>(found_.size()) == k_; }
    /// A score strictly below this is of no use.
    double bar() const { return full() ? std::max(least_, found_.front().score) : least_; }
    void offer(double score, int64_t document) {
        const Found found{score, static_cast<int32_t>(document)};
        if (!(score > least_)) return;
        if (full()) {
            if (!(found < found_.front())) return;
            std::pop_heap(found_.begin(), found_.end());
            found_.back() = found;
        } else {
            found_.push_back(found);
        }
        if (k_ > 0) std::push_heap(found_.begin(), found_.end());
    }
    std::vector<Found>& found() { return found_; }

private:
    int64_t k_ = 0;
    double least_ = 0;
    std::vector<Found> found_;
};

struct SeekerScratch {
    AlignedVector<float> acc;       // [n]
    AlignedVector<uint8_t> listed;  // [n], made when first needed
    struct Bounded {
        float bound;
        int32_t document;
    };
    std::vector<Bounded> candidates;
    struct Term {
        int64_t count;
        int32_t column;
        float value;
    };
    std::vector<Term> terms;
    std::vector<int64_t> at;   // where each list goes on
    std::vector<double> rest;  // lengths of the terms from each on
    Kept kept;
};

template <class T, class I>
class Seeker {
public:
    Seeker(const DocumentIndex& index, const Rows<CsrView<T, I>>& documents, const ScoreRule& rule, double highest_bias)
        : index_(index), documents_(documents), rule_(rule), highest_bias_(highest_bias) {}

    /// dense [d] holds the query's numbers. without: a document to leave out, or -1. The answer stands in scratch.kept,
    /// in no order. k 0: all above `least`. Where lists of more than `patience` entries are left to walk, there is no
    /// answer, and what comes back is the score that answers are known to reach; else NaN.
    double seek(const QueryTerms<T>& query, const T* dense, int64_t k, double least, const uint8_t* allowed,
                int64_t without, bool prune, double patience, SeekerScratch& scratch, SearchStats& stats) const {
        Run run{*this, dense, allowed, without, scratch, stats};
        run.load(query);
        scratch.kept.reset(k, least);
        double bar = least;
        if (prune && k > 0) bar = std::max(bar, run.first_bar(k, least));
        const bool bounded = prune && run.choose_lists(bar);
        if (bounded && static_cast<double>(run.chosen_postings) > patience) {
            run.forget();
            return bar;
        }
        if (!bounded) run.decide_all(bar, prune);
        else if (run.chosen_postings > index_.n() / kFewPostings) run.decide_tiles(bar);
        else run.decide_listed(bar);
        return std::numeric_limits<double>::quiet_NaN();
    }
    /// Lists of so many entries cost what a query costs among many.
    double patience() const { return static_cast<double>(index_.n() / kSharedPostings); }

private:
    using Scratch = SeekerScratch;
    static constexpr int64_t kFirstPostings = 2048;
    // Lists shorter than this part of all documents are walked, where a query is alone and where it is among many.
    static constexpr int64_t kFewPostings = 8, kSharedPostings = 32;
    static constexpr int64_t kTile = 4096, kBlock = 64;
    static constexpr double kProduct = 60;  // what a product costs, in postings

    struct Run {
        const Seeker& of;
        const T* dense;
        const uint8_t* allowed;
        int64_t without;
        Scratch& s;
        SearchStats& stats;
        double times = 1;                   // scores become S' by this
        double slack = 0;                   // e
        std::size_t added = 0, chosen = 0;  // lists
        int64_t chosen_postings = 0;
        int heavy_from = 0;  // documents on no list with less than this in their heads cannot answer

        bool may(int64_t j) const { return j != without && (!allowed || allowed[j]); }
        /// What bounds are held against.
        double hurdle(double bar) const {
            const double scaled = bar * times;
            return std::isfinite(scaled) ? scaled - std::abs(scaled) * 0x1p-48 : scaled;
        }
        double bias(int64_t j) const { return of.rule_.bias.empty() ? 0.0 : of.rule_.bias[j] * times; }
        double exact(int64_t j) const {
            ++stats.decided;
            return of.rule_(of.documents_.dot(j, dense), j);
        }

        void load(const QueryTerms<T>& query) {
            int exponent = 0;
            if (query.norm2 > 0) std::frexp(std::sqrt(query.norm2), &exponent);
            const double scale = std::ldexp(1.0, -exponent - 1);
            times = scale * of.index_.scale();
            s.terms.clear();
            for (std::size_t p = 0; p < query.column.size(); ++p) {
                const int32_t t = query.column[p];
                const int64_t count = of.index_.count(t);
                if (count > 0)
                    s.terms.push_back({count, t, static_cast<float>(static_cast<double>(query.value[p]) * scale)});
            }
            std::sort(s.terms.begin(), s.terms.end(), [](const auto& a, const auto& b) {
                return a.count != b.count ? a.count < b.count : a.column < b.column;
            });
            s.rest.assign(s.terms.size() + 1, 0.0);
            for (std::size_t p = s.terms.size(); p-- > 0;) {
                const auto v = static_cast<double>(s.terms[p].value);
                s.rest[p] = s.rest[p + 1] + v * v;
            }
            for (double& r : s.rest) r = std::sqrt(r) * (1 + 1e-6);
            slack = static_cast<double>(s.terms.size() + 8) * 0x1p-24 * 1.01;
        }

        void add(std::size_t to) {
            float* acc = s.acc.data();
            for (; added < to; ++added) {
                const auto& term = s.terms[added];
                const DocumentIndex::Posting* list = of.index_.begin(term.column);
                const float q = term.value;
                for (int64_t p = 0; p < term.count; ++p) acc[list[p].document] += q * list[p].weight;
                stats.postings += term.count;
            }
        }
        template <class F>
        void each_listed(F f) const {
            for (std::size_t t = 0; t < added; ++t) {
                const DocumentIndex::Posting* list = of.index_.begin(s.terms[t].column);
                for (int64_t p = 0, count = s.terms[t].count; p < count; ++p) f(list[p].document);
            }
        }

        void forget() {
            each_listed([&](int32_t j) { s.acc[j] = 0; });
            added = 0;
        }

        // The score that k documents reach, as far as the rarest terms tell; minus infinity where they do not.
        double first_bar(int64_t k, double least) {
            const int64_t wanted = std::max(kFirstPostings, 32 * k);
            for (int64_t sum = 0; added < s.terms.size() && sum < wanted;) {
                sum += s.terms[added].count;
                add(added + 1);
            }
            // By partial sum, which says enough of which documents are good.
            auto& best = s.candidates;
            best.clear();
            const auto keep = static_cast<std::size_t>(2 * k + 8);
            float low = 0;
            const auto higher = [](const auto& a, const auto& b) {
                return a.bound != b.bound ? a.bound > b.bound : a.document < b.document;
            };
            const auto shrink = [&] {
                std::sort(best.begin(), best.end(), higher);
                const auto same = [](const auto& a, const auto& b) { return a.document == b.document; };
                best.erase(std::unique(best.begin(), best.end(), same), best.end());
                if (best.size() > keep) {
                    best.resize(keep);
                    low = best.back().bound;
                }
            };
            const bool biased = !of.rule_.bias.empty();
            each_listed([&](int32_t j) {
                const float v = s.acc[j] + (biased ? static_cast<float>(bias(j) - of.highest_bias_ * times) : 0.0F);
                if (!(v > low) || !may(j)) return;
                best.push_back({v, j});
                if (best.size() > 4 * keep + 64) shrink();
            });
            shrink();
            for (const auto& c : best) s.kept.offer(exact(c.document), c.document);
            const double bar = s.kept.full() ? s.kept.bar() : -HUGE_VAL;
            s.kept.reset(k, least);
            return bar;
        }

        // The least head of a document on none of the first p lists that can reach the bar; 256: there is none.
        int least_head(std::size_t p, double scaled) const {
            const double room = scaled - slack - 1e-30 - of.highest_bias_ * times;
            if (!(room > 0)) return 0;
            const double step = s.rest[p] * of.index_.unit(level(p));
            return room >= 256 * step ? 256 : static_cast<int>(room / step * (1 - 1e-9));
        }
        // As many lists as make what is left cheapest: lists cost as they are long, and each document that its frequent
        // terms alone could lift to the bar costs a product. False if that may be all documents.
        bool choose_lists(double bar) {
            const double scaled = hurdle(bar);
            double sum = 0, best = HUGE_VAL;
            for (std::size_t p = added; p <= s.terms.size(); ++p) {
                const auto heavy = static_cast<double>(of.index_.heavy_count(level(p), least_head(p, scaled)));
                if (sum + kProduct * heavy <= best) {
                    best = sum + kProduct * heavy;
                    chosen = p;
                    chosen_postings = static_cast<int64_t>(sum);
                }
                if (p < s.terms.size()) sum += static_cast<double>(s.terms[p].count);
                if (sum > best) break;
            }
            heavy_from = least_head(chosen, scaled);
            return heavy_from > 0;
        }
        // The highest level of the terms from the p-th on, which rise by count.
        int level(std::size_t p) const { return p < s.terms.size() ? of.index_.level(s.terms[p].column) : 0; }

        // For long lists: a tile of documents at a time, whose sums stay in the first cache, and all of its bounds in
        // registers; documents on no list are among them.
        void decide_tiles(double bar) {
            forget();
            s.at.assign(chosen, 0);
            const int l = level(chosen);
            const double unit = s.rest[chosen] * of.index_.unit(l), scaled = hurdle(bar);
            // Lengths are at most 1, so that 1e-6 is more than float32 rounds off.
            const auto cut = static_cast<float>(scaled - slack - 2e-6 - of.highest_bias_ * times);
            const auto step = static_cast<float>(unit);
            s.candidates.clear();
            float* acc = s.acc.data();
            for (int64_t from = 0, n = of.index_.n(); from < n; from += kTile) {
                const int64_t end = std::min(n, from + kTile);
                add_tile(acc, from, end);
                const uint8_t* head = of.index_.head(l) + from;
                for (int64_t c = 0; c < end - from; c += kBlock) {
                    const int64_t stop = std::min(c + kBlock, end - from);
                    int some = 0;
                    for (int64_t i = c; i < stop; ++i) some |= acc[i] + step * static_cast<float>(head[i]) >= cut;
                    for (int64_t i = c; some && i < stop; ++i) {
                        if (acc[i] + step * static_cast<float>(head[i]) < cut) continue;
                        take(bound_of(acc[i], unit * head[i], from + i), scaled, from + i);
                    }
                }
                std::fill(acc, acc + (end - from), 0.0F);
            }
            decide_candidates();
        }
        void add_tile(float* acc, int64_t from, int64_t end) {
            for (std::size_t t = 0; t < chosen; ++t) {
                const auto& term = s.terms[t];
                const DocumentIndex::Posting* list = of.index_.begin(term.column);
                const float q = term.value;
                int64_t p = s.at[t];
                for (; p < term.count && list[p].document < end; ++p)
                    acc[list[p].document - from] += q * list[p].weight;
                stats.postings += p - s.at[t];
                s.at[t] = p;
            }
        }
        double bound_of(float partial, double heads, int64_t j) const {
            return static_cast<double>(partial) + heads + slack * static_cast<double>(of.index_.length(j)) + 1e-30 +
                   bias(j);
        }
        void take(double bound, double scaled, int64_t j) {
            if (bound < scaled || !may(j)) return;
            constexpr double kLeast = std::numeric_limits<float>::lowest();
            const double above = std::max(bound + std::abs(bound) * 1e-6, kLeast);
            s.candidates.push_back({static_cast<float>(above), static_cast<int32_t>(j)});
        }

        void decide_listed(double bar) {
            add(chosen);
            const int l = level(chosen);
            const uint8_t* head = of.index_.head(l);
            const double unit = s.rest[chosen] * of.index_.unit(l), scaled = hurdle(bar);
            const double high = of.highest_bias_ * times;
            float cut[256];  // a partial sum below this is of no use, whatever the document beside its head
            for (int b = 0; b < 256; ++b) {
                const double least = scaled - unit * b - slack - 1e-30 - high;
                cut[b] = static_cast<float>(least - std::abs(least) * 1e-6);
            }
            s.candidates.clear();
            const int32_t* heavy = of.index_.heavy(l);
            for (int64_t r = 0, count = of.index_.heavy_count(l, heavy_from); r < count; ++r)
                if (s.acc[heavy[r]] == 0) take(bound_of(0, unit * head[heavy[r]], heavy[r]), scaled, heavy[r]);
            each_listed([&](int32_t j) {
                const float v = s.acc[j];
                s.acc[j] = 0;
                if (v == 0 || v < cut[head[j]]) return;
                take(bound_of(v, unit * head[j], j), scaled, j);
            });
            decide_candidates();
        }
        void decide_candidates() {
            auto& c = s.candidates;  // a heap: most of them are never asked for
            const auto lower = [](const auto& a, const auto& b) {
                return a.bound != b.bound ? a.bound < b.bound : a.document > b.document;
            };
            std::make_heap(c.begin(), c.end(), lower);
            for (auto end = c.end(); end != c.begin(); --end) {
                if (s.kept.full() && static_cast<double>(c.front().bound) < hurdle(s.kept.bar())) break;
                const int32_t document = c.front().document;
                std::pop_heap(c.begin(), end, lower);
                if (end - 1 != c.begin()) of.documents_.prefetch(c.front().document);
                s.kept.offer(exact(document), document);
            }
        }

        void decide_all(double bar, bool prune) {
            ++stats.exhausted;
            add(s.terms.size());
            const int64_t n = of.index_.n();
            if (s.listed.empty()) s.listed.assign(static_cast<std::size_t>(n), 0);
            each_listed([&](int32_t j) { s.listed[j] = 1; });
            for (int64_t j = 0; j < n; ++j) {
                if (!may(j)) continue;
                if (!s.listed[j]) {
                    s.kept.offer(of.rule_.bias.empty() ? 0.0 : of.rule_.bias[j], j);
                    continue;
                }
                const double bound =
                    static_cast<double>(s.acc[j]) + slack * static_cast<double>(of.index_.length(j)) + 1e-30 + bias(j);
                if (prune && bound < hurdle(std::max(bar, s.kept.bar()))) continue;
                s.kept.offer(exact(j), j);
            }
            each_listed([&](int32_t j) { s.acc[j] = 0, s.listed[j] = 0; });
        }
    };

    const DocumentIndex& index_;
    const Rows<CsrView<T, I>>& documents_;
    const ScoreRule& rule_;
    double highest_bias_;
};

}  // namespace latom
