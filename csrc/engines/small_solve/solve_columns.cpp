// solve_columns.cpp: one Cholesky factor, then columns in tiles that the cache holds.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/buffer.h"
#include "engines/small_solve/small_solve.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kColumns = 64;  // of a tile
constexpr double kPivot = 1e-15;  // of a diagonal: with less left, the unknown depends on those before it

/// U [k, k] by rows, U^T U = G; the row of an unknown that depends on others is 0.
std::vector<double> upper_factor(const KernelTable* kernels, const double* G, int64_t k) {
    std::vector<double> U(G, G + k * k);
    for (int64_t p = 0; p < k; ++p) {
        double* row = U.data() + p * k;
        std::fill_n(row, p, 0.0);
        if (!(row[p] > kPivot * G[p * k + p])) {
            std::fill_n(row + p, k - p, 0.0);
            continue;
        }
        row[p] = std::sqrt(row[p]);
        for (int64_t j = p + 1; j < k; ++j) row[j] /= row[p];
        for (int64_t i = p + 1; i < k; ++i)
            if (row[i] != 0) kernels->f64.add_scaled(row + i, -row[i], k - i, U.data() + i * k + i);
    }
    return U;
}

}  // namespace

void solve_columns(const Context& ctx, const double* G, int64_t k, int64_t d, double* B) {
    const std::vector<double> U = upper_factor(ctx.kernels, G, k);
    const auto add = ctx.kernels->f64.add_scaled;
    const int64_t chunks = chunk_count(d, kColumns);
    std::vector<AlignedVector<double>> scratch(static_cast<std::size_t>(workers(ctx, chunks)));
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        const int64_t first = c * kColumns, count = std::min(kColumns, d - first);
        scratch[worker].resize(static_cast<std::size_t>(k * kColumns));
        double* x = scratch[worker].data();
        const auto divide = [&](int64_t p) {
            const double pivot = U[p * k + p];
            for (int64_t t = 0; t < count; ++t) x[p * kColumns + t] = pivot > 0 ? x[p * kColumns + t] / pivot : 0;
        };
        for (int64_t p = 0; p < k; ++p) std::copy_n(B + p * d + first, count, x + p * kColumns);
        for (int64_t p = 0; p < k; ++p) {  // U^T y = b
            divide(p);
            for (int64_t i = p + 1; i < k; ++i) add(x + p * kColumns, -U[p * k + i], count, x + i * kColumns);
        }
        for (int64_t p = k; p-- > 0;) {  // U x = y
            divide(p);
            for (int64_t i = 0; i < p; ++i) add(x + p * kColumns, -U[i * k + p], count, x + i * kColumns);
        }
        for (int64_t p = 0; p < k; ++p) std::copy_n(x + p * kColumns, count, B + p * d + first);
    });
}

}  // namespace latom
