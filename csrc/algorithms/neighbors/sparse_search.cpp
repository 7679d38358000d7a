// sparse_search.cpp: queries against sparse documents, by an inverted index.
#include <mutex>

#include "algorithms/neighbors/search.h"
#include "core/parallel.h"
#include "core/turns.h"
#include "engines/sparse_select/tile_screen.h"

namespace latom {
namespace {

template <class T, class I>
class SparseSearch final : public DocumentSearch<T> {
public:
    SparseSearch(const Context& ctx, const Rows<CsrView<T, I>>& documents, Similarity similarity)
        : documents_(documents),
          similarity_(similarity),
          rule_(rule_of(documents, similarity)),
          index_(ctx, documents, rule_),
          seeker_(index_, documents_, rule_, highest_bias()),
          screen_(index_, documents_, rule_, highest_bias()) {}

    int64_t n() const override { return documents_.n(); }
    int64_t d() const override { return documents_.d(); }
    int64_t bytes() const override {
        return index_.bytes() + static_cast<int64_t>((rule_.factor.size() + rule_.bias.size()) * 8);
    }

    SearchStats topk(const Context& ctx, const QueryRows<T>& queries, int64_t k, double threshold,
                     const Eligible& eligible, const Bounds& bounds, T* score, int32_t* index,
                     int64_t* found) const override {
        check_search(ctx, queries.d, d(), k, n());
        return each(
            ctx, queries, k, [&](int64_t) { return threshold; }, eligible, bounds,
            [&](int64_t i, std::vector<Found>& best, const UserScore& user) {
                found[i] = write_best(best, user, threshold, k, score + i * k, index + i * k);
            });
    }
    Matches<T> above(const Context& ctx, const QueryRows<T>& queries, const Thresholds& thresholds,
                     const Eligible& eligible, const Bounds& bounds) const override {
        check_search(ctx, queries.d, d(), 1, n());
        check_thresholds(ctx, thresholds, queries.n);
        std::vector<QueryMatches<T>> matches(static_cast<std::size_t>(queries.n));
        each(
            ctx, queries, 0, [&](int64_t i) { return thresholds[i]; }, eligible, bounds,
            [&](int64_t i, std::vector<Found>& found, const UserScore& user) {
                matches[i].take(found, user, thresholds[i]);
            });
        return join(matches);
    }

private:
    static constexpr int64_t kQueries = 16;        // of a chunk
    static constexpr int64_t kTogether = 1 << 16;  // answered together at most: their answers so far are held

    struct Scratch {
        SeekerScratch seeker;
        std::vector<T> dense;  // [d], zero between queries
        QueryTerms<T> query;
    };
    using Screen = TileScreen<T, I>;

    // answer(i, found, user) for each query i, whose threshold is threshold(i). k 0: all above it.
    template <class Threshold, class Answer>
    SearchStats each(const Context& ctx, const QueryRows<T>& queries, int64_t k, Threshold threshold,
                     const Eligible& eligible, const Bounds& bounds, Answer answer) const {
        SearchStats stats;
        // Queries from `first` on; those of long lists are left open, with the score that their answers reach.
        const auto seek = [&](int64_t count, auto query_of, double patience, std::vector<double>* open) {
            const int64_t chunks = chunk_count(count, kQueries);
            std::vector<SearchStats> parts(static_cast<std::size_t>(chunks));
            std::vector<std::unique_ptr<Scratch>> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
            for (auto& s : scratch) s = borrow();
            parallel_for(ctx, chunks, [&](int64_t chunk, int worker) {
                Scratch& s = *scratch[worker];
                for (int64_t r = chunk * kQueries; r < std::min(count, (chunk + 1) * kQueries); ++r, poll()) {
                    const int64_t i = query_of(r);
                    queries.read(i, s.query);
                    for (std::size_t p = 0; p < s.query.column.size(); ++p)
                        s.dense[s.query.column[p]] = s.query.value[p];
                    const UserScore user{similarity_, s.query.norm2};
                    const bool positive =
                        std::all_of(s.query.value.begin(), s.query.value.end(), [](T v) { return v > 0; });
                    const double bar =
                        seeker_.seek(s.query, s.dense.data(), k, user.least(threshold(i)), eligible.allowed,
                                     eligible.without ? eligible.without[i] : -1, bounds.prune,
                                     positive ? patience : HUGE_VAL, s.seeker, parts[chunk]);
                    for (const int32_t t : s.query.column) s.dense[t] = T{0};
                    if (open) (*open)[r] = bar;
                    if (std::isnan(bar)) answer(i, s.seeker.kept.found(), user);
                }
            });
            for (auto& s : scratch) give_back(std::move(s));  // what an interrupt leaves is not zero, and is freed
            for (const SearchStats& part : parts) stats += part;
        };
        for (int64_t first = 0; first < queries.n; first += kTogether) {
            const int64_t count = std::min(kTogether, queries.n - first);
            const auto from_first = [first](int64_t r) { return first + r; };
            if (count < bounds.together_from || !documents_.non_negative()) {
                seek(count, from_first, HUGE_VAL, nullptr);
                continue;
            }
            std::vector<double> bars(static_cast<std::size_t>(count));
            seek(count, from_first, seeker_.patience(), &bars);
            std::vector<typename Screen::Asked> asked;
            for (int64_t r = 0; r < count; ++r)
                if (!std::isnan(bars[r])) asked.push_back({first + r, bars[r]});
            if (static_cast<int64_t>(asked.size()) < bounds.together_from) {
                seek(static_cast<int64_t>(asked.size()), [&](int64_t r) { return asked[r].query; }, HUGE_VAL, nullptr);
                continue;
            }
            stats += sift(ctx, queries, asked, k, threshold, eligible, bounds.tile_bytes, answer);
        }
        return stats;
    }

    template <class Threshold, class Answer>
    SearchStats sift(const Context& ctx, const QueryRows<T>& queries, const std::vector<typename Screen::Asked>& asked,
                     int64_t k, Threshold threshold, const Eligible& eligible, int64_t tile_bytes,
                     Answer answer) const {
        std::vector<Kept> kept(asked.size());
        std::vector<UserScore> users;
        QueryTerms<T> terms;
        for (std::size_t r = 0; r < asked.size(); ++r) {
            queries.read(asked[r].query, terms);
            users.push_back({similarity_, terms.norm2});
            kept[r].reset(k, users[r].least(threshold(asked[r].query)));
        }
        const SearchStats stats = screen_.run(ctx, queries, asked, eligible, tile_bytes, kept);
        parallel_for(ctx, chunk_count(static_cast<int64_t>(asked.size()), kQueries), [&](int64_t chunk, int) {
            const auto end = std::min(asked.size(), static_cast<std::size_t>((chunk + 1) * kQueries));
            for (auto r = static_cast<std::size_t>(chunk * kQueries); r < end; ++r)
                answer(asked[r].query, kept[r].found(), users[r]);
        });
        return stats;
    }

    double highest_bias() const {
        return rule_.bias.empty() ? 0.0 : *std::max_element(rule_.bias.begin(), rule_.bias.end());
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
    const Screen screen_;
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
