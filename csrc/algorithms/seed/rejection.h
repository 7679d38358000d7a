// rejection.h: draws by w_i D^2(i) from an upper bound B_i >= D^2(i), without D^2 of all rows.
//
//   draw i with probability proportional to w_i B_i, r uniform in [0, 1); take i if r B_i < D^2(i)
//
// is a draw of i with probability proportional to w_i B_i D^2(i) / B_i. It takes sum w B / sum w D^2 draws on average,
// which nobody needs to know. Proposals do not depend on the centers while B stands, so a batch of them is looked at
// together; they are accepted in the order of their numbers, each against the centers accepted before it.
//
// A fold makes B the D^2 of all rows, with one product-select pass over the data: due when the draws since the last one
// have cost as much. The law stays what it is; where the potential falls by orders of magnitude, draws stay few.
//
// Source    Shah, Agrawal & Jaiswal 2025 (kPaper). Its bound 2 (|x - mu|^2 + |c_1 - mu|^2) sums to twice that of
//           |x - c_1|^2 (kFirstCenter), since sum_i |x_i - c|^2 = sum_i |x_i - mu|^2 + n |c - mu|^2.
// Cost      draws * pending centers dot products, and the folds: at most m products per row in all.
#pragma once

#include "algorithms/seed/potential.h"
#include "algorithms/seed/weighted_mean.h"
#include "core/philox.h"
#include "latom/seed.h"

namespace latom {

template <class View>
class RejectionSeeding {
public:
    using T = typename View::value_type;

    RejectionSeeding(const Rows<View>& rows, Metric metric, Potential<View>& potential, const SeedPlan& plan,
                     std::uint64_t seed)
        : rows_(rows),
          distance_(metric, rows),
          potential_(potential),
          plan_(plan),
          pending_(rows, metric),
          proposed_(rows, metric),
          trial_(seed, Purpose::kTrial),
          fallback_(seed, Purpose::kFallback) {
        row_.resize(static_cast<std::size_t>(kIsSparse<View> ? rows.d() : 0), T{0});
    }

    /// Takes the first center, by which the bounds start.
    void start(const Context& ctx, int64_t first, SeedBound bound, Seeding& out);
    /// Draws centers until there are m, or the potential is zero.
    void run(const Context& ctx, int64_t m, Seeding& out);
    /// D^2 of all rows.
    void fold(const Context& ctx, Seeding& out);

private:
    using Query = typename NearestCenter<View>::Query;
    using Answer = typename NearestCenter<View>::Answer;

    bool fold_is_due(double tries) const;
    int64_t batch(int64_t left, const Seeding& out) const;
    void propose(const Context& ctx, int64_t count);
    void look(const Context& ctx, Seeding& out);
    bool nearer_in_batch(std::size_t q);
    int64_t draw_by_weight(const Context& ctx);
    double weight_left(int64_t i) const { return chosen_[i] ? 0.0 : potential_.weight(i); }
    void take(int64_t row, Seeding& out) {
        out.indices.push_back(row);
        chosen_[row] = 1;
        pending_.add(rows_, row);
        pending_rows_.push_back(row);
        in_batch_.push_back(row);
    }
    static constexpr std::size_t kCompare = 128;  // proposals from which on they are compared with each other at once

    const Rows<View>& rows_;
    SquaredDistance distance_;
    Potential<View>& potential_;
    SeedPlan plan_;
    NearestCenter<View> pending_, proposed_;
    std::vector<int64_t> pending_rows_, in_batch_;  // centers that B does not know; those of this batch
    Philox trial_, fallback_;
    std::uint64_t drawn_ = 0, fallbacks_ = 0;
    PrefixTable weights_;              // of the rows not yet chosen, for draws by weight alone
    std::vector<char> chosen_;         // [n]
    std::vector<Query> query_, left_;  // proposals; those that no pending center rejects
    std::vector<Answer> answer_;
    std::vector<typename NearestCenter<View>::Earlier> earlier_;
    std::vector<char> taken_;  // of left_
    std::vector<T> row_;       // a candidate as a dense vector
};

template <class View>
void RejectionSeeding<View>::start(const Context& ctx, int64_t first, SeedBound bound, Seeding& out) {
    const Metric metric = distance_.metric;
    const bool cosine = metric == Metric::kCosine;
    constexpr double kRounding = 1 + 1e-12;
    pending_.add(rows_, first);
    pending_rows_.push_back(first);
    if (bound == SeedBound::kAuto)
        bound = cosine && kIsSparse<View> && rows_.non_negative() ? SeedBound::kCap : SeedBound::kFirstCenter;
    if (potential_.known()) return;  // centers that were there already give a better one
    if (bound == SeedBound::kCap && cosine) {
        const double cap = (rows_.non_negative() ? 2 : 4) * kRounding;
        potential_.set(ctx, [=](int64_t) { return cap; }, true);
    } else if (bound == SeedBound::kCap) {
        double longest2 = 0;
        for (int64_t i = 0; i < rows_.n(); ++i)
            longest2 = std::max(longest2, potential_.weight(i) > 0 ? rows_.norm2(i) : 0.0);
        const double longest = std::sqrt(longest2);
        const bool positive = rows_.non_negative();
        potential_.set(
            ctx,
            [=, this](int64_t i) {
                const double x2 = rows_.norm2(i), sum = std::sqrt(x2) + longest;
                return kRounding * (positive ? x2 + longest2 : sum * sum);
            },
            true);
    } else if (bound == SeedBound::kPaper) {
        const auto mean = weighted_mean(ctx, rows_, metric, [&](int64_t i) { return potential_.weight(i); });
        const double center = distance_to_mean(rows_, metric, first, mean);
        potential_.set(
            ctx, [&](int64_t i) { return kRounding * 2 * (distance_to_mean(rows_, metric, i, mean) + center); }, true);
    } else {
        fold(ctx, out);
        out.folds = 0;  // that was the start
    }
}

// Times in nanoseconds, as measured with two cores of the reference machine; only their ratios matter, and only to the
// speed.
template <class View>
bool RejectionSeeding<View>::fold_is_due(double tries) const {
    if (pending_.size() == 0) return false;
    const double width = static_cast<double>(rows_.stored()) / static_cast<double>(rows_.n());
    const auto centers = static_cast<double>(pending_.size());
    const double product = kIsSparse<View> ? 0.035 : pending_.size() < 16 ? 0.08 : 0.0045;  // of one multiply-add
    const double touch = kIsSparse<View> ? 1.0 : pending_.size() < 16 ? 0.03 : 0.2;         // of one number of a row
    const double search = width * (touch + centers * product);
    constexpr double kDraw = 1000, kScan = 1;
    return tries * (kDraw + search) > static_cast<double>(rows_.n()) * (kScan + potential_.looked() * search);
}

// Proposals to look at together: as many as will bring a quarter more centers, so that those of one batch stay few
// beside those that the screen knows.
template <class View>
int64_t RejectionSeeding<View>::batch(int64_t left, const Seeding& out) const {
    constexpr int64_t kLeast = 28, kMost = 1024;
    const double rate = static_cast<double>(out.trials + 2) / static_cast<double>(out.indices.size() + 1);
    const int64_t wanted = std::min(left, std::max<int64_t>(8, pending_.size() / 4));
    return std::clamp(static_cast<int64_t>(rate * static_cast<double>(wanted)), kLeast, kMost);
}

template <class View>
void RejectionSeeding<View>::propose(const Context& ctx, int64_t count) {
    constexpr int64_t kDraws = 256;
    query_.resize(static_cast<std::size_t>(count));
    parallel_for(ctx, chunk_count(count, kDraws), [&](int64_t c, int) {
        for (int64_t q = c * kDraws; q < std::min(count, (c + 1) * kDraws); ++q) {
            const auto [where, r] = trial_.uniforms(drawn_ + static_cast<std::uint64_t>(q));
            query_[q].i = potential_.draw(where);
            query_[q].limit = r * potential_.bound(query_[q].i);
            rows_.prefetch(query_[q].i);
        }
    });
    drawn_ += static_cast<std::uint64_t>(count);
}

// The pending centers, and the proposals before each, that are near enough to reject it.
template <class View>
void RejectionSeeding<View>::look(const Context& ctx, Seeding& out) {
    answer_.assign(query_.size(), Answer{0, -1});
    if (pending_.size() > 0) {
        pending_.prepare(ctx);
        out.products += pending_.find_all(ctx, query_, answer_);
    }
    left_.clear();
    for (std::size_t q = 0; q < query_.size(); ++q)
        if (answer_[q].center < 0) left_.push_back(query_[q]);
    earlier_.clear();
    taken_.assign(left_.size(), 0);
    in_batch_.clear();
    if (left_.size() < kCompare) return;
    proposed_.clear();
    for (const Query& q : left_) proposed_.add(rows_, q.i);
    proposed_.prepare(ctx, NearestCenter<View>::Asks::kEarlier);
    out.products += proposed_.find_earlier(ctx, left_, earlier_);
}

// Whether a center accepted in this batch rejects proposal left_[q].
template <class View>
bool RejectionSeeding<View>::nearer_in_batch(std::size_t q) {
    if (in_batch_.empty()) return false;
    if (!earlier_.empty() && !earlier_[q].many)
        return std::any_of(earlier_[q].center.begin(), earlier_[q].center.end(),
                           [this](int32_t c) { return taken_[c] != 0; });
    const auto [i, limit] = left_[q];
    const T* x = row_.data();
    if constexpr (kIsSparse<View>) rows_.each(i, [&](int64_t t, T v) { row_[t] = v; });
    else x = rows_.values(i);
    bool nearer = false;
    for (std::size_t c = 0; c < in_batch_.size() && !nearer; ++c)
        nearer = distance_(rows_.dot(in_batch_[c], x), rows_.norm2(i), rows_.norm2(in_batch_[c])) <= limit;
    if constexpr (kIsSparse<View>) rows_.each(i, [&](int64_t t, T) { row_[t] = T{0}; });
    return nearer;
}

// A row not yet chosen; -1 if there is none.
template <class View>
int64_t RejectionSeeding<View>::draw_by_weight(const Context& ctx) {
    const auto weight = [this](int64_t i) { return weight_left(i); };
    if (weights_.blocks() == 0) weights_ = PrefixTable(rows_.n());
    weights_.sum_all(ctx, weight);
    return weights_.draw(fallback_.uniform(fallbacks_++), weight);
}

template <class View>
void RejectionSeeding<View>::fold(const Context& ctx, Seeding& out) {
    if (pending_.size() == 0) return;
    out.products += potential_.lower(ctx, pending_, pending_rows_);
    ++out.folds;
    pending_.clear();
    pending_rows_.clear();
}

template <class View>
void RejectionSeeding<View>::run(const Context& ctx, int64_t m, Seeding& out) {
    const bool folds = plan_.method != SeedMethod::kRejection;
    // Without folds a potential of zero would never be seen: one fold after so many rejections in a row tells.
    const double patience = static_cast<double>(std::max<int64_t>(rows_.n(), 1024));
    const double most = !folds && plan_.max_trials > 0 ? static_cast<double>(plan_.max_trials) : HUGE_VAL;
    double since_fold = 0, in_vain = 0;
    const auto size = [&] { return static_cast<int64_t>(out.indices.size()); };
    chosen_.assign(static_cast<std::size_t>(rows_.n()), 0);
    for (const int64_t i : out.indices) chosen_[i] = 1;
    while (size() < m) {
        if (folds ? fold_is_due(since_fold) : in_vain > patience) {
            fold(ctx, out);
            since_fold = in_vain = 0;
        }
        if (!(potential_.total() > 0)) return;
        propose(ctx, batch(m - size(), out));
        look(ctx, out);
        std::size_t next = 0;  // of left_
        for (std::size_t q = 0; q < query_.size() && size() < m; ++q) {
            ++out.trials;
            ++since_fold;
            const std::size_t at = next;
            next += answer_[q].center < 0;
            if (at < next && !chosen_[query_[q].i] && !nearer_in_batch(at)) {
                take(query_[q].i, out);
                taken_[at] = 1;
                in_vain = 0;
            } else if (++in_vain >= most) {
                const int64_t row = draw_by_weight(ctx);
                if (row < 0) return;
                take(row, out);
                ++out.uniform;
                in_vain = 0;
            }
        }
    }
}

}  // namespace latom
