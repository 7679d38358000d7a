// parallel_candidates.cpp: the rounds of k-means|| (Bahmani, Moseley, Vattani, Kumar & Vassilvitskii 2012).
#include "algorithms/seed/rejection.h"
#include "rows/every_view.h"

namespace latom {

template <class View>
Candidates parallel_candidates(const Context& ctx, const Rows<View>& rows, const double* weights, Metric metric,
                               int64_t m, double amount, int64_t rounds, const NearestOf& nearest) {
    const int64_t n = rows.n();
    Potential<View> potential(ctx, rows, metric, weights);
    potential.ask(nearest);
    NearestCenter<View> pending(rows, metric);
    pending.keep_rows();
    const Philox first(ctx.seed, Purpose::kFirstCenter), random(ctx.seed, Purpose::kRound);
    Seeding drawn;
    const auto fold = [&](const std::vector<int64_t>& fresh) {
        for (const int64_t i : fresh) pending.add(rows, i);
        potential.lower(ctx, pending, fresh);
        pending.clear();
        drawn.indices.insert(drawn.indices.end(), fresh.begin(), fresh.end());
    };
    if (const int64_t start = potential.draw(first.uniform(0)); start >= 0) fold({start});
    for (int64_t round = 0; round < rounds && !drawn.indices.empty() && potential.total() > 0; ++round) {
        constexpr int64_t kRows = 4096;
        std::vector<std::vector<int64_t>> taken(static_cast<std::size_t>(chunk_count(n, kRows)));
        parallel_for(ctx, chunk_count(n, kRows), [&](int64_t c, int) {
            for (int64_t i = c * kRows; i < std::min(n, (c + 1) * kRows); ++i) {
                const double p = amount * potential.mass(i) / potential.total();
                if (p > 0 && random.uniform(static_cast<std::uint64_t>(round * n + i)) < p) taken[c].push_back(i);
            }
        });
        std::vector<int64_t> fresh;
        for (const auto& some : taken) fresh.insert(fresh.end(), some.begin(), some.end());
        if (!fresh.empty()) fold(fresh);
    }
    Candidates out;
    const auto measure = [&] {
        out.mass.assign(drawn.indices.size(), 0.0);
        for (int64_t i = 0; i < n; ++i)
            if (const double w = potential.weight(i); w > 0) out.mass[potential.label(i)] += w;
    };
    if (!drawn.indices.empty()) {
        // Copies of a candidate have no mass. If too few others are left for m clusters: more, one by one.
        measure();
        const int64_t copies = std::count(out.mass.begin(), out.mass.end(), 0.0);
        RejectionSeeding<View> more(rows, metric, potential, SeedPlan{}, ctx.seed);
        more.run(ctx, m + copies, drawn);
        more.fold(ctx, drawn);
        measure();
    }
    out.indices = drawn.indices;
    out.potential = out.indices.empty() ? 0.0 : potential.total();
    return out;
}

#define LATOM_INSTANTIATE(View)                                                                                        \
    template Candidates parallel_candidates(const Context&, const Rows<View>&, const double*, Metric, int64_t, double, \
                                            int64_t, const NearestOf&);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
