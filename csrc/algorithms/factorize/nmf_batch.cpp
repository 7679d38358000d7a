// nmf_batch.cpp: many small factorizations; each is one chunk, so one thread's work from start to end.
#include "algorithms/factorize/small_problem.h"
#include "latom/factorize.h"

namespace latom {

template <class T>
void factorize_small(const Context& ctx, const SmallProblems<T>& all, const SweepOptions& sweeps, double tol,
                     int64_t max_iter) {
    parallel_for(ctx, all.problems, [&](int64_t b, int) {
        T *W = all.W + b * all.n * all.k, *F = all.F + b * all.d * all.k;
        const DenseProducts<T> X(ctx, all.X + (all.shared ? 0 : b * all.n * all.d), all.n, all.d);
        SmallProblem<T, DenseProducts<T>> problem(ctx, X, all.n, all.d, all.k, W, F);
        all.n_iter[b] = problem.run(sweeps, tol, max_iter);
        problem.store(W, F);
        all.loss[b] = problem.loss();
    });
}

template void factorize_small(const Context&, const SmallProblems<float>&, const SweepOptions&, double, int64_t);
template void factorize_small(const Context&, const SmallProblems<double>&, const SweepOptions&, double, int64_t);

}  // namespace latom
