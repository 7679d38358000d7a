// tile_screen.h: many sparse queries against an inverted index of documents, a tile of documents at a time: what
// seeker.h does for one query, where lists would be long.
//
//   S(q, j) = factor_j <q, x_j> + bias_j       as in seeker.h; nothing of q and x is negative
//
// Terms that many documents hold ("heads") become runs of bytes, one per document of a tile, and kernels/sift.inl.h
// adds them up for 64 documents at once; lists of rarer terms are walked. Tiles stay in the second cache while a chunk
// of queries meets them; a slab of tiles is made when its turn comes, so that bytes of all documents are never held.
//
// The bound. With u the query scaled as in seeker.h, w_j the index's document and, for a head term, sigma_t = the
// largest w_jt / 127:
//
//   w_jt <= sigma_t q_jt,  u_t sigma_t <= Delta p_t       q, p whole numbers in [0, 127], rounded up
//   <u, w_j>  <=  Delta (sum over heads p_t q_jt + sum over others ceil(u_t w_jt / Delta))
//
// so a document whose sum of whole numbers is below (bar' - highest bias') / Delta scores less than the bar, and is
// dropped; ties pass. Numbers are rounded up by floor(v) + 1, and v is raised by 1e-6 beforehand, which covers its
// roundings to float32; 1e-7 off the bar covers products too small for float32 and the rounding of a float64 score
// (d 2^-52, as in seeker.h), all lengths being at most 1; 2^-48 of bar' and bias' covers that of short queries, whose
// biases are long (hurdle in seeker.h). Delta is at least (bar' - bias') / 32000, so that the bar
// stays below 2^15 - 1, where sums saturate and pass.
//
// Cost      for each query n / 64 steps per head term and the lists of the others, summed in 16 bits; documents that
//           pass are scored in float64.
// Scratch   a slab of at most 8192 documents times heads bytes; per thread 4 MB and d sizeof(T) bytes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/parallel.h"
#include "core/prefetch.h"
#include "engines/sparse_select/seeker.h"

namespace latom {

template <class T, class I>
class TileScreen {
public:
    /// A query, and what the score of its answers is known to reach.
    struct Asked {
        int64_t query;
        double bar;
    };

    TileScreen(const DocumentIndex& index, const Rows<CsrView<T, I>>& documents, const ScoreRule& rule,
               double highest_bias)
        : index_(index), documents_(documents), rule_(rule), highest_bias_(highest_bias) {}

    /// Offers to kept [asked] whatever may be an answer; kept has been reset.
    SearchStats run(const Context& ctx, const QueryRows<T>& queries, const std::vector<Asked>& asked,
                    const Eligible& eligible, int64_t tile_bytes, std::vector<Kept>& kept) const {
        const Call call{queries, asked, eligible, kept};
        const auto count = static_cast<int64_t>(asked.size()), chunks = chunk_count(count, kQueries);
        std::vector<Worker> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
        std::vector<SearchStats> stats(static_cast<std::size_t>(chunks));
        Slab slab = begin(tile_bytes, named_terms(ctx, queries, asked));
        while (next(ctx, slab))
            parallel_for(ctx, chunks, [&](int64_t chunk, int id) {
                sift(ctx, call, slab, chunk * kQueries, std::min(count, (chunk + 1) * kQueries), scratch[id],
                     stats[chunk]);
            });
        SearchStats sum;
        for (const SearchStats& part : stats) sum += part;
        sum.sifted = count;
        return sum;
    }

private:
    static constexpr int64_t kQueries = 256;  // of a chunk
    static constexpr int64_t kShare = 48;     // a head is held by one document in so many
    static constexpr int64_t kMostHeads = 4096, kSlabRows = 8192;

    struct Call {
        const QueryRows<T>& queries;
        const std::vector<Asked>& asked;
        const Eligible& eligible;
        std::vector<Kept>& kept;
    };
    struct Span {  // the part of a term's list that lies in the slab
        int64_t begin;
        int32_t count, line;  // line: of a head, or -1
    };
    struct Slab {
        std::vector<int32_t> terms;    // those that queries name; rising
        std::vector<Span> spans;       // [d], of these terms
        std::vector<int32_t> heads;    // terms, in the order of their lines
        std::vector<float> sigmas;     // [heads]
        int64_t tile, wide, from, to;  // documents
        AlignedVector<uint8_t> bytes;  // [tiles, heads, tile]
        int64_t tile_bytes() const { return static_cast<int64_t>(sigmas.size()) * tile; }
    };
    struct Query {
        std::vector<int32_t> at;        // of heads within a tile, two by two
        std::vector<uint32_t> weights;  // of each two
        int16_t cut;
        std::vector<int32_t> hits;
    };
    struct Worker {
        std::vector<Query> queries;
        AlignedVector<int16_t> acc;  // [kQueries, documents of a slab], zero
        std::vector<int32_t> passed;
        QueryTerms<T> terms;
        std::vector<T> dense;  // [d], zero
    };

    /// Byte of document j within its line: kernels/sift.inl.h.
    static int64_t line_byte(int64_t j) { return (j & ~int64_t{63}) | (j >> 3 & 3) << 4 | (j >> 5 & 1) << 3 | (j & 7); }

    std::vector<int32_t> named_terms(const Context& ctx, const QueryRows<T>& queries,
                                     const std::vector<Asked>& asked) const {
        std::vector<uint8_t> named(static_cast<std::size_t>(index_.d()), 0);
        const auto count = static_cast<int64_t>(asked.size()), chunks = chunk_count(count, kQueries);
        std::vector<QueryTerms<T>> terms(static_cast<std::size_t>(workers(ctx, chunks)));
        parallel_for(ctx, chunks, [&](int64_t chunk, int id) {
            for (int64_t r = chunk * kQueries; r < std::min(count, (chunk + 1) * kQueries); ++r) {
                queries.read(asked[r].query, terms[id]);
                for (const int32_t t : terms[id].column) std::atomic_ref(named[t]).store(1, std::memory_order_relaxed);
            }
        });
        std::vector<int32_t> out;
        for (int64_t t = 0; t < index_.d(); ++t)
            if (named[t]) out.push_back(static_cast<int32_t>(t));
        return out;
    }

    Slab begin(int64_t tile_bytes, std::vector<int32_t> terms) const {
        Slab slab;
        const int64_t n = index_.n();
        slab.terms = std::move(terms);
        std::vector<int32_t>& heads = slab.heads;
        slab.spans.resize(static_cast<std::size_t>(index_.d()));
        for (const int32_t t : slab.terms) {
            slab.spans[t] = {index_.begin(t) - index_.begin(0), 0, -1};
            if (index_.count(t) * kShare >= n) heads.push_back(t);
        }
        std::stable_sort(heads.begin(), heads.end(),
                         [&](int32_t a, int32_t b) { return index_.count(a) > index_.count(b); });
        if (heads.size() > kMostHeads) heads.resize(kMostHeads);
        for (const int32_t t : heads) {
            float most = 1e-30F;
            for (int64_t p = 0; p < index_.count(t); ++p) most = std::max(most, index_.begin(t)[p].weight);
            slab.spans[t].line = static_cast<int32_t>(slab.sigmas.size());
            slab.sigmas.push_back(most * (1 + 1e-6F) / 127);
        }
        const auto lines = std::max<int64_t>(1, static_cast<int64_t>(heads.size()));
        slab.tile = std::clamp<int64_t>(tile_bytes / lines / 256 * 256, 256, 4096);
        slab.tile = std::min(slab.tile, chunk_count(n, 64) * 64);
        slab.wide = std::max<int64_t>(1, kSlabRows / slab.tile) * slab.tile;
        slab.from = slab.to = 0;
        return slab;
    }

    /// How many of a list, which rises, lie below a document; they are few, and looked for from the front.
    static int32_t count_below(const DocumentIndex::Posting* begin, const DocumentIndex::Posting* end,
                               int64_t document) {
        const auto below = [&](const auto& p) { return p.document < document; };
        const auto* from = begin;
        int64_t step = 8;
        for (; step < end - from && below(from[step]); step *= 2) from += step;
        return static_cast<int32_t>(std::partition_point(from, from + std::min<int64_t>(step, end - from), below) -
                                    begin);
    }

    /// Moves to the next documents; false where there are none.
    bool next(const Context& ctx, Slab& slab) const {
        slab.from = slab.to;
        slab.to = std::min(index_.n(), slab.from + slab.wide);
        if (slab.from == slab.to) return false;
        constexpr int64_t kTerms = 1024, kLater = 16;
        const auto* postings = index_.begin(0);
        const auto terms = static_cast<int64_t>(slab.terms.size());
        parallel_for(ctx, chunk_count(terms, kTerms), [&](int64_t chunk, int) {
            for (int64_t c = chunk * kTerms; c < std::min(terms, (chunk + 1) * kTerms); ++c) {
                if (c + kLater < terms) {
                    const Span& later = slab.spans[slab.terms[c + kLater]];
                    __builtin_prefetch(postings + later.begin + later.count);
                }
                const int32_t t = slab.terms[c];
                Span& span = slab.spans[t];
                span.begin += span.count;
                span.count = count_below(postings + span.begin, index_.begin(t) + index_.count(t), slab.to);
            }
        });
        const int64_t tiles = chunk_count(slab.to - slab.from, slab.tile), size = slab.tile_bytes();
        slab.bytes.resize(static_cast<std::size_t>(tiles * size));
        constexpr int64_t kHeads = 8;
        const auto heads = static_cast<int64_t>(slab.heads.size());
        parallel_for(ctx, chunk_count(heads, kHeads), [&](int64_t chunk, int) {
            for (int64_t line = chunk * kHeads; line < std::min(heads, (chunk + 1) * kHeads); ++line) {
                const Span& span = slab.spans[slab.heads[line]];
                const auto *p = postings + span.begin, *end = p + span.count;
                const float units = 1 / slab.sigmas[line] * (1 + 2e-6F);
                for (int64_t c = 0; c < tiles; ++c) {
                    uint8_t* bytes = slab.bytes.data() + c * size + line * slab.tile;
                    const int64_t from = slab.from + c * slab.tile, to = from + slab.tile;
                    std::fill_n(bytes, slab.tile, uint8_t{0});
                    for (; p < end && p->document < to; ++p)
                        bytes[line_byte(p->document - from)] =
                            static_cast<uint8_t>(p->weight > 0 ? std::min(p->weight * units + 1, 127.0F) : 0);
                }
            }
        });
        return true;
    }

    // A query in whole numbers: its heads, and the sums of its lists in acc, which was 0.
    void load(const Call& call, const Slab& slab, int64_t r, const QueryTerms<T>& terms, Query& out, SearchStats& stats,
              int16_t* acc) const {
        int exponent = 0;
        if (terms.norm2 > 0) std::frexp(std::sqrt(terms.norm2), &exponent);
        const double scale = std::ldexp(1.0, -exponent - 1), times = scale * index_.scale();
        const double bar = std::max(call.asked[r].bar, call.kept[r].bar());
        const double own = bar * times, bias = highest_bias_ * times;
        const double room = std::max(0.0, own - bias - 1e-7 - 0x1p-48 * (std::abs(own) + std::abs(bias)));
        double most = 0;
        for (std::size_t p = 0; p < terms.column.size(); ++p) {
            const Span& span = slab.spans[terms.column[p]];
            if (span.line >= 0)
                most = std::max(most, static_cast<double>(terms.value[p]) * scale * slab.sigmas[span.line]);
            else prefetch(index_.begin(0) + span.begin, std::min(span.count, 40));  // lists lie far apart
        }
        const double step = std::max({most / 127, room / 32000, 0x1p-20});
        out.cut = static_cast<int16_t>(room / step * (1 - 1e-6));
        out.at.clear();
        out.weights.clear();
        out.hits.clear();
        for (std::size_t p = 0; p < terms.column.size(); ++p) {
            const Span& span = slab.spans[terms.column[p]];
            const double u = static_cast<double>(terms.value[p]) * scale;
            if (span.count == 0) continue;
            if (span.line < 0) {
                add_list(index_.begin(0) + span.begin, span.count, static_cast<float>(u / step * (1 + 1e-6)), slab.from,
                         acc);
                stats.postings += span.count;
                continue;
            }
            const auto weight = static_cast<uint32_t>(std::min(127.0, std::ceil(u * slab.sigmas[span.line] / step)));
            if (out.at.size() % 2 == 0) out.weights.push_back(weight * 0x10001);
            else out.weights.back() |= weight * 0x1000100;
            out.at.push_back(static_cast<int32_t>(span.line * slab.tile));
        }
        if (out.at.size() % 2) out.at.push_back(0);  // of weight 0
    }

    void sift(const Context& ctx, const Call& call, const Slab& slab, int64_t first, int64_t last, Worker& w,
              SearchStats& stats) const {
        w.queries.resize(kQueries);
        const int64_t wide = slab.wide;
        w.acc.resize(static_cast<std::size_t>(kQueries * wide), 0);
        w.passed.resize(static_cast<std::size_t>(slab.tile));
        w.dense.resize(static_cast<std::size_t>(index_.d()));
        for (int64_t r = first; r < last; ++r) {
            call.queries.read(call.asked[r].query, w.terms);
            load(call, slab, r, w.terms, w.queries[r - first], stats, w.acc.data() + (r - first) * wide);
        }
        for (int64_t from = slab.from; from < slab.to; from += slab.tile, poll()) {
            const uint8_t* bytes = slab.bytes.data() + (from - slab.from) / slab.tile * slab.tile_bytes();
            const int64_t end = std::min(slab.to, from + slab.tile);
            for (int64_t r = first; r < last; ++r) {
                Query& query = w.queries[r - first];
                const int64_t count =
                    ctx.kernels->sift(w.acc.data() + (r - first) * wide + from - slab.from, bytes, query.at.data(),
                                      query.weights.data(), static_cast<int64_t>(query.weights.size()),
                                      chunk_count(end - from, 64) * 64, query.cut, w.passed.data());
                for (int64_t p = 0; p < count; ++p)
                    if (from + w.passed[p] < end) query.hits.push_back(static_cast<int32_t>(from + w.passed[p]));
            }
        }
        for (int64_t r = first; r < last; ++r) decide(call, r, w.queries[r - first].hits, w, stats);
    }

    // acc += the terms of a list, in whole numbers.
    static void add_list(const DocumentIndex::Posting* list, int64_t count, float factor, int64_t from, int16_t* acc) {
        for (int64_t p = 0; p < count; ++p) {
            int16_t& sum = acc[list[p].document - from];
            sum = static_cast<int16_t>(std::min(32767, sum + static_cast<int32_t>(factor * list[p].weight) + 1));
        }
    }

    void decide(const Call& call, int64_t r, const std::vector<int32_t>& hits, Worker& w, SearchStats& stats) const {
        if (hits.empty()) return;
        const int64_t query = call.asked[r].query;
        const int64_t without = call.eligible.without ? call.eligible.without[query] : -1;
        call.queries.read(query, w.terms);
        for (std::size_t p = 0; p < w.terms.column.size(); ++p) w.dense[w.terms.column[p]] = w.terms.value[p];
        for (std::size_t p = 0; p < hits.size(); ++p) {
            const int32_t j = hits[p];
            if (p + 1 < hits.size()) documents_.prefetch(hits[p + 1]);
            if (j == without || (call.eligible.allowed && !call.eligible.allowed[j])) continue;
            ++stats.decided;
            call.kept[r].offer(rule_(documents_.dot(j, w.dense.data()), j), j);
        }
        for (const int32_t t : w.terms.column) w.dense[t] = T{0};
    }

    const DocumentIndex& index_;
    const Rows<CsrView<T, I>>& documents_;
    const ScoreRule& rule_;
    double highest_bias_;
};

}  // namespace latom
