// exact_sparse.h: D^2 of all CSR rows after every center, one at a time or the best of several.
//
// Only rows that share a term with a center have another product with it than 0 (row_postings.h). All others are at D^2
// = 2, or |x_i|^2 + |c|^2: they are looked at where that may be news, which without negative entries it is only for the
// first center, or under the Euclidean metric for one shorter than all before.
//
// Cost      a pass over those rows per draw, and one more for the draw that is kept, if there are several.
#pragma once

#include "algorithms/seed/potential.h"
#include "rows/row_postings.h"

namespace latom {

template <class View>
class ExactSparse {
public:
    /// `has_negative`: the rows, or centers that are there already.
    ExactSparse(const Context& ctx, const Rows<View>& rows, Metric metric, Potential<View>& potential,
                bool has_negative)
        : rows_(rows),
          distance_(metric, rows),
          potential_(potential),
          postings_(ctx, rows),
          signed_(has_negative),
          scratch_(static_cast<std::size_t>(workers(ctx, postings_.slabs()))) {}

    double total() const { return potential_.total(); }
    int64_t draw(double uniform) const { return potential_.draw(uniform); }
    /// Of the draws the one that lowers the potential most; ties to the first.
    Gain best(const Context& ctx, const std::vector<int64_t>& draws);
    /// Takes row c as a center.
    void add(const Context& ctx, int64_t c);
    /// To be called when others go on with the potential.
    void leave(const Context&) {}
    double products() const {
        double sum = 0;
        for (const auto& s : scratch_) sum += s.products;
        return sum;
    }

private:
    /// f(i, D^2(i, c)) for the rows of a slab that c may be nearest to.
    template <class F>
    void sweep(std::size_t worker, int64_t slab, int64_t c, bool all, F f) {
        const double c2 = rows_.norm2(c);
        all = all || signed_ || (distance_.metric == Metric::kEuclidean && c2 < shortest2_);
        postings_.products(scratch_[worker], slab, c, all, [&](int64_t i, double dot) {
            if (potential_.bound(i) > 0) f(i, i == c ? 0.0 : distance_(dot, rows_.norm2(i), c2));
        });
    }

    const Rows<View>& rows_;
    SquaredDistance distance_;
    Potential<View>& potential_;
    RowPostings<View> postings_;
    bool signed_;
    double shortest2_ = HUGE_VAL;  // of the centers
    std::vector<typename RowPostings<View>::Scratch> scratch_;
};

template <class View>
Gain ExactSparse<View>::best(const Context& ctx, const std::vector<int64_t>& draws) {
    const auto count = static_cast<int64_t>(draws.size());
    std::vector<double> gain(static_cast<std::size_t>(postings_.slabs() * count), 0.0);  // [slabs, count]
    scratch_.resize(std::max(scratch_.size(), static_cast<std::size_t>(workers(ctx, postings_.slabs() * count))));
    parallel_for(ctx, postings_.slabs() * count, [&](int64_t at, int worker) {
        double sum = 0;
        sweep(worker, at / count, draws[at % count], false, [&](int64_t i, double d2) {
            const double less = potential_.bound(i) - d2;
            if (less > 0) sum += potential_.weight(i) * less;
        });
        gain[at] = sum;
    });
    std::vector<double> total(draws.size(), 0.0);
    for (std::size_t at = 0; at < gain.size(); ++at) total[at % draws.size()] += gain[at];
    return most_gain(draws, total);
}

template <class View>
void ExactSparse<View>::add(const Context& ctx, int64_t c) {
    const bool first = !potential_.known();
    potential_.begin(c);
    parallel_for(ctx, postings_.slabs(), [&](int64_t slab, int worker) {
        sweep(worker, slab, c, first, [&](int64_t i, double d2) { potential_.lower(i, d2); });
        potential_.sum(postings_.first(slab), postings_.last(slab));
    });
    potential_.end();
    shortest2_ = std::min(shortest2_, rows_.norm2(c));
}

}  // namespace latom
