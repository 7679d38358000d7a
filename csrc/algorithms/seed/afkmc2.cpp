// afkmc2.cpp: AFK-MC^2, k-means++ approximated by Markov chains (Bachem, Lucic, Hassani & Krause 2016).
//
// Each centre is the last state of a chain: proposals y by q, from state x accepted with probability
//   min(1, p_y q_x / (p_x q_y)),      p_i = w_i D^2(i),      q_i = w_i D_1^2(i) / (2 sum w D_1^2) + w_i / (2 sum w)
// with D_1 the distance to the first centre; always where p_x = 0. Proposals do not depend on the centres drawn, so
// those of several chains are looked at together.
//
// Cost      one pass for q; chain * m^2 / 2 dot products.
#include "algorithms/every_view.h"
#include "algorithms/seed/fill.h"
#include "algorithms/seed/potential.h"
#include "latom/seeding.h"

namespace latom {

template <class View>
Seeding afkmc2(const Context& ctx, const View& X, const double* weights, Metric metric, int64_t m, int64_t chain,
               std::uint64_t seed, const std::string& function) {
    using Query = typename NearestCenter<View>::Query;
    using Answer = typename NearestCenter<View>::Answer;
    const Rows<View> rows(ctx, X, function);
    const SquaredDistance distance(metric, rows);
    Potential<View> potential(ctx, rows, metric, weights);
    const Philox first(seed, Purpose::kFirstCenter), random(seed, Purpose::kChain);
    Seeding out;
    const auto size = [&] { return static_cast<int64_t>(out.indices.size()); };
    const auto weight = [&](int64_t i) { return potential.weight(i); };
    PrefixTable by_weight(rows.n());
    by_weight.sum_all(ctx, weight);
    NearestCenter<View> centers(rows, metric);
    if (const int64_t start = potential.draw(first.uniform(0)); start >= 0) {
        out.indices.push_back(start);
        centers.add(rows, start);
        out.products += potential.fold(ctx, centers, {start});
    }
    const auto proposal = [&](int64_t i) {
        return weight(i) * (potential.bound(i) / potential.total() + 1 / by_weight.total()) / 2;
    };
    std::vector<Query> query;
    std::vector<Answer> answer;
    std::vector<typename View::value_type> wide(static_cast<std::size_t>(kIsSparse<View> ? rows.d() : 0));
    constexpr int64_t kTogether = 2048, kVain = 16;  // proposals; chains that end in a centre
    std::uint64_t drawn = 0;
    for (int64_t vain = 0; size() > 0 && size() < m && potential.total() > 0;) {
        if (vain >= kVain) {  // few rows are left: the law itself
            Potential<View> exact(ctx, rows, metric, weights);
            centers.prepare(ctx);
            out.products += exact.fold(ctx, centers, out.indices);
            const int64_t row = exact.draw(random.uniform(drawn++));
            if (row < 0) break;
            out.indices.push_back(row);
            centers.add(rows, row);
            vain = 0;
            continue;
        }
        const int64_t chains = std::clamp<int64_t>(kTogether / chain, 1, m - size()), known = size();
        query.resize(static_cast<std::size_t>(chains * chain));
        std::vector<double> coin;
        for (Query& q : query) {
            const auto [where, u] = random.uniforms(drawn);
            const bool half = random.uniform(drawn + 1) < 0.5;
            drawn += 2;
            q.i = half ? potential.draw(where) : by_weight.draw(where, weight);
            q.limit = potential.bound(q.i);
            coin.push_back(u);
        }
        centers.prepare(ctx);
        out.products += centers.find_all(ctx, query, answer);
        for (int64_t c = 0; c < chains; ++c) {
            int64_t state = -1;
            double state_p = 0;
            for (int64_t step = 0; step < chain; ++step) {
                const auto at = static_cast<std::size_t>(c * chain + step);
                const int64_t i = query[at].i;
                double d2 = answer[at].distance2;
                if (size() > known) {
                    const auto* x = wide.data();
                    if constexpr (kIsSparse<View>) rows.each(i, [&](int64_t t, auto v) { wide[t] = v; });
                    else x = rows.values(i);
                    for (int64_t s = known; s < size(); ++s)
                        d2 = std::min(d2,
                                      distance(rows.dot(out.indices[s], x), rows.norm2(i), rows.norm2(out.indices[s])));
                    if constexpr (kIsSparse<View>) rows.each(i, [&](int64_t t, auto) { wide[t] = 0; });
                }
                ++out.trials;
                const double p = weight(i) * d2;
                if (state < 0 || state_p == 0 || p * proposal(state) > coin[at] * state_p * proposal(i)) {
                    state = i;
                    state_p = p;
                }
            }
            vain = state_p > 0 ? 0 : vain + 1;
            if (!(state_p > 0) || std::find(out.indices.begin(), out.indices.end(), state) != out.indices.end())
                continue;
            out.indices.push_back(state);
            centers.add(rows, state);
        }
    }
    out.distinct = size();
    fill_up(out.indices, m, rows.n(), first, weight);
    return out;
}

#define LATOM_INSTANTIATE(View)                                                                                  \
    template Seeding afkmc2(const Context&, const View&, const double*, Metric, int64_t, int64_t, std::uint64_t, \
                            const std::string&);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
