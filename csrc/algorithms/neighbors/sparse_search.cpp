// sparse_search.cpp: queries against sparse documents, by an inverted index.
#include <mutex>

#include "algorithms/neighbors/search.h"
#include "core/parallel.h"
#include "core/turns.h"

namespace latom {
namespace {

constexpr int64_t kQueries = 16;  // of a chunk

template <class T, class I>
class SparseSearch final : public DocumentSearch<T> {
public:
    SparseSearch(const Context& ctx, const Rows<CsrView<T, I>>& documents, Similarity similarity)
        : documents_(documents),
          similarity_(similarity),
          rule_(rule_of(documents, similarity)),
          index_(ctx, documents, rule_),
          seeker_(index_, documents_, rule_,
                  rule_.bias.empty() ? 0.0 : *std::max_element(rule_.bias.begin(), rule_.bias.end())) {}

    int64_t n() const override { return documents_.n(); }
    int64_t d() const override { return documents_.d(); }
    int64_t bytes() const override {
        return index_.bytes() + static_cast<int64_t>((rule_.factor.size() + rule_.bias.size()) * 8);
    }

    SearchStats topk(const Context& ctx, const QueryRows<T>& queries, int64_t k, double threshold,
                     const Eligible& eligible, bool prune, T* score, int32_t* index, int64_t* found) const override {
        check_search(ctx, queries.d, d(), k, n());
        return each(ctx, queries, [&](int64_t i, const auto& seek, const UserScore& user, int64_t) {
            std::vector<Found>& best = seek(k, user.least(threshold), eligible, prune);
            found[i] = write_best(best, user, threshold, k, score + i * k, index + i * k);
        });
    }
    Matches<T> above(const Context& ctx, const QueryRows<T>& queries, const Thresholds& thresholds,
                     const Eligible& eligible, bool prune) const override {
        check_search(ctx, queries.d, d(), 1, n());
        check_thresholds(ctx, thresholds, queries.n);
        std::vector<MatchChunk<T>> chunks(static_cast<std::size_t>(chunk_count(queries.n, kQueries)));
        each(ctx, queries, [&](int64_t i, const auto& seek, const UserScore& user, int64_t chunk) {
            chunks[chunk].take(seek(0, user.least(thresholds[i]), eligible, prune), user, thresholds[i]);
        });
        return join(chunks);
    }

private:
    struct Scratch {
        SeekerScratch seeker;
        std::vector<T> dense;  // [d], zero between queries
        QueryTerms<T> query;
    };

    // answer(i, seek, user, chunk) for each query i.
    template <class Answer>
    SearchStats each(const Context& ctx, const QueryRows<T>& queries, Answer answer) const {
        const int64_t chunks = chunk_count(queries.n, kQueries);
        std::vector<std::unique_ptr<Scratch>> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
        for (auto& s : scratch) s = borrow();
        std::vector<SearchStats> stats(static_cast<std::size_t>(chunks));
        parallel_for(ctx, chunks, [&](int64_t chunk, int worker) {
            Scratch& s = *scratch[worker];
            for (int64_t i = chunk * kQueries; i < std::min(queries.n, (chunk + 1) * kQueries); ++i) {
                queries.read(i, s.query);
                for (std::size_t p = 0; p < s.query.column.size(); ++p) s.dense[s.query.column[p]] = s.query.value[p];
                const auto seek = [&](int64_t k, double least, const Eligible& eligible, bool prune) -> auto& {
                    seeker_.seek(s.query, s.dense.data(), k, least, eligible.allowed,
                                 eligible.without ? eligible.without[i] : -1, prune, s.seeker, stats[chunk]);
                    return s.seeker.kept.found();
                };
                answer(i, seek, UserScore{similarity_, s.query.norm2}, chunk);
                for (const int32_t t : s.query.column) s.dense[t] = T{0};
                poll();
            }
        });
        for (auto& s : scratch) give_back(std::move(s));  // what an interrupt leaves is not zero, and is freed
        SearchStats sum;
        for (const SearchStats& part : stats) {
            sum.postings += part.postings;
            sum.decided += part.decided;
            sum.exhausted += part.exhausted;
        }
        return sum;
    }

    // Scratch is kept from call to call: to clear it takes longer than a short query.
    std::unique_ptr<Scratch> borrow() const {
        {
            const std::lock_guard<std::mutex> lock(brief_lock());
            if (!idle_.empty()) {
                std::unique_ptr<Scratch> s = std::move(idle_.back());
                idle_.pop_back();
                return s;
            }
        }
        auto s = std::make_unique<Scratch>();
        s->seeker.acc.assign(static_cast<std::size_t>(n()), 0.0F);
        s->dense.assign(static_cast<std::size_t>(d()), T{0});
        return s;
    }
    void give_back(std::unique_ptr<Scratch> s) const {
        const std::lock_guard<std::mutex> lock(brief_lock());
        idle_.push_back(std::move(s));
    }

    const Rows<CsrView<T, I>> documents_;
    const Similarity similarity_;
    const ScoreRule rule_;
    const DocumentIndex index_;
    const Seeker<T, I> seeker_;
    mutable std::vector<std::unique_ptr<Scratch>> idle_;  // read and set under brief_lock()
};

}  // namespace

template <class T, class I>
std::unique_ptr<DocumentSearch<T>> make_document_search(const Context& ctx, const Rows<CsrView<T, I>>& documents,
                                                        Similarity similarity) {
    return std::make_unique<SparseSearch<T, I>>(ctx, documents, similarity);
}

#define LATOM_INSTANTIATE(T, I)                                                                                  \
    template std::unique_ptr<DocumentSearch<T>> make_document_search(const Context&, const Rows<CsrView<T, I>>&, \
                                                                     Similarity);
LATOM_INSTANTIATE(float, int32_t)
LATOM_INSTANTIATE(float, int64_t)
LATOM_INSTANTIATE(double, int32_t)
LATOM_INSTANTIATE(double, int64_t)
#undef LATOM_INSTANTIATE

}  // namespace latom
