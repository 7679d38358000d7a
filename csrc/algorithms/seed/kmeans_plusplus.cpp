// kmeans_plusplus.cpp: the first center, the method that draws the others, and what fills up when no distance is left.
#include <optional>

#include "algorithms/seed/exact_dense.h"
#include "algorithms/seed/exact_sparse.h"
#include "algorithms/seed/fill_up.h"
#include "algorithms/seed/rejection.h"
#include "rows/every_view.h"

namespace latom {

namespace {

/// Of `trials` draws the best; ties to the first. So many at a time as memory and an interrupt do not mind.
template <class Exact>
int64_t draw_best(const Context& ctx, Exact& exact, int64_t trials, const Philox& random, Seeding& out) {
    constexpr int64_t kTogether = 64;
    Gain best;
    for (int64_t left = trials; left > 0; left -= kTogether) {
        std::vector<int64_t> draws;
        for (int64_t l = 0; l < std::min(left, kTogether); ++l)
            draws.push_back(exact.draw(random.uniform(static_cast<std::uint64_t>(out.trials++))));
        if (trials == 1) return draws[0];
        if (const Gain gain = exact.best(ctx, draws); best.row < 0 || gain.gain > best.gain) best = gain;
    }
    return best.row;
}

/// Until there are m centers, the potential is zero, or the budget is spent.
template <class View>
void draw_exactly(const Context& ctx, const Rows<View>& rows, Metric metric, Potential<View>& potential,
                  bool has_negative, int64_t m, const SeedPlan& plan, const Philox& random, Seeding& out) {
    std::conditional_t<kIsSparse<View>, ExactSparse<View>, ExactDense<View>> exact(ctx, rows, metric, potential,
                                                                                   has_negative);
    if constexpr (!kIsSparse<View>) exact.look_up(plan.dots, plan.stride);
    exact.add(ctx, out.indices.back());
    while (static_cast<int64_t>(out.indices.size()) < m && exact.total() > 0 && exact.products() <= plan.budget) {
        out.indices.push_back(draw_best(ctx, exact, plan.local_trials, random, out));
        exact.add(ctx, out.indices.back());
    }
    exact.leave(ctx);
    out.greedy = plan.local_trials > 1 ? static_cast<int64_t>(out.indices.size()) : 0;
    out.potential = potential.total();
    out.products += exact.products();
}

/// D^2 to centers that are none of the rows.
template <class View>
void take_existing(const Context& ctx, const Rows<View>& rows, Metric metric, Potential<View>& potential,
                   const Rows<View>& there, Seeding& out) {
    NearestCenter<View> centers(rows, metric);
    std::vector<int64_t> none;
    for (int64_t c = 0; c < there.n(); ++c) {
        if (metric == Metric::kCosine && !(there.norm2(c) > 0)) continue;
        centers.add(there, c);
        none.push_back(-1);
    }
    if (!none.empty()) out.products += potential.lower(ctx, centers, none);
}

}  // namespace

template <class View>
Seeding kmeans_plusplus(const Context& ctx, const Rows<View>& rows, const Rows<View>* there, const double* weights,
                        Metric metric, int64_t m, const SeedPlan& plan) {
    Potential<View> potential(ctx, rows, metric, weights);
    potential.ask(plan.nearest);
    bool has_negative = !rows.non_negative();
    Seeding out;
    if (there && there->n() > 0) {
        if (there->d() != rows.d())
            fail(ctx, "existing_centers must have " + std::to_string(rows.d()) + " columns, as X has", there->d(),
                 "Pass centers of the same features.");
        has_negative = has_negative || !there->non_negative();
        take_existing(ctx, rows, metric, potential, *there, out);
    }
    const Philox first(ctx.seed, Purpose::kFirstCenter), next(ctx.seed, Purpose::kNextCenter);
    out.method = plan.method == SeedMethod::kAuto ? SeedMethod::kFold : plan.method;
    if (plan.local_trials > 1) out.method = SeedMethod::kExact;
    if (const int64_t start = potential.draw(first.uniform(0)); start >= 0) {
        out.indices.push_back(start);
        out.trials = 1;
        if (m > 1 || plan.potential) {
            if (out.method == SeedMethod::kExact)
                draw_exactly(ctx, rows, metric, potential, has_negative, m, plan, next, out);
            if (out.method != SeedMethod::kExact || static_cast<int64_t>(out.indices.size()) < m) {
                RejectionSeeding<View> rejection(rows, metric, potential, plan, ctx.seed);
                if (out.method != SeedMethod::kExact) rejection.start(ctx, start, plan.bound, out);
                rejection.run(ctx, m, out);
                out.potential = -1;
                if (plan.potential) {
                    const int64_t folds = out.folds;
                    rejection.fold(ctx, out);
                    out.folds = folds;
                    out.potential = potential.total();
                }
            }
        }
    }
    out.distinct = static_cast<int64_t>(out.indices.size());
    if (out.distinct < m) out.potential = 0;
    fill_up(out.indices, m, rows.n(), first, [&](int64_t i) { return potential.weight(i); });
    return out;
}

#define LATOM_INSTANTIATE(View)                                                                                   \
    template Seeding kmeans_plusplus(const Context&, const Rows<View>&, const Rows<View>*, const double*, Metric, \
                                     int64_t, const SeedPlan&);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
