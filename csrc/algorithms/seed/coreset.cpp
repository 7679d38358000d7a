#include "latom/seed.h"

#include <algorithm>

#include "algorithms/seed/rejection.h"
#include "rows/every_view.h"

namespace latom {
namespace {

/// Numbers that q is proportional to, from m rough centers.
template <class View>
std::vector<double> sensitivities(const Context& ctx, const Rows<View>& rows, Metric metric, Potential<View>& potential,
                                  int64_t m) {
    const int64_t n = rows.n();
    const int64_t start = potential.draw(Philox(ctx.seed, Purpose::kFirstCenter).uniform(0));
    RejectionSeeding<View> rejection(rows, metric, potential, SeedPlan{}, ctx.seed);
    Seeding drawn;
    drawn.indices.push_back(start);
    rejection.start(ctx, start, SeedBound::kAuto, drawn);
    rejection.run(ctx, m, drawn);
    rejection.fold(ctx, drawn);
    const std::size_t clusters = potential.centers().size();
    std::vector<double> weight(clusters, 0.0), cost(clusters, 0.0);
    double total = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (!(potential.weight(i) > 0)) continue;
        weight[potential.label(i)] += potential.weight(i);
        cost[potential.label(i)] += potential.mass(i);
        total += potential.weight(i);
    }
    const double a = 16 * (std::log(static_cast<double>(m)) + 2), mean = potential.total() / total;
    std::vector<double> out(static_cast<std::size_t>(n), 0.0);
    for (int64_t i = 0; i < n; ++i) {
        const double w = potential.weight(i);
        if (!(w > 0)) continue;
        const int32_t b = potential.label(i);
        const double far = mean > 0 ? a * (potential.bound(i) + 2 * cost[b] / weight[b]) / mean : 0;
        out[i] = w * (far + 4 * total / weight[b]);
    }
    return out;
}

struct Drawn {
    int64_t row, times;
};

/// The rows that draw(0), ..., draw(size - 1) give, in order, a piece of the draws at a time.
template <class Draw>
std::vector<Drawn> tally(const Context& ctx, int64_t size, Draw draw) {
    constexpr int64_t kPiece = 1 << 20, kDraws = 256;
    std::vector<Drawn> out, before;
    std::vector<int64_t> piece;
    for (int64_t from = 0; from < size; from += kPiece) {
        const int64_t count = std::min(kPiece, size - from);
        piece.resize(static_cast<std::size_t>(count));
        parallel_for(ctx, chunk_count(count, kDraws), [&](int64_t c, int) {
            for (int64_t s = c * kDraws; s < std::min(count, (c + 1) * kDraws); ++s) piece[s] = draw(from + s);
        });
        std::sort(piece.begin(), piece.end());
        before.swap(out);
        out.clear();
        auto old = before.begin();
        for (auto at = piece.begin(); at != piece.end();) {
            const auto end = std::upper_bound(at, piece.end(), *at);
            for (; old != before.end() && old->row < *at; ++old) out.push_back(*old);
            out.push_back({*at, end - at});
            if (old != before.end() && old->row == *at) out.back().times += (old++)->times;
            at = end;
        }
        out.insert(out.end(), old, before.end());
    }
    return out;
}

/// The rows drawn, what each was drawn in proportion to, and the sum of that over all rows.
struct Draws {
    std::vector<Drawn> drawn;
    std::vector<double> q;
    double sum = 0;
};

/// Rows by an upper bound on their share in the cost of any m centers.
template <class View>
Draws draw_by_sensitivity(const Context& ctx, const Rows<View>& rows, Metric metric, Potential<View>& potential,
                          int64_t size, int64_t m) {
    Draws out;
    const std::vector<double> q = sensitivities(ctx, rows, metric, potential, m);
    for (const double v : q) out.sum += v;
    const AliasTable table(ctx, rows.n(), [&](int64_t i) { return q[i]; });
    const Philox random(ctx.seed, Purpose::kSample);
    out.drawn = tally(ctx, size, [&](int64_t s) {
        const auto [where, coin] = random.uniforms(static_cast<std::uint64_t>(s));
        return table.draw(where, coin);
    });
    for (const Drawn& d : out.drawn) out.q.push_back(q[d.row]);
    return out;
}

/// Rows by their weights, or, by a coin, by weight times squared distance to the mean.
template <class View>
Draws draw_around_mean(const Context& ctx, const Rows<View>& rows, Metric metric, const double* weights,
                       const Potential<View>& weight, int64_t size) {
    const auto mean = weighted_mean(ctx, rows, metric, [&](int64_t i) { return weight.weight(i); });
    Potential<View> spread(ctx, rows, metric, weights);
    spread.set(ctx, [&](int64_t i) { return distance_to_mean(rows, metric, i, mean); });
    const bool any = spread.total() > 0;
    Draws out;
    out.sum = any ? 2.0 : 1.0;
    const Philox random(ctx.seed, Purpose::kSample);
    out.drawn = tally(ctx, size, [&](int64_t s) {
        const auto [where, coin] = random.uniforms(static_cast<std::uint64_t>(s));
        return any && coin < 0.5 ? spread.draw(where) : weight.draw(where);
    });
    for (const Drawn& d : out.drawn)
        out.q.push_back(weight.weight(d.row) / weight.total() + (any ? spread.mass(d.row) / spread.total() : 0.0));
    return out;
}

}  // namespace

template <class View>
Coreset coreset(const Context& ctx, const Rows<View>& rows, const double* weights, Metric metric, int64_t size,
                int64_t rough_centers) {
    Potential<View> potential(ctx, rows, metric, weights);
    Coreset out;
    if (!(potential.total() > 0)) return out;
    const Draws draws = rough_centers > 0 ? draw_by_sensitivity(ctx, rows, metric, potential, size, rough_centers)
                                          : draw_around_mean(ctx, rows, metric, weights, potential, size);
    for (std::size_t p = 0; p < draws.drawn.size(); ++p) {
        const auto [i, times] = draws.drawn[p];
        const double share = draws.sum / (static_cast<double>(size) * draws.q[p]);
        out.indices.push_back(i);
        out.weights.push_back(static_cast<double>(times) * potential.weight(i) * share);
    }
    return out;
}

std::vector<int64_t> weighted_sample(const Context& ctx, const double* weights, int64_t n, int64_t size,
                                     bool replacement) {
    const Philox random(ctx.seed, Purpose::kSample);
    const auto weight = [=](int64_t i) { return weights[i]; };
    if (!replacement) return race(ctx, n, size, random, weight);
    const AliasTable table(ctx, n, weight);
    std::vector<int64_t> out(static_cast<std::size_t>(size));
    constexpr int64_t kDraws = 1 << 16;
    parallel_for(ctx, chunk_count(size, kDraws), [&](int64_t c, int) {
        for (int64_t s = c * kDraws; s < std::min(size, (c + 1) * kDraws); ++s) {
            const auto [where, coin] = random.uniforms(static_cast<std::uint64_t>(s));
            out[s] = table.draw(where, coin);
        }
    });
    return out;
}

#define LATOM_INSTANTIATE(View) \
    template Coreset coreset(const Context&, const Rows<View>&, const double*, Metric, int64_t, int64_t);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
