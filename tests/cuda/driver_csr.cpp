// driver_csr.cpp: the nearest of sparse centers for rows in CSR on the emulated machine, against plain float64 sums.
#include "driver.h"

#include "cuda/csr_nearest.h"

namespace {

using namespace driver;

/// Rows in CSR, in memory of exactly their size.
template <class T>
struct Csr {
    std::vector<long long> begin{0};
    std::vector<int> column;
    std::vector<T> value;
    std::vector<double> norm2;

    // Of dense rows [n, d]; some numbers are left out where `thin`.
    Csr(const std::vector<T>& dense, int n, int d, bool thin, std::uint64_t seed) {
        std::mt19937_64 random(seed);
        for (int i = 0; i < n; ++i) {
            for (int t = 0; t < d; ++t) {
                const T v = dense[std::size_t(i) * d + t];
                if (v == T{0} || (thin && random() % 4 != 0)) continue;
                column.push_back(t);
                value.push_back(v);
            }
            const auto from = static_cast<std::size_t>(begin.back());
            begin.push_back(static_cast<long long>(column.size()));
            norm2.push_back(plain_dot(value.data() + from, value.data() + from, static_cast<int>(value.size() - from)));
        }
        column.shrink_to_fit();
        value.shrink_to_fit();
    }
    CsrRows<T> rows() const { return {begin.data(), column.data(), value.data(), norm2.data()}; }
};

// The score by the rule of row i of X with center j, whose numbers are laid out in w [d].
template <class T>
double plain_score(const Csr<T>& X, int i, const std::vector<T>& w, double norm2, Measure measure) {
    double sum[8] = {};
    for (long long p = X.begin[i]; p < X.begin[i + 1]; ++p) {
        const double product = static_cast<double>(X.value[p]) * static_cast<double>(w[X.column[p]]);
        sum[(p - X.begin[i]) % 8] += product;
    }
    const double dot = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
    if (measure == Measure::kCosine) return dot * (norm2 > 0 ? 1 / std::sqrt(norm2) : 0.0);
    return dot + -0.5 * norm2;
}

// How many labels and scores differ from the plain answer. `slab` of 1 byte holds a single slice.
template <class T>
int trial(Data data, int n, int d, int m, Measure measure, bool thin, std::int64_t slab) {
    std::vector<T> dense(std::size_t(n) * d), atoms(std::size_t(m) * d);
    draw(data, n, d, m, dense, atoms);
    if (thin) std::fill_n(dense.begin(), d, T{0});
    const Csr<T> X(dense, n, d, thin, 1), C(atoms, m, d, thin, 2);
    const auto entries = static_cast<std::int64_t>(C.value.size());
    std::vector<int> label(n);
    std::vector<double> own(n), score(n);
    const std::int64_t chunk = 2;
    const Room centers(csr_centers_bytes<T>(m, entries)), workspace(csr_nearest_bytes(n, d, m, chunk, slab));
    csr_nearest<T>({.centers = prepare_csr_centers(C.rows(), m, d, entries, measure, centers, nullptr),
                    .rows = X.rows(),
                    .n = n,
                    .label = label.data(),
                    .own = own.data(),
                    .score = score.data(),
                    .chunk = chunk,
                    .slab = slab},
                   workspace, nullptr);
    cudaDeviceSynchronize();
    int wrong = 0;
    std::vector<double> best(n);
    std::vector<int> at(n, -1);
    for (int j = 0; j < m; ++j) {
        std::vector<T> w(d);
        for (long long p = C.begin[j]; p < C.begin[j + 1]; ++p) w[C.column[p]] = C.value[p];
        for (int i = 0; i < n; ++i) {
            const double one = plain_score(X, i, w, C.norm2[j], measure);
            if (at[i] < 0 || one > best[i]) best[i] = one, at[i] = j;
        }
    }
    for (int i = 0; i < n; ++i) {
        double user = std::min(0.0, 2 * best[i] - X.norm2[i]);
        if (measure == Measure::kCosine)
            user = X.norm2[i] > 0 ? std::clamp(best[i] / std::sqrt(X.norm2[i]), -1.0, 1.0) : 0;
        wrong += label[i] != at[i] || own[i] != best[i] || score[i] != user;
    }
    return wrong;
}

}  // namespace

int main(int count, char**) {
    const std::int64_t large = 1 << 20;
    int wrong = 0;
    if (count > 1) {  // few and small, for what is slow
        wrong += trial<float>(Data::kTies, 3, 40, 300, Measure::kCosine, true, large);
        wrong += trial<double>(Data::kAllEqual, 2, 3, 40, Measure::kEuclidean, false, large);
        return report(wrong);
    }
    for (const Measure measure : {Measure::kCosine, Measure::kEuclidean}) {
        for (const Data data : {Data::kNormal, Data::kTies, Data::kLattice}) {
            wrong += trial<float>(data, 5, 60, 600, measure, true, 1);
            wrong += trial<double>(data, 4, 61, 530, measure, true, large);
        }
        wrong += trial<float>(Data::kNearlyOrthogonal, 2, 200, 300, measure, false, large);
        wrong += trial<float>(Data::kRoundedApart, 2, 17, 300, measure, false, large);
        wrong += trial<float>(Data::kRoundedApart, 2, 17, 9, measure, false, large);
        wrong += trial<double>(Data::kAllEqual, 2, 4, 70, measure, false, large);
    }
    return report(wrong);
}
