// nearest_center.h: which of some centers is nearest to a row, if one lies within a limit.
//
//   score(i, c) = <x_i, c> / |c|  (cosine)     <x_i, c> - |c|^2 / 2  (Euclidean)        highest: nearest
//   D^2(i, c)   = 2 - 2 cos(x_i, c)            |x_i|^2 + |c|^2 - 2 <x_i, c>             0 within rounding
//
// Sparse rows are scored in float64 against an inverted index of the centers: term by term of the row, center by
// center. Dense rows go through a screen of engines/product_select, that of few columns (column_screen.h) or of many
// (row_block.h), with the limit as their threshold, and what passes is decided in float64; most rows with a low limit
// never reach it. Few centers of many columns go through another (first_two.h); of many 8 bits go first, where they have
// not been found to leave too much.
//
// Cost      sparse: the entries of the centers in the row's terms; dense: d multiply-adds per center, most in low
//           precision.
// Memory    O(entries of the centers).
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "algorithms/seed/squared_distance.h"
#include "core/buffer.h"
#include "engines/product_select/column_screen.h"
#include "engines/product_select/decide.h"
#include "engines/product_select/first_two.h"
#include "engines/product_select/rounded_rows.h"
#include "rows/rows.h"

namespace latom {

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
    struct alignas(kCacheLine) Scratch {
        std::vector<double> score;  // zero between uses
        std::vector<const T*> row;
        std::vector<double> norm2;
        RowBlock<T> block;
        std::vector<std::pair<double, int32_t>> hopeful;  // bound of the score, center
        std::vector<Query> left;                          // of those that 8 bits leave, and their places
        std::vector<int64_t> place;
        int32_t found = -1;  // by the last look at some centers, and its score
        double score_found = 0;
        typename FirstTwo<T>::Scratch two;
        std::vector<typename FirstTwo<T>::Lead> lead;
        typename ColumnScreen<View>::Scratch few;
        double products = 0, coarse = 0, left_over = 0;  // products of 8 bits, and what these left to others
    };

    NearestCenter(const Rows<View>& rows, Metric metric) : rows_(rows), distance_(metric, rows) {}

    int64_t size() const { return static_cast<int64_t>(center_.size()); }
    /// Row `row` of `source`, which must outlive the object.
    void add(const Rows<View>& source, int64_t row) { center_.push_back({&source, row}); }
    void clear() {
        center_.clear();
        indexed_ = 0;
        for (auto& list : postings_) list.clear();
    }

    enum class Asks { kNearest, kEarlier };  // find() and find_all(), or find_earlier()
    /// To be called after the last add() and before what it says.
    void prepare(const Context& ctx, Asks asks = Asks::kNearest);
    /// From now on rows are kept as a screen takes them, for passes over all of them.
    void keep_rows() { keep_ = true; }
    /// The nearest center of each row (of those that add() was not told of, too); ties to the lowest center.
    /// Thread-safe. once: no other thread asks for these rows now.
    void find(Scratch& scratch, const Query* query, int64_t count, Answer* answer, bool once = false) const;
    /// After a pass: whether 8 bits go first again.
    void judge(double coarse, double left_over) {
        if (2 * left_over > coarse) coarse_pays_ = false;
    }
    /// What find() gives where another has found the nearest center, and its product with the row.
    Answer found(const Query& query, int32_t center, double dot) const { return within(query, center, dot); }
    /// find() for many rows, in parallel where that pays. Returns the multiply-adds spent.
    double find_all(const Context& ctx, const std::vector<Query>& query, std::vector<Answer>& answer);

    /// Where row `query[q]` is center q itself: the centers before q within its limit, in any order. Or that there are
    /// many.
    struct Earlier {
        std::vector<int32_t> center;
        bool many = false;
    };
    double find_earlier(const Context& ctx, const std::vector<Query>& query, std::vector<Earlier>& earlier);

private:
    static constexpr int64_t kFewCenters = 16;     // below, scoring all costs less than rounding the row
    static constexpr int64_t kFirstTwo = 48;       // below, float32 costs less than that
    static constexpr int64_t kLeastCenters = 4;    // from which on rows of few columns are screened
    static constexpr int64_t kCoarseCenters = 72;  // from which on 8 bits are tried
    static constexpr double kScore = 24;           // multiply-adds of 8 bits in the time of one in float64
    static constexpr int64_t kMostColumns = 1 << 20;

    struct Center {
        const Rows<View>* source;
        int64_t row;
    };
    bool cosine() const { return distance_.metric == Metric::kCosine; }
    /// The score that a center within `limit` of row i reaches.
    double least_score(int64_t i, double limit) const {
        const double x2 = rows_.norm2(i);
        return cosine() ? std::sqrt(x2) * (1 - limit / 2) : (x2 - limit) / 2;
    }
    Answer within(const Query& query, int32_t center, double dot) const {
        const double d2 = distance_(dot, rows_.norm2(query.i), norm2_[center]);
        return d2 <= query.limit ? Answer{d2, center} : Answer{query.limit, -1};
    }
    void extend_index();
    template <class F>
    double in_parallel(const Context& ctx, int64_t count, F f);
    void find_sparse(Scratch& scratch, const Query& query, Answer& answer) const;
    void find_dense(Scratch& scratch, const Query* query, int64_t count, Answer* answer, bool once) const;
    void find_first(Scratch& scratch, const Query* query, int64_t count, Answer* answer) const;
    void find_by_columns(Scratch& scratch, const Query* query, int64_t count, Answer* answer) const;
    void find_earlier_sparse(Scratch& scratch, const Query& query, int64_t self, Earlier& earlier) const;
    void find_earlier_dense(Scratch& scratch, const Query* query, int64_t self, int64_t count, Earlier* earlier) const;
    void dots(Scratch& scratch, int64_t i) const;
    template <class F>
    void each_within(Scratch& scratch, const Query& query, int64_t count, F f) const;
    void screen(Scratch& scratch, const AtomPanels<T>& panels, const Query* query, int64_t count, int64_t k,
                bool once) const;
    Answer best_candidate(Scratch& scratch, const Query& query, int64_t q) const;
    template <class Next>
    Answer best_of(Scratch& scratch, const Query& query, int64_t count, Next next) const;

    const Rows<View>& rows_;
    SquaredDistance distance_;
    std::vector<Center> center_;
    std::vector<double> norm2_;
    ScoreRule rule_;
    std::unique_ptr<AtomPanels<T>> panels_, coarse_;  // dense
    mutable RoundedRows<T> rounded_;
    bool keep_ = false, coarse_pays_ = true;
    std::unique_ptr<ColumnScreen<View>> columns_;  // in their place, where columns are few,
    std::unique_ptr<FirstTwo<T>> two_;             // or centers
    struct Posting {
        int32_t center;
        T value;
    };
    std::vector<int32_t> slot_;                   // sparse, [d]: where a term's postings are; -1: nowhere
    std::vector<std::vector<Posting>> postings_;  // of a term, centers rising
    int64_t indexed_ = 0;
    std::vector<Scratch> scratch_;
};

}  // namespace latom

#include "algorithms/seed/nearest_center.inl.h"
