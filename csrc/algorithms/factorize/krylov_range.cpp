// krylov_range.cpp: blocks made orthogonal to all before them, and the eigenvectors of what X^T X is among them.
#include "algorithms/factorize/krylov_range.h"

#include <algorithm>
#include <cmath>

#include "algorithms/factorize/normal_numbers.h"
#include "algorithms/factorize/symmetric_eigen.h"
#include "core/buffer.h"
#include "engines/small_solve/small_solve.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kBlock = 32;      // columns; by measurement
constexpr int64_t kRows = 256;      // of a product, in T, before it is added in float64
constexpr int64_t kGroups = 32;     // of rows, whose sums are made apart
constexpr double kLost = 1e-3;      // of a block, left when its part in others is taken: then it is taken twice
constexpr double kPerWidth = 0.25;  // columns of all blocks per power iteration, relative to those of the range
constexpr int64_t kIterations = 3;  // fewer do not need blocks

int64_t count_blocks(int64_t width, int64_t iterations) {
    const double columns = static_cast<double>(width) * (1 + kPerWidth * static_cast<double>(iterations));
    return static_cast<int64_t>(std::ceil(columns / kBlock));
}

/// C [k, kBlock] = B^T Z for B [d, k], k whole blocks, and Z [d, kBlock].
template <class T>
void cross(const Context& ctx, const DenseView<T>& B, const T* Z, double* C) {
    const int64_t k = B.d, chunks = chunk_count(B.n, kRows), each = chunk_count(chunks, kGroups);
    const int64_t groups = chunk_count(chunks, each);
    const auto& kernels = ctx.kernels->of<T>();
    std::vector<double> partial(static_cast<std::size_t>(groups * k * kBlock), 0.0);
    parallel_for(ctx, groups, [&](int64_t g, int) {
        AlignedVector<T> turned(static_cast<std::size_t>(k * kRows)), product(static_cast<std::size_t>(k * kBlock));
        double* sum = partial.data() + g * k * kBlock;
        for (int64_t c = g * each; c < std::min(chunks, (g + 1) * each); ++c) {
            const int64_t first = c * kRows, rows = std::min(kRows, B.n - first);
            kernels.transpose(B.row(first), rows, B.stride, k, turned.data(), rows);
            kernels.small_product(turned.data(), k, rows, Z + first * kBlock, kBlock, product.data());
            for (int64_t q = 0; q < k * kBlock; ++q) sum[q] += static_cast<double>(product[q]);
        }
    });
    std::fill_n(C, k * kBlock, 0.0);
    for (int64_t g = 0; g < groups; ++g)
        for (int64_t q = 0; q < k * kBlock; ++q) C[q] += partial[g * k * kBlock + q];
}

/// Z [d, kBlock] -= B C.
template <class T>
void subtract(const Context& ctx, const DenseView<T>& B, const double* C, T* Z) {
    AlignedVector<T> part(static_cast<std::size_t>(B.n * kBlock));
    multiply_rows(ctx, B, C, kBlock, part.data());
    for (int64_t q = 0; q < B.n * kBlock; ++q) Z[q] -= part[q];
}

/// out [a, b] = A [a, m] B [m, b], small.
std::vector<double> product(int64_t a, int64_t m, int64_t b, const double* A, const double* B) {
    std::vector<double> out(static_cast<std::size_t>(a * b), 0.0);
    for (int64_t i = 0; i < a; ++i)
        for (int64_t t = 0; t < m; ++t)
            for (int64_t j = 0; j < b; ++j) out[i * b + j] += A[i * m + t] * B[t * b + j];
    return out;
}

/// Z [d, kBlock] = B C + Q R: Z becomes Q, with orthonormal columns that are orthogonal to those of B.
template <class T>
void take_apart(const Context& ctx, const DenseView<T>& B, T* Z, std::vector<double>& C, std::vector<double>& R) {
    cross(ctx, B, Z, C.data());
    double largest = 0, least = HUGE_VAL;
    for (const double c : C) largest = std::max(largest, std::abs(c));
    subtract(ctx, B, C.data(), Z);
    orthonormalize(ctx, B.n, kBlock, Z, 2, R.data());
    for (int64_t a = 0; a < kBlock; ++a) least = std::min(least, R[a * kBlock + a]);
    if (least > kLost * largest) return;
    // What is left may be rounding, which has a part in B as well.
    std::vector<double> again(C.size()), S(R.size());
    cross(ctx, B, Z, again.data());
    subtract(ctx, B, again.data(), Z);
    orthonormalize(ctx, B.n, kBlock, Z, 2, S.data());
    const std::vector<double> more = product(B.d, kBlock, kBlock, again.data(), R.data());
    for (std::size_t q = 0; q < C.size(); ++q) C[q] += more[q];
    R = product(kBlock, kBlock, kBlock, S.data(), R.data());
}

}  // namespace

bool blocks_pay(int64_t n, int64_t d, int64_t width, int64_t iterations) {
    return iterations >= kIterations && width > 2 * kBlock &&
           (count_blocks(width, iterations) + 1) * kBlock * 2 <= std::min(n, d);
}

template <class T>
double krylov_range(const Context& ctx, const LinearMap<T>& X, int64_t iterations, int64_t width, T* out) {
    const int64_t d = X.d, blocks = count_blocks(width, iterations), all = blocks * kBlock, stride = all + kBlock;
    AlignedVector<T> B(static_cast<std::size_t>(d * stride)), Y(static_cast<std::size_t>(X.n * kBlock));
    AlignedVector<T> Z(static_cast<std::size_t>(d * kBlock));
    fill_normal(ctx, d, kBlock, kBlock, Z.data());
    std::vector<double> R(static_cast<std::size_t>(kBlock * kBlock)), T_(static_cast<std::size_t>(stride * all), 0.0);
    orthonormalize(ctx, d, kBlock, Z.data(), 2, R.data());
    for (int64_t j = 0; j <= blocks; ++j) {
        for (int64_t i = 0; i < d; ++i) std::copy_n(Z.data() + i * kBlock, kBlock, B.data() + i * stride + j * kBlock);
        if (j == blocks) break;
        const int64_t known = (j + 1) * kBlock;
        X.times({Z.data(), d, kBlock, kBlock}, Y.data());
        X.transposed_times({Y.data(), X.n, kBlock, kBlock}, Z.data());
        std::vector<double> C(static_cast<std::size_t>(known * kBlock));
        take_apart(ctx, {B.data(), d, known, stride}, Z.data(), C, R);
        // A block's row of T_ [all + kBlock, all]: its products with those up to it, and what is left.
        for (int64_t a = 0; a < kBlock; ++a) {
            for (int64_t i = 0; i < known; ++i) {
                const double c = C[i * kBlock + a];
                T_[i * all + j * kBlock + a] = c;
                if (i < j * kBlock) T_[(j * kBlock + a) * all + i] = c;
            }
            for (int64_t b = 0; b <= a; ++b) T_[(known + b) * all + j * kBlock + a] = R[b * kBlock + a];
        }
    }
    std::vector<double> square(T_.begin(), T_.begin() + all * all), values, vectors;
    for (int64_t a = 0; a < all; ++a)
        for (int64_t b = 0; b < a; ++b)
            square[a * all + b] = square[b * all + a] = (T_[a * all + b] + T_[b * all + a]) / 2;
    symmetric_eigen(ctx, all, width, square.data(), values, vectors);
    std::vector<double> coefficients(static_cast<std::size_t>(stride * width), 0.0);
    for (int64_t a = 0; a < stride; ++a)
        for (int64_t t = 0; t < width; ++t)
            if (values[t] > 0)
                coefficients[a * width + t] =
                    ctx.kernels->f64.dense_dot(T_.data() + a * all, vectors.data() + t * all, all) / values[t];
    multiply_rows(ctx, DenseView<T>{B.data(), d, stride, stride}, coefficients.data(), width, out);
    return values[0] > 0 ? values[width - 1] / values[0] : 1;
}

template double krylov_range(const Context&, const LinearMap<float>&, int64_t, int64_t, float*);
template double krylov_range(const Context&, const LinearMap<double>&, int64_t, int64_t, double*);

}  // namespace latom
