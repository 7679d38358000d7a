// kmeans_plusplus.cpp: the first centre, the method that draws the others, and what fills up when no distance is left.
#include <optional>

#include "algorithms/every_view.h"
#include "algorithms/seed/exact.h"
#include "algorithms/seed/fill.h"
#include "algorithms/seed/rejection.h"

namespace latom {

template <class View>
Seeding kmeans_plusplus(const Context& ctx, const View& X, const View* existing, const double* weights, Metric metric,
                        int64_t m, const SeedPlan& plan, std::uint64_t seed, const std::string& function) {
    const Rows<View> rows(ctx, X, function);
    std::optional<Rows<View>> there;
    if (existing && existing->n > 0) there.emplace(ctx, *existing, function, "existing_centers");
    Potential<View> potential(ctx, rows, metric, weights);
    Seeding out;
    if (there) {
        NearestCenter<View> centers(rows, metric);
        std::vector<int64_t> none;
        for (int64_t c = 0; c < there->n(); ++c) {
            if (metric == Metric::kCosine && !(there->norm2(c) > 0)) continue;
            centers.add(*there, c);
            none.push_back(-1);
        }
        if (!none.empty()) out.products += potential.fold(ctx, centers, none);
    }
    const Philox first(seed, Purpose::kFirstCenter), next(seed, Purpose::kNextCenter);
    const auto size = [&] { return static_cast<int64_t>(out.indices.size()); };
    const int64_t start = potential.draw(first.uniform(0));
    out.method = plan.method == SeedMethod::kAuto ? SeedMethod::kFold : plan.method;
    if (plan.local_trials > 1) out.method = SeedMethod::kExact;
    if (start >= 0) {
        out.indices.push_back(start);
        out.trials = 1;
        if (out.method == SeedMethod::kExact) {
            const bool has_negative = !rows.non_negative() || (there && !there->non_negative());
            ExactSeeding<View> exact(ctx, rows, metric, potential, has_negative);
            exact.add(ctx, start);
            std::vector<int64_t> draws;
            while (size() < m && potential.total() > 0) {
                draws.clear();
                for (int64_t l = 0; l < plan.local_trials; ++l)
                    draws.push_back(potential.draw(next.uniform(static_cast<std::uint64_t>(out.trials++))));
                out.indices.push_back(exact.best(ctx, draws));
                exact.add(ctx, out.indices.back());
            }
            out.potential = potential.total();
            out.products += exact.products();
        } else {
            RejectionSeeding<View> rejection(rows, metric, potential, plan, seed);
            if (m > 1 || plan.potential) rejection.start(ctx, start, plan.bound, out);
            rejection.run(ctx, m, out);
            if (plan.potential) {
                rejection.fold(ctx, out);
                out.potential = potential.total();
            }
        }
    }
    out.distinct = size();
    if (out.distinct < m && out.potential < 0) out.potential = 0;
    fill_up(out.indices, m, rows.n(), first, [&](int64_t i) { return potential.weight(i); });
    return out;
}

#define LATOM_INSTANTIATE(View)                                                                                       \
    template Seeding kmeans_plusplus(const Context&, const View&, const View*, const double*, Metric, int64_t,        \
                                     const SeedPlan&, std::uint64_t, const std::string&);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
