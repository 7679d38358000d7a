// refit_supports.cpp: one small system per column.
#include <algorithm>
#include <vector>

#include "core/buffer.h"
#include "engines/small_solve/small_solve.h"
#include "rows/rows.h"

namespace latom {

int64_t refit_supports(const Context& ctx, const double* G, const double* B, int64_t k, int64_t d, double* H) {
    constexpr int64_t kColumns = 8;  // of a chunk: a line of H
    struct Scratch {
        AlignedVector<double> A, b;
        std::vector<int64_t> active;
        int64_t failed = 0;
    };
    const int64_t chunks = chunk_count(d, kColumns);
    std::vector<Scratch> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        auto& [A, b, active, failed] = scratch[worker];
        for (int64_t j = c * kColumns; j < std::min(d, (c + 1) * kColumns); ++j) {
            active.clear();
            for (int64_t t = 0; t < k; ++t)
                if (H[t * d + j] != 0) active.push_back(t);
            const auto size = static_cast<int64_t>(active.size());
            A.resize(static_cast<std::size_t>(size * size));
            b.resize(static_cast<std::size_t>(size));
            for (int64_t p = 0; p < size; ++p) {
                b[p] = B[active[p] * d + j];
                for (int64_t q = p; q < size; ++q) A[p * size + q] = G[active[p] * k + active[q]];
            }
            if (ctx.kernels->solve_cholesky(A.data(), b.data(), size))
                for (int64_t p = 0; p < size; ++p) H[active[p] * d + j] = b[p];
            else ++failed;
        }
    });
    int64_t failed = 0;
    for (const Scratch& own : scratch) failed += own.failed;
    return failed;
}

}  // namespace latom
