// small_cholesky.inl.h: one small symmetric positive definite system, in place.
//
//   A x = b,     A = U^T U
//
// Shapes    A [k, k]: its upper triangle is read and becomes U; b [k] becomes x.
// Numerics  float64. Row by row, each number updated in the order of the rows above it; products rounded before they
//           are subtracted. Same bits in every variant. Returns false, with b as it was, where a pivot is not positive.
// Cost      k^3 / 3 + 2 k^2 multiply-adds.
bool solve_cholesky(double* A, double* b, std::int64_t k) {
    for (std::int64_t p = 0; p < k; ++p) {
        double* row = A + p * k;
        if (!(row[p] > 0) || row[p] > 1.7e308) return false;
        const double pivot = __builtin_sqrt(row[p]), inverse = 1 / pivot;
        row[p] = pivot;
        for (std::int64_t j = p + 1; j < k; ++j) row[j] *= inverse;
        for (std::int64_t i = p + 1; i < k; ++i) {
            double* below = A + i * k;
            const double factor = row[i];
            for (std::int64_t j = i; j < k; ++j) {
                const double product = factor * row[j];
                below[j] -= product;
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
