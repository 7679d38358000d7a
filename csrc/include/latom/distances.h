// distances.h: distances of rows to all centers.
//
//   cosine      1 - <x, c> / (|x| |c|), within [0, 2]; 1 where a length is 0
//   euclidean   sqrt(|x|^2 + |c|^2 - 2 <x, c>)
//
// Dense rows have products in T, term by term in order. Those of float32 err by some sqrt(d) 2^-25 |x| |c|, so a
// squared distance below a sixteenth of |x|^2 + |c|^2 is made again from a float64 product, and below a millionth,
// where that cancels as well, from the differences of the numbers. CSR rows have float64 products (kernels/dot.inl.h).
// The same bits for every number of threads and every kernel variant.
//
// Cost      n m d, or nnz m, multiply-adds.       Memory  the centers twice; beyond 1 GiB once, and some per thread.
#pragma once

#include <memory>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// Centers that rows are compared with again and again, copied. Threads may run() at once.
template <class T>
class CenterDistances {
public:
    using value_type = T;
    virtual ~CenterDistances() = default;
    virtual int64_t m() const = 0;
    /// out [n, m]. Dense rows are a whole matrix, and ask for dense centers. Distances that T does not hold are
    /// refused.
    virtual void run(const Context& ctx, const Rows<DenseView<T>>& X, T* out) const = 0;
    virtual void run(const Context& ctx, const Rows<CsrView<T, int32_t>>& X, T* out) const = 0;
    virtual void run(const Context& ctx, const Rows<CsrView<T, int64_t>>& X, T* out) const = 0;
};

template <class View>
std::unique_ptr<CenterDistances<typename View::value_type>> make_center_distances(const Context& ctx,
                                                                                  const Rows<View>& centers,
                                                                                  Metric metric);

}  // namespace latom
