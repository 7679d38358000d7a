// kmeans_batch.cpp: the runs of each problem, of which the best is kept.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "algorithms/cluster/batch/small_lloyd.h"
#include "algorithms/cluster/batch/ward_tree.h"
#include "latom/batch.h"
#include "latom/cluster.h"
#include "latom/seed.h"
#include "rows/row_reader.h"

namespace latom {
namespace {

constexpr int64_t kMostRows = 1024;

// The pairs of rows are multiplied where that costs less than a step or two.
bool pairs_pay(int64_t n, int64_t m) { return n <= kMostRows && n <= 6 * m && m > 1; }

// Multiply-adds that greedy seeding may spend, as the estimators have it.
SeedPlan seed_plan(int64_t n, int64_t d, int64_t m) {
    constexpr double kLittle = 5e7;
    SeedPlan plan;
    plan.local_trials = 2 + static_cast<int64_t>(std::log(static_cast<double>(m)));
    plan.budget = std::max(kLittle, static_cast<double>(n * d) * std::max(64.0, static_cast<double>(m) / 8));
    return plan;
}

template <class T>
class BatchWorker {
public:
    /// Problem b, whose rows [n, d] lie together, with squared norms.
    void run(const Context& ctx, const T* rows, const double* norm2, int64_t d, const Problems& problems, int64_t b,
             const BatchPlan& plan, const BatchInputs<T>& in, const BatchOutputs<T>& out) {
        ctx_ = &ctx;
        rows_ = rows;
        d_ = d;
        from_ = problems.offsets[b];
        n_ = problems.offsets[b + 1] - from_;
        first_ = problems.center_offsets[b];
        m_ = problems.center_offsets[b + 1] - first_;
        weights_ = in.weights ? in.weights + from_ : nullptr;
        fixed_ = in.fixed ? in.fixed + from_ : nullptr;
        out.inertia[b] = 0;
        out.n_iter[b] = out.distinct[b] = 0;
        if (n_ == 0 || m_ == 0) return;
        norm2_ = norm2;
        use_pairs_ = plan.start == BatchStart::kWard ? n_ <= kMostRows : pairs_pay(n_, m_);
        lloyd_.take(ctx.kernels, rows, norm2, weights_, fixed_, n_, d, m_, plan.metric, use_pairs_);
        if (use_pairs_ && plan.start == BatchStart::kPlusPlus) multiply_pairs(ctx.kernels, rows, n_, d, products_);
        const double limit = shift_limit(plan);
        for (int64_t r = 0; r < plan.n_init; ++r) {
            start(plan, in, in.seeds ? in.seeds[b * plan.n_init + r] : 0);
            const int64_t steps = iterate(plan, limit);
            const double inertia = lloyd_.objective();
            if (r > 0 && !(inertia < out.inertia[b])) continue;
            out.inertia[b] = inertia;
            out.n_iter[b] = steps;
            std::copy(lloyd_.labels().begin(), lloyd_.labels().end(), out.labels + from_);
            std::copy(lloyd_.centers().begin(), lloyd_.centers().end(), out.centers + first_ * d);
            out.distinct[b] = count_distinct();
        }
    }

private:
    DenseView<T> view() const { return {rows_, n_, d_, d_}; }

    double shift_limit(const BatchPlan& plan) const {
        if (plan.tol == 0) return -1;
        if (plan.metric == Metric::kCosine) return plan.tol * static_cast<double>(m_);
        return plan.tol * mean_variance(*ctx_, Rows<DenseView<T>>(*ctx_, view()));
    }

    void start(const BatchPlan& plan, const BatchInputs<T>& in, std::uint64_t seed) {
        lloyd_.forget();
        if (plan.start == BatchStart::kCenters) lloyd_.set_centers(in.centers + first_ * d_);
        else if (plan.start == BatchStart::kLabels) start_from_labels(plan, in.labels + from_);
        else if (plan.start == BatchStart::kWard) start_from_labels(plan, ward_labels(plan.metric));
        else if (fixed_) start_beside_fixed(plan, seed);
        else draw(plan, seed, nullptr, weights_, m_);
    }

    const int32_t* ward_labels(Metric metric) {
        const auto& merges =
            tree_.grow(ctx_->kernels, rows_, norm2_, n_, d_, metric, false, use_pairs_ ? &lloyd_.pairs() : nullptr);
        labels_.resize(static_cast<std::size_t>(n_));
        label_merged(merges, n_ - m_, n_, forest_, labels_.data());
        return labels_.data();
    }

    void start_from_labels(const BatchPlan& plan, const int32_t* labels) {
        lloyd_.set_means(labels);
        if (plan.max_iter > 0) lloyd_.scale_means();
    }

    /// `count` rows drawn beside the centers `there`, as centers.
    void draw(const BatchPlan& plan, std::uint64_t seed, const Rows<DenseView<T>>* there, const double* weights,
              int64_t count) {
        Context ctx = *ctx_;
        ctx.seed = seed;
        const Rows<DenseView<T>> rows(ctx, view());
        SeedPlan seeds = seed_plan(n_, d_, count);
        if (use_pairs_) {
            seeds.dots = products_.row(0);
            seeds.stride = products_.width();
        }
        const Seeding seeding = kmeans_plusplus(ctx, rows, there, weights, plan.metric, count, seeds);
        start_.clear();
        for (const int64_t i : seeding.indices) start_.insert(start_.end(), rows_ + i * d_, rows_ + (i + 1) * d_);
        if (!there) lloyd_.set_centers(start_.data());
    }

    // Clusters with rows that are fixed start from their means; the others from free rows drawn beside these.
    void start_beside_fixed(const BatchPlan& plan, std::uint64_t seed) {
        lloyd_.set_means(fixed_);
        std::vector<int64_t> open;
        std::vector<T> known;
        for (int64_t j = 0; j < m_; ++j) {
            const T* center = lloyd_.centers().data() + j * d_;
            if (!lloyd_.has_rows(j)) open.push_back(j);
            else known.insert(known.end(), center, center + d_);
        }
        if (open.empty()) return;
        std::vector<double> weights(static_cast<std::size_t>(n_));
        for (int64_t i = 0; i < n_; ++i) weights[i] = fixed_[i] >= 0 ? 0.0 : weights_ ? weights_[i] : 1.0;
        const auto some = static_cast<int64_t>(open.size());
        if (known.empty()) {
            draw(plan, seed, nullptr, weights.data(), some);
            return;
        }
        const Rows<DenseView<T>> there(*ctx_, DenseView<T>{known.data(), m_ - some, d_, d_}, "existing centers");
        draw(plan, seed, &there, weights.data(), some);
        for (int64_t c = 0; c < some; ++c) lloyd_.set_center(open[c], start_.data() + c * d_);
    }

    int64_t iterate(const BatchPlan& plan, double limit) {
        if (plan.max_iter == 0) {
            lloyd_.score_own();
            return 0;
        }
        for (int64_t step = 1;; ++step) {
            const int64_t changed = lloyd_.assign();
            const bool settled = step > 1 && changed == 0;
            const double shift = settled ? 0.0 : lloyd_.update(limit >= 0);
            if (settled) return step;
            if (shift <= limit || step == plan.max_iter) {
                lloyd_.assign();
                return step;
            }
            poll();
        }
    }

    int64_t count_distinct() {
        seen_.assign(static_cast<std::size_t>(m_), 0);
        for (const int32_t label : lloyd_.labels()) seen_[label] = 1;
        return std::count(seen_.begin(), seen_.end(), 1);
    }

    const Context* ctx_ = nullptr;
    const T* rows_ = nullptr;
    const double *norm2_ = nullptr, *weights_ = nullptr;
    const int32_t* fixed_ = nullptr;
    int64_t n_ = 0, d_ = 0, m_ = 0, from_ = 0, first_ = 0;
    bool use_pairs_ = false;
    SmallLloyd<T> lloyd_;
    WardTree<T> tree_;
    PairMatrix<double> products_;
    Forest forest_;
    std::vector<int32_t> labels_;
    std::vector<T> start_;
    std::vector<char> seen_;
};

}  // namespace

template <class T>
void kmeans_batch(const Context& ctx, const StoredRows& X, const Problems& problems, const BatchPlan& plan,
                  const BatchInputs<T>& in, const BatchOutputs<T>& out) {
    struct Scratch {
        std::vector<int64_t> which;
        typename RowReader<T>::Block block;
        BatchWorker<T> worker;
    };
    const RowReader<T> reader(ctx.kernels, X);
    std::vector<Scratch> scratch(static_cast<std::size_t>(workers(ctx, problems.count)));
    parallel_for(ctx, problems.count, [&](int64_t b, int worker) {
        Scratch& s = scratch[worker];
        s.which.resize(static_cast<std::size_t>(problems.offsets[b + 1] - problems.offsets[b]));
        std::iota(s.which.begin(), s.which.end(), problems.offsets[b]);
        reader.read(s.which, s.block);
        if (!reader.sound()) return;
        s.worker.run(ctx, s.which.empty() ? nullptr : s.block.row[0], s.block.norm2.data(), X.d, problems, b, plan, in,
                     out);
    });
    reader.check(ctx);
}

template void kmeans_batch<float>(const Context&, const StoredRows&, const Problems&, const BatchPlan&,
                                  const BatchInputs<float>&, const BatchOutputs<float>&);
template void kmeans_batch<double>(const Context&, const StoredRows&, const Problems&, const BatchPlan&,
                                   const BatchInputs<double>&, const BatchOutputs<double>&);

}  // namespace latom
