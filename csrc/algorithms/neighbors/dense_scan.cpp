// dense_scan.cpp: sparse queries against dense documents: every score in float64, a block of documents at a time.
//
// Documents are held once more by column within blocks, so that an entry of a query meets a block's documents side by
// side (sparse_scores of kernels/dot.inl.h, which sums as its sparse_dot does).
//
// Cost      2 nnz(queries) n flops in float64; the documents once more in memory.
#include "algorithms/neighbors/search.h"
#include "core/parallel.h"
#include "kernels/table.h"

namespace latom {
namespace {

constexpr int64_t kQueries = 64;  // of a chunk

template <class T>
class DenseScan final : public DocumentSearch<T> {
public:
    DenseScan(const Context& ctx, const Rows<DenseView<T>>& documents, Similarity similarity)
        : similarity_(similarity), rule_(rule_of(documents, similarity)), n_(documents.n()), d_(documents.d()) {
        // A block of documents stays in the second cache, unless eight of them are too long for it.
        width_ = std::clamp<int64_t>(kBlockBytes / (d_ * static_cast<int64_t>(sizeof(T))) / 24 * 24, 8, kMostWidth);
        const int64_t blocks = chunk_count(n_, width_);
        columns_.resize(static_cast<std::size_t>(blocks * width_ * d_));
        parallel_for(ctx, blocks, [&](int64_t b, int) {
            T* block = columns_.data() + b * width_ * d_;
            std::fill(block, block + width_ * d_, T{0});
            for (int64_t j = b * width_, end = std::min(n_, j + width_); j < end; ++j)
                for (int64_t t = 0; t < d_; ++t) block[t * width_ + j - b * width_] = documents.values(j)[t];
        });
    }

    int64_t n() const override { return n_; }
    int64_t d() const override { return d_; }
    int64_t bytes() const override {
        return static_cast<int64_t>(columns_.size() * sizeof(T) + (rule_.factor.size() + rule_.bias.size()) * 8);
    }

    SearchStats topk(const Context& ctx, const QueryRows<T>& queries, int64_t k, double threshold,
                     const Eligible& eligible, const Bounds&, T* score, int32_t* index, int64_t* found) const override {
        check_search(ctx, queries.d, d(), k, n());
        each(
            ctx, queries, k, eligible, [&](int64_t, const UserScore& user) { return user.least(threshold); },
            [&](int64_t i, std::vector<Found>& best, const UserScore& user) {
                found[i] = write_best(best, user, threshold, k, score + i * k, index + i * k);
            });
        return {0, queries.n * n_, queries.n, 0};
    }
    Matches<T> above(const Context& ctx, const QueryRows<T>& queries, const Thresholds& thresholds,
                     const Eligible& eligible, const Bounds&) const override {
        check_search(ctx, queries.d, d(), 1, n());
        check_thresholds(ctx, thresholds, queries.n);
        std::vector<QueryMatches<T>> matches(static_cast<std::size_t>(queries.n));
        each(
            ctx, queries, 0, eligible, [&](int64_t i, const UserScore& user) { return user.least(thresholds[i]); },
            [&](int64_t i, std::vector<Found>& found, const UserScore& user) {
                matches[i].take(found, user, thresholds[i]);
            });
        return join(matches);
    }

private:
    static constexpr int64_t kBlockBytes = 1 << 19, kMostWidth = 960;

    struct Scratch {
        std::vector<QueryTerms<T>> query;
        std::vector<Kept> kept;
        std::vector<double> scores;
    };

    template <class Least, class Answer>
    void each(const Context& ctx, const QueryRows<T>& queries, int64_t k, const Eligible& eligible, Least least,
              Answer answer) const {
        const int64_t chunks = chunk_count(queries.n, kQueries);
        std::vector<Scratch> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
        parallel_for(ctx, chunks, [&](int64_t chunk, int worker) {
            Scratch& s = scratch[worker];
            const int64_t first = chunk * kQueries, count = std::min(kQueries, queries.n - first);
            s.query.resize(static_cast<std::size_t>(count));
            s.kept.resize(static_cast<std::size_t>(count));
            s.scores.resize(static_cast<std::size_t>(width_));
            for (int64_t r = 0; r < count; ++r) {
                queries.read(first + r, s.query[r]);
                s.kept[r].reset(k, least(first + r, UserScore{similarity_, s.query[r].norm2}));
            }
            for (int64_t from = 0; from < n_; from += width_, poll())
                for (int64_t r = 0; r < count; ++r) {
                    const int64_t without = eligible.without ? eligible.without[first + r] : -1;
                    scan(ctx, s.query[r], from, eligible.allowed, without, s.scores.data(), s.kept[r]);
                }
            for (int64_t r = 0; r < count; ++r)
                answer(first + r, s.kept[r].found(), UserScore{similarity_, s.query[r].norm2});
        });
    }

    void scan(const Context& ctx, const QueryTerms<T>& query, int64_t from, const uint8_t* allowed, int64_t without,
              double* scores, Kept& kept) const {
        const T* block = columns_.data() + from * d_;
        ctx.kernels->of<T, int32_t>().sparse_scores(query.value.data(), query.column.data(),
                                                    static_cast<int64_t>(query.column.size()), block, width_, scores);
        const int64_t count = std::min(width_, n_ - from);
        for (int64_t c = 0; c < count; ++c) {
            const int64_t j = from + c;
            const double score = rule_(scores[c], j);
            if (score < kept.bar() || j == without || (allowed && !allowed[j])) continue;
            kept.offer(score, j);
        }
    }

    const Similarity similarity_;
    const ScoreRule rule_;
    const int64_t n_, d_;
    int64_t width_ = 8;
    AlignedVector<T> columns_;  // [blocks, d, width]
};

}  // namespace

template <class T>
std::unique_ptr<DocumentSearch<T>> make_document_search(const Context& ctx, const Rows<DenseView<T>>& documents,
                                                        Similarity similarity) {
    return std::make_unique<DenseScan<T>>(ctx, documents, similarity);
}

template std::unique_ptr<DocumentSearch<float>> make_document_search(const Context&, const Rows<DenseView<float>>&,
                                                                     Similarity);
template std::unique_ptr<DocumentSearch<double>> make_document_search(const Context&, const Rows<DenseView<double>>&,
                                                                      Similarity);

}  // namespace latom
