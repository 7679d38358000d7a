// nmf_batch.cpp: many small factorizations; each is one thread's work from start to end, with others of the same X.
#include "algorithms/factorize/small_problem.h"
#include "latom/factorize.h"

namespace latom {

template <class T>
void factorize_small(const Context& ctx, const SmallProblems<T>& all, const SweepOptions& sweeps, double tol,
                     int64_t max_iter) {
    const int64_t n = all.n, d = all.d, k = all.k;
    std::vector<Factors<T>> factors;
    for (int64_t b = 0; b < all.problems; ++b) factors.push_back({k, all.W + b * n * k, all.F + b * d * k});
    const auto groups =
        groups_of(std::vector<int64_t>(factors.size(), k), all.shared ? workers(ctx, all.problems) : all.problems);
    parallel_for(ctx, static_cast<int64_t>(groups.size()), [&](int64_t g, int) {
        const DenseProducts<T> X(ctx, all.X + (all.shared ? 0 : groups[g][0] * n * d), n, d);
        std::vector<Factors<T>*> own;
        for (const int64_t b : groups[g]) own.push_back(&factors[b]);
        Together<T, DenseProducts<T>>(ctx, X, n, d, own).run(sweeps, tol, max_iter);
    });
    for (int64_t b = 0; b < all.problems; ++b) {
        all.loss[b] = factors[b].loss;
        all.n_iter[b] = factors[b].n_iter;
    }
}

template void factorize_small(const Context&, const SmallProblems<float>&, const SweepOptions&, double, int64_t);
template void factorize_small(const Context&, const SmallProblems<double>&, const SweepOptions&, double, int64_t);

}  // namespace latom
