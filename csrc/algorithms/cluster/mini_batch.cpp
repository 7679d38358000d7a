// mini_batch.cpp: k-means by mini-batches: Lloyd's assignment of a batch, and a step of its centers toward the rows.
#include "latom/cluster.h"
#include "rows/every_view.h"
#include "rows/rows.h"

namespace latom {
namespace {

template <class T, class Run>
void place(const Context& ctx, Run& run, const Centers<T>& centers, int64_t d) {
    const auto m = static_cast<int64_t>(centers.indptr.size()) - 1;
    const bool dense = centers.indices.empty() && !centers.values.empty();
    if (dense) {
        run.set_centers(ctx, Rows<DenseView<T>>(ctx, {centers.values.data(), m, d, d}, "centers"), false);
    } else {
        run.set_centers(
            ctx,
            Rows<CsrView<T, int32_t>>(ctx, {centers.indptr.data(), centers.indices.data(), centers.values.data(), m, d},
                                      "centers", true),
            false);
    }
}

/// The rows as centers, each of length 1 if `normalize`.
template <class View>
Centers<typename View::value_type> as_centers(const Context& ctx, const Rows<View>& rows, bool normalize) {
    const auto run = make_lloyd(ctx, rows, nullptr, Metric::kEuclidean, {});
    run->set_centers(ctx, rows, normalize);
    return run->centers();
}

template <class Out, class In>
void append(Out& to, const In& from, int64_t begin, int64_t end) {
    to.insert(to.end(), from.begin() + begin, from.begin() + end);
}

}  // namespace

template <class T>
template <class View>
MiniBatch<T>::MiniBatch(const Context& ctx, const Rows<View>& centers, std::vector<double> counts, Metric metric,
                        bool normalize)
    : d_(centers.d()),
      metric_(metric),
      normalize_(normalize),
      centers_(as_centers(ctx, centers, normalize)),
      counts_(std::move(counts)) {}

template <class T>
template <class View>
StepStats MiniBatch<T>::step(const Context& ctx, const Rows<View>& batch, const double* weights) {
    const auto run = make_lloyd(ctx, batch, weights, metric_, {});
    place(ctx, *run, centers_, d_);
    StepStats stats;
    run->assign(ctx, false);
    stats.inertia = run->inertia(ctx);
    scores_ = run->scores(ctx);
    labels_ = run->labels();
    stats.shift = run->blend(ctx, counts_).shift;
    centers_ = run->centers();
    return stats;
}

template <class T>
template <class View>
void MiniBatch<T>::replace(const Context& ctx, const Rows<View>& batch, const std::vector<int64_t>& rows,
                           const std::vector<int64_t>& clusters) {
    const Centers<T> fresh = as_centers(ctx, batch.subset(rows), normalize_);
    std::vector<int64_t> place(static_cast<std::size_t>(m()), -1);
    for (std::size_t r = 0; r < clusters.size(); ++r) place[clusters[r]] = static_cast<int64_t>(r);
    Centers<T> next;
    next.indptr.reserve(static_cast<std::size_t>(m()) + 1);
    next.indptr.push_back(0);
    for (int64_t j = 0; j < m(); ++j) {
        const Centers<T>& from = place[j] < 0 ? centers_ : fresh;
        const int64_t row = place[j] < 0 ? j : place[j], begin = from.indptr[row], end = from.indptr[row + 1];
        append(next.values, from.values, begin, end);
        if constexpr (kIsSparse<View>) append(next.indices, from.indices, begin, end);
        next.indptr.push_back(static_cast<int64_t>(next.values.size()));
    }
    centers_ = std::move(next);
}

#define LATOM_INSTANTIATE(View)                                                                                        \
    template MiniBatch<View::value_type>::MiniBatch(const Context&, const Rows<View>&, std::vector<double>, Metric,    \
                                                    bool);                                                             \
    template StepStats MiniBatch<View::value_type>::step(const Context&, const Rows<View>&, const double*);            \
    template void MiniBatch<View::value_type>::replace(const Context&, const Rows<View>&, const std::vector<int64_t>&, \
                                                       const std::vector<int64_t>&);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
