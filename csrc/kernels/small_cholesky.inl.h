// small_cholesky.inl.h: one small symmetric positive definite system, in place.
//
//   A x = b,     A = U^T U
//
// Shapes    A [k, k]: its upper triangle is read and becomes U; b [k] becomes x. What is below may be read, and stays.
// Numerics  float64. Each number is updated in the order of the rows above it; products are rounded before they are
//           subtracted. Same bits in every variant. Returns false, with b as it was, where a pivot is not positive.
// Cost      k^3 / 6 + k^2 multiply-adds. Rows are made in panels: what rows above take from a panel stays in registers.

constexpr int kCholeskyRows = kVectorBytes == 64 ? 8 : 4;  // of a panel, a multiple of a register's numbers

// sum[r] = A[first + r][c ...] less what rows above `first` take from it.
template <int V>
inline void take_rows_above(const double* A, std::int64_t k, std::int64_t first, std::int64_t c,
                            Wide (&sum)[kCholeskyRows][V]) {
#pragma GCC unroll 8
    for (int r = 0; r < kCholeskyRows; ++r)
        for (int v = 0; v < V; ++v) sum[r][v] = load<Wide>(A + (first + r) * k + c + v * kWide);
    for (std::int64_t p = 0; p < first; ++p) {
        const double* row = A + p * k;
        Wide numbers[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) numbers[v] = load<Wide>(row + c + v * kWide);
#pragma GCC unroll 8
        for (int r = 0; r < kCholeskyRows; ++r)
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) {
                const Wide product = spread<Wide>(row[first + r]) * numbers[v];
                sum[r][v] = sum[r][v] - product;
            }
    }
}

// A panel of whole rows: the square on the diagonal, whose lower half stays, and all columns behind it.
inline void take_from_panel(double* A, std::int64_t k, std::int64_t first) {
    constexpr int kSquare = kCholeskyRows / kWide, kColumns = 2 * kWide;
    Wide square[kCholeskyRows][kSquare], sum[kCholeskyRows][2];
    take_rows_above(A, k, first, first, square);
    for (int r = 0; r < kCholeskyRows; ++r) {
        double row[kCholeskyRows];
        __builtin_memcpy(row, square[r], sizeof row);
        for (int t = r; t < kCholeskyRows; ++t) A[(first + r) * k + first + t] = row[t];
    }
    std::int64_t c = first + kCholeskyRows;
    for (; c + kColumns <= k; c += kColumns) {
        take_rows_above(A, k, first, c, sum);
        for (int r = 0; r < kCholeskyRows; ++r) __builtin_memcpy(A + (first + r) * k + c, sum[r], sizeof sum[r]);
    }
    for (std::int64_t p = 0; p < first; ++p)
        for (int r = 0; r < kCholeskyRows; ++r)
            for (std::int64_t t = c; t < k; ++t) {
                const double product = A[p * k + first + r] * A[p * k + t];
                A[(first + r) * k + t] -= product;
            }
}

bool solve_cholesky(double* A, double* b, std::int64_t k) {
    for (std::int64_t first = 0; first < k; first += kCholeskyRows) {
        const std::int64_t last = first + kCholeskyRows < k ? first + kCholeskyRows : k;
        const bool whole = last - first == kCholeskyRows;
        if (whole) take_from_panel(A, k, first);
        for (std::int64_t p = whole ? first : 0; p < last; ++p) {
            double* row = A + p * k;
            if (p >= first) {
                if (!(row[p] > 0) || row[p] > 1.7e308) return false;
                const double pivot = __builtin_sqrt(row[p]), inverse = 1 / pivot;
                row[p] = pivot;
                for (std::int64_t j = p + 1; j < k; ++j) row[j] *= inverse;
            }
            for (std::int64_t i = p + 1 > first ? p + 1 : first; i < last; ++i) {
                double* below = A + i * k;
                const double factor = row[i];
                for (std::int64_t j = i; j < k; ++j) {
                    const double product = factor * row[j];
                    below[j] -= product;
                }
            }
        }
    }
    for (std::int64_t p = 0; p < k; ++p) {  // U^T y = b
        const double* row = A + p * k;
        const double value = b[p] /= row[p];
        for (std::int64_t j = p + 1; j < k; ++j) {
            const double product = row[j] * value;
            b[j] -= product;
        }
    }
    for (std::int64_t p = k - 1; p >= 0; --p) {  // U x = y
        const double* row = A + p * k;
        b[p] = (b[p] - dense_dot(row + p + 1, b + p + 1, k - p - 1)) / row[p];
    }
    return true;
}
