// nearest_center.h: which of some centres is nearest to a row, if one lies within a limit.
//
//   score(i, c) = <x_i, c> / |c|  (cosine)     <x_i, c> - |c|^2 / 2  (Euclidean)        highest: nearest
//   D^2(i, c)   = 2 - 2 cos(x_i, c)            |x_i|^2 + |c|^2 - 2 <x_i, c>             0 within rounding
//
// Sparse rows are scored in float64 against an inverted index of the centres: term by term of the row, centre by centre. Dense
// rows go through the low-precision screen of algorithms/product_select.h with the limit as their threshold, and what passes
// is decided in float64; most rows with a low limit never reach it.
//
// Cost      sparse: the entries of the centres in the row's terms; dense: d multiply-adds a centre, most in low precision.
// Memory    O(entries of the centres).
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "algorithms/product_select.h"
#include "latom/kmeans.h"

namespace latom {

/// Squared distance of two rows from their product and squared lengths.
struct SquaredDistance {
    Metric metric;

    double operator()(double dot, double x2, double y2) const {
        const bool cosine = metric == Metric::kCosine;
        const double scale = cosine ? 1.0 : x2 + y2;
        const double v = cosine ? 2 - 2 * dot / (std::sqrt(x2) * std::sqrt(y2)) : scale - 2 * dot;
        return v < 1e-14 * scale ? 0.0 : v;  // rounding, where rows coincide
    }
};

template <class View>
class NearestCenter {
public:
    using T = typename View::value_type;

    struct Query {
        int64_t i;
        double limit;  // of D^2
    };
    struct Answer {
        double distance2;
        int32_t center;  // -1: none within the limit
    };
    struct Scratch {
        std::vector<double> score;
        std::vector<const T*> row;
        std::vector<double> norm2;
        RowBlock<T> block;
        double products = 0;
    };

    NearestCenter(const Rows<View>& rows, Metric metric) : rows_(rows), distance_{metric} {}

    int64_t size() const { return static_cast<int64_t>(center_.size()); }
    /// Row `row` of `source`, which must outlive the object.
    void add(const Rows<View>& source, int64_t row) { center_.push_back({&source, row}); }
    void clear() { center_.clear(); }

    /// To be called after the last add() and before find().
    void prepare(const Context& ctx);
    /// The nearest centre of each row (of those that add() was not told of, too); ties to the lowest centre. Thread-safe.
    void find(Scratch& scratch, const Query* query, int64_t count, Answer* answer) const;
    /// find() for many rows, in parallel where that pays. Returns the multiply-adds spent.
    double find_all(const Context& ctx, const std::vector<Query>& query, std::vector<Answer>& answer);

private:
    static constexpr int64_t kFewCenters = 16;   // below, scoring all costs less than rounding the row
    static constexpr int64_t kLowColumns = 24;   // below, bfloat16 saves nothing and rounds too much
    static constexpr int64_t kMostColumns = 1 << 20;

    struct Center {
        const Rows<View>* source;
        int64_t row;
    };
    bool cosine() const { return distance_.metric == Metric::kCosine; }
    double score(double dot, int64_t c) const { return cosine() ? dot * factor_[c] : dot + bias_[c]; }
    /// The score that a centre within `limit` of row i reaches.
    double least_score(int64_t i, double limit) const {
        const double x2 = rows_.norm2(i);
        return cosine() ? std::sqrt(x2) * (1 - limit / 2) : (x2 - limit) / 2;
    }
    Answer within(const Query& query, int32_t center, double dot) const {
        const double d2 = distance_(dot, rows_.norm2(query.i), norm2_[center]);
        return d2 <= query.limit ? Answer{d2, center} : Answer{query.limit, -1};
    }
    void build_index();
    void find_sparse(Scratch& scratch, const Query& query, Answer& answer) const;
    void find_dense(Scratch& scratch, const Query* query, int64_t count, Answer* answer) const;
    template <class Next>
    Answer best_of(Scratch& scratch, const Query& query, int64_t count, Next next) const;

    const Rows<View>& rows_;
    SquaredDistance distance_;
    std::vector<Center> center_;
    std::vector<double> norm2_, factor_, bias_;
    std::unique_ptr<AtomPanels<T>> panels_;      // dense
    std::vector<int64_t> begin_;                 // sparse, [d + 1]: entries of the centres by term, centres rising
    std::vector<int32_t> holder_;
    std::vector<T> value_;
    std::vector<Scratch> scratch_;
};

template <class View>
void NearestCenter<View>::prepare(const Context& ctx) {
    norm2_.clear();
    factor_.clear();
    bias_.clear();
    for (const Center& c : center_) {
        const double norm2 = c.source->norm2(c.row);
        norm2_.push_back(norm2);
        if (cosine()) factor_.push_back(norm2 > 0 ? 1 / std::sqrt(norm2) : 0.0);
        else bias_.push_back(-0.5 * norm2);
    }
    if constexpr (kIsSparse<View>) {
        build_index();
    } else {
        panels_.reset();
        if (size() < kFewCenters || rows_.d() > kMostColumns) return;
        std::vector<const T*> atoms;
        for (const Center& c : center_) atoms.push_back(c.source->values(c.row));
        panels_ = std::make_unique<AtomPanels<T>>(ctx, std::move(atoms), rows_.d(), norm2_, factor_, bias_,
                                                  std::vector<int32_t>{},
                                                  rows_.d() < kLowColumns ? Screen::kFloat32 : Screen::kAuto);
        panels_->keep(ctx);
    }
}

template <class View>
void NearestCenter<View>::build_index() {
    begin_.assign(static_cast<std::size_t>(rows_.d()) + 1, 0);
    for (const Center& c : center_) c.source->each(c.row, [&](int64_t t, T) { ++begin_[t + 1]; });
    for (std::size_t t = 1; t < begin_.size(); ++t) begin_[t] += begin_[t - 1];
    holder_.resize(static_cast<std::size_t>(begin_.back()));
    value_.resize(holder_.size());
    std::vector<int64_t> next(begin_.begin(), begin_.end() - 1);
    for (std::size_t c = 0; c < center_.size(); ++c)
        center_[c].source->each(center_[c].row, [&](int64_t t, T v) {
            holder_[next[t]] = static_cast<int32_t>(c);
            value_[next[t]++] = v;
        });
}

template <class View>
void NearestCenter<View>::find(Scratch& scratch, const Query* query, int64_t count, Answer* answer) const {
    if constexpr (kIsSparse<View>) {
        for (int64_t q = 0; q < count; ++q) find_sparse(scratch, query[q], answer[q]);
    } else {
        find_dense(scratch, query, count, answer);
    }
}

template <class View>
double NearestCenter<View>::find_all(const Context& ctx, const std::vector<Query>& query, std::vector<Answer>& answer) {
    constexpr int64_t kRows = 56;           // whole tiles
    constexpr double kSerialWork = 200'000;  // multiply-adds: less than the start of a thread costs
    const auto count = static_cast<int64_t>(query.size()), chunks = chunk_count(count, kRows);
    Context few = ctx;
    const double entries = kIsSparse<View> ? static_cast<double>(rows_.stored()) / static_cast<double>(rows_.n()) / 16
                                           : static_cast<double>(rows_.d());
    if (static_cast<double>(count * size()) * entries < kSerialWork) few.n_threads = 1;
    answer.resize(query.size());
    scratch_.resize(static_cast<std::size_t>(std::max(workers(ctx, chunks), 1)));
    for (Scratch& s : scratch_) s.products = 0;
    parallel_for(few, chunks, [&](int64_t c, int worker) {
        const int64_t from = c * kRows;
        find(scratch_[worker], query.data() + from, std::min(kRows, count - from), answer.data() + from);
    });
    double products = 0;
    for (const Scratch& s : scratch_) products += s.products;
    return products;
}

template <class View>
void NearestCenter<View>::find_sparse(Scratch& s, const Query& query, Answer& answer) const {
    s.score.assign(center_.size(), 0.0);
    rows_.each(query.i, [&](int64_t t, T x) {
        const int64_t end = begin_[t + 1];
        for (int64_t p = begin_[t]; p < end; ++p) {
            const double product = static_cast<double>(x) * static_cast<double>(value_[p]);
            s.score[holder_[p]] += product;
        }
        s.products += static_cast<double>(end - begin_[t]);
    });
    int32_t best = -1;
    double most = -HUGE_VAL;
    for (int64_t c = 0; c < size(); ++c)
        if (const double v = score(s.score[c], c); v > most) {
            most = v;
            best = static_cast<int32_t>(c);
        }
    answer = best < 0 ? Answer{query.limit, -1} : within(query, best, s.score[best]);
}

// The nearest of `count` centres, next(c) their numbers in rising order; products in float64, four at a time.
template <class View>
template <class Next>
typename NearestCenter<View>::Answer NearestCenter<View>::best_of(Scratch& s, const Query& query, int64_t count, Next next) const {
    constexpr int64_t kBatch = 16;
    const T *x[kBatch], *y[kBatch];
    double dot[kBatch];
    std::fill_n(x, kBatch, rows_.values(query.i));
    int32_t best = -1;
    double most = -HUGE_VAL, its_dot = 0;
    for (int64_t from = 0; from < count; from += kBatch) {
        const int64_t batch = std::min(kBatch, count - from);
        for (int64_t b = 0; b < batch; ++b) {
            const Center& c = center_[next(from + b)];
            y[b] = c.source->values(c.row);
        }
        detail::dense_dots(rows_.kernels(), T{})(x, y, batch, rows_.d(), dot);
        for (int64_t b = 0; b < batch; ++b) {
            const int64_t c = next(from + b);
            if (const double v = score(dot[b], c); v > most || (v == most && c < best)) {
                most = v;
                its_dot = dot[b];
                best = static_cast<int32_t>(c);
            }
        }
    }
    s.products += static_cast<double>(count * rows_.d());
    return best < 0 ? Answer{query.limit, -1} : within(query, best, its_dot);
}

template <class View>
void NearestCenter<View>::find_dense(Scratch& s, const Query* query, int64_t count, Answer* answer) const {
    const auto all = [](int64_t c) { return c; };
    if (!panels_) {
        for (int64_t q = 0; q < count; ++q) answer[q] = best_of(s, query[q], size(), all);
        return;
    }
    s.row.clear();
    s.norm2.clear();
    for (int64_t q = 0; q < count; ++q) {
        s.row.push_back(rows_.values(query[q].i));
        s.norm2.push_back(rows_.norm2(query[q].i));
    }
    s.block.load(*panels_, s.row.data(), s.norm2.data(), count, {});
    for (int64_t q = 0; q < count; ++q)
        if (query[q].limit < HUGE_VAL) s.block.raise(q, least_score(query[q].i, query[q].limit));
    s.block.scan(*panels_, 0, panels_->panels());
    s.block.finish();
    s.products += static_cast<double>(count * size() * rows_.d());
    for (int64_t q = 0; q < count; ++q) {
        if (s.block.crowded(q)) answer[q] = best_of(s, query[q], size(), all);
        else answer[q] = best_of(s, query[q], s.block.candidates(q), [&](int64_t c) { return s.block.position(q)[c]; });
    }
}

}  // namespace latom
