// afkmc2.cpp: AFK-MC^2, k-means++ approximated by Markov chains (Bachem, Lucic, Hassani & Krause 2016).
//
// Each center is the last state of a chain: proposals y by q, from state x accepted with probability
//   min(1, p_y q_x / (p_x q_y)),      p_i = w_i D^2(i),      q_i = w_i D_1^2(i) / (2 sum w D_1^2) + w_i / (2 sum w)
// with D_1 the distance to the first center; always where p_x = 0. Proposals do not depend on the centers drawn, so
// those of several chains are looked at together.
//
// Cost      one pass for q; chain * m^2 / 2 dot products.
#include "algorithms/seed/fill_up.h"
#include "algorithms/seed/potential.h"
#include "latom/seed.h"
#include "rows/every_view.h"

namespace latom {

namespace {

constexpr int64_t kTogether = 2048;  // proposals that are looked at together; by measurement
constexpr int64_t kVain = 16;        // chains in a row that end in a center already drawn: few rows are left

template <class View>
class Chains {
public:
    Chains(const Context& ctx, const Rows<View>& rows, const double* weights, Metric metric, int64_t m, int64_t chain)
        : ctx_(ctx),
          rows_(rows),
          weights_(weights),
          m_(m),
          chain_(chain),
          distance_(metric, rows),
          potential_(ctx, rows, metric, weights),
          by_weight_(rows.n()),
          centers_(rows, metric),
          random_(ctx.seed, Purpose::kChain),
          wide_(static_cast<std::size_t>(kIsSparse<View> ? rows.d() : 0)) {
        by_weight_.sum_all(ctx, [this](int64_t i) { return potential_.weight(i); });
    }

    Seeding run() {
        const Philox first(ctx_.seed, Purpose::kFirstCenter);
        if (const int64_t start = potential_.draw(first.uniform(0)); start >= 0) {
            take(start);
            out_.products += potential_.lower(ctx_, centers_, {start});
        }
        for (int64_t vain = 0; size() > 0 && size() < m_ && potential_.total() > 0;) {
            if (vain < kVain) {
                vain = walk(std::clamp<int64_t>(kTogether / chain_, 1, m_ - size()), vain);
            } else {
                if (!draw_by_the_law()) break;
                vain = 0;
            }
        }
        out_.distinct = size();
        fill_up(out_.indices, m_, rows_.n(), first, [this](int64_t i) { return potential_.weight(i); });
        return std::move(out_);
    }

private:
    int64_t size() const { return static_cast<int64_t>(out_.indices.size()); }
    void take(int64_t row) {
        out_.indices.push_back(row);
        centers_.add(rows_, row);
    }
    double proposal(int64_t i) const {
        return potential_.weight(i) * (potential_.bound(i) / potential_.total() + 1 / by_weight_.total()) / 2;
    }

    // Draws a center by the law itself; false if no row is left to draw.
    bool draw_by_the_law() {
        Potential<View> exact(ctx_, rows_, distance_.metric, weights_);
        centers_.prepare(ctx_);
        out_.products += exact.lower(ctx_, centers_, out_.indices);
        const int64_t row = exact.draw(random_.uniform(drawn_++));
        if (row >= 0) take(row);
        return row >= 0;
    }

    // Draws so many proposals and finds their distances to the centers so far.
    void propose(int64_t count) {
        query_.resize(static_cast<std::size_t>(count));
        coin_.clear();
        for (auto& q : query_) {
            const auto [where, u] = random_.uniforms(drawn_);
            const bool half = random_.uniform(drawn_ + 1) < 0.5;
            drawn_ += 2;
            q.i = half ? potential_.draw(where)
                       : by_weight_.draw(where, [this](int64_t i) { return potential_.weight(i); });
            q.limit = potential_.bound(q.i);
            coin_.push_back(u);
        }
        centers_.prepare(ctx_);
        out_.products += centers_.find_all(ctx_, query_, answer_);
    }

    // Walks some chains; returns how many in a row, `vain` and these, have ended in a center already drawn. A chain
    // alone may be of any length: its proposals are drawn a part at a time.
    int64_t walk(int64_t chains, int64_t vain) {
        const int64_t known = size();
        if (chains > 1) propose(chains * chain_);
        for (int64_t c = 0; c < chains; ++c) {
            int64_t state = -1;
            double state_p = 0;
            for (int64_t step = 0; step < chain_; ++step) {
                const auto at = static_cast<std::size_t>(chains > 1 ? c * chain_ + step : step % kTogether);
                if (chains == 1 && at == 0) propose(std::min(kTogether, chain_ - step));
                const int64_t i = query_[at].i;
                ++out_.trials;
                const double p = potential_.weight(i) * distance2(i, known, answer_[at].distance2);
                if (state < 0 || state_p == 0 || p * proposal(state) > coin_[at] * state_p * proposal(i)) {
                    state = i;
                    state_p = p;
                }
            }
            vain = state_p > 0 ? 0 : vain + 1;
            const auto& drawn = out_.indices;
            if (state_p > 0 && std::find(drawn.begin(), drawn.end(), state) == drawn.end()) take(state);
        }
        return vain;
    }

    // D^2(i), from d2, which is that to the first `known` centers.
    double distance2(int64_t i, int64_t known, double d2) {
        if (size() == known) return d2;
        const auto* x = wide_.data();
        if constexpr (kIsSparse<View>) rows_.each(i, [&](int64_t t, auto v) { wide_[t] = v; });
        else x = rows_.values(i);
        for (int64_t s = known; s < size(); ++s) {
            const int64_t c = out_.indices[s];
            d2 = std::min(d2, distance_(rows_.dot(c, x), rows_.norm2(i), rows_.norm2(c)));
        }
        if constexpr (kIsSparse<View>) rows_.each(i, [&](int64_t t, auto) { wide_[t] = 0; });
        return d2;
    }

    const Context& ctx_;
    const Rows<View>& rows_;
    const double* weights_;
    int64_t m_, chain_;
    SquaredDistance distance_;
    Potential<View> potential_;
    PrefixTable by_weight_;
    NearestCenter<View> centers_;
    Philox random_;
    std::uint64_t drawn_ = 0;
    std::vector<typename NearestCenter<View>::Query> query_;
    std::vector<typename NearestCenter<View>::Answer> answer_;
    std::vector<double> coin_;
    std::vector<typename View::value_type> wide_;  // [d] for CSR: a row as a dense vector, 0 between uses
    Seeding out_;
};

}  // namespace

template <class View>
Seeding afkmc2(const Context& ctx, const Rows<View>& rows, const double* weights, Metric metric, int64_t m,
               int64_t chain) {
    return Chains<View>(ctx, rows, weights, metric, m, chain).run();
}

#define LATOM_INSTANTIATE(View) \
    template Seeding afkmc2(const Context&, const Rows<View>&, const double*, Metric, int64_t, int64_t);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
