// extrapolate.cpp: a step beyond the present factor, in chunks of numbers.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/table.h"
#include "latom/factorize.h"

namespace latom {

template <class T>
void extrapolate(const Context& ctx, const T* X, double beta, int64_t count, T* old) {
    constexpr int64_t kRun = 1 << 16;
    parallel_for(ctx, chunk_count(count, kRun), [&](int64_t c, int) {
        const int64_t first = c * kRun, some = std::min(kRun, count - first);
        ctx.kernels->of<T>().extrapolate(X + first, static_cast<T>(beta), some, old + first);
    });
}

template void extrapolate(const Context&, const float*, double, int64_t, float*);
template void extrapolate(const Context&, const double*, double, int64_t, double*);

}  // namespace latom
