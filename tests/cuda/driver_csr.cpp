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

/// What rows look at: all centers as they stand, or those that a plan names beside the one that they know.
struct Plan {
    std::vector<int> order, which, width, known;
    std::vector<double> known_own;

    Plan(int n, int m) : which(n), width(n, m), known(n, -1), known_own(n) {
        for (int i = 0; i < n; ++i) which[i] = i;
        for (int j = 0; j < m; ++j) order.push_back(j);
    }
    // Of every second row, the last first, to the first slice alone in the end.
    void thin(int n, int m, std::mt19937& random) {
        std::shuffle(order.begin(), order.end(), random);
        which.clear(), width.clear(), known.clear();
        for (int i = n - 1; i >= 0; i -= 2) {
            which.push_back(i);
            width.push_back(i < n / 2 ? std::min(256, m) : m);
            known.push_back(static_cast<int>(random() % m));
        }
        which.shrink_to_fit(), width.shrink_to_fit(), known.shrink_to_fit();
        known_own.resize(which.size());
        known_own.shrink_to_fit();
    }
};

// Centers of which every twentieth is the first row: of that more than a list holds, and a few per slice.
template <class T>
void draw_spread_ties(int d, const std::vector<T>& X, std::vector<T>& W) {
    for (std::size_t p = 0; p < W.size(); ++p) W[p] = p / d % 20 == 7 ? X[p % d] : W[p] / 4;
}

// How many labels, scores and bounds of others are not as they must be. `slab` of 1 byte holds a single slice.
template <class T>
int trial(Data data, int n, int d, int m, Measure measure, bool thin, std::int64_t slab, bool planned,
          bool spread = false) {
    std::vector<T> dense(std::size_t(n) * d), atoms(std::size_t(m) * d);
    draw(data, n, d, m, dense, atoms);
    if (spread) draw_spread_ties(d, dense, atoms);
    if (thin && !planned) std::fill_n(dense.begin(), d, T{0});
    const Csr<T> X(dense, n, d, thin, 1), C(atoms, m, d, thin, 2);
    std::vector<std::vector<double>> all(n, std::vector<double>(m));
    for (int j = 0; j < m; ++j) {
        std::vector<T> w(d);
        for (long long p = C.begin[j]; p < C.begin[j + 1]; ++p) w[C.column[p]] = C.value[p];
        for (int i = 0; i < n; ++i) all[i][j] = plain_score(X, i, w, C.norm2[j], measure);
    }
    Plan plan(n, m);
    std::mt19937 random(3);
    if (planned) plan.thin(n, m, random);
    const auto count = static_cast<int>(plan.which.size());
    for (int r = 0; r < count && planned; ++r) {
        const std::vector<double>& own = all[plan.which[r]];
        if (r % 2 == 0) plan.known[r] = static_cast<int>(std::max_element(own.begin(), own.end()) - own.begin());
        plan.known_own[r] = own[plan.known[r]];
    }
    const auto entries = static_cast<std::int64_t>(C.value.size());
    std::vector<int> label(count);
    std::vector<double> own(count), score(count), others(count);
    const std::int64_t chunk = 2;
    const Room centers(csr_centers_bytes<T>(m, entries)), workspace(csr_nearest_bytes(count, d, m, chunk, slab));
    CsrNearestCall<T> call{};
    call.centers = prepare_csr_centers(C.rows(), m, d, entries, measure, centers, nullptr);
    call.rows = X.rows(), call.n = count, call.chunk = chunk, call.slab = slab;
    call.label = label.data(), call.own = own.data(), call.score = score.data();
    if (planned) {
        call.order = plan.order.data(), call.which = plan.which.data();
        call.width = call.host_width = plan.width.data();
        call.known = plan.known.data(), call.known_own = plan.known_own.data(), call.others = others.data();
    }
    csr_nearest(call, workspace, nullptr);
    cudaDeviceSynchronize();
    int wrong = 0;
    for (int r = 0; r < count; ++r) {
        const int i = plan.which[r];
        std::vector<int> seen(plan.order.begin(), plan.order.begin() + plan.width[r]);
        if (planned) seen.push_back(plan.known[r]);
        int at = seen[0];
        for (const int j : seen)
            if (all[i][j] > all[i][at] || (all[i][j] == all[i][at] && j < at)) at = j;
        double second = -HUGE_VAL, user = std::min(0.0, 2 * all[i][at] - X.norm2[i]);
        for (const int j : seen)
            if (j != at) second = std::max(second, all[i][j]);
        if (measure == Measure::kCosine)
            user = X.norm2[i] > 0 ? std::clamp(all[i][at] / std::sqrt(X.norm2[i]), -1.0, 1.0) : 0;
        wrong += label[r] != at || own[r] != all[i][at] || score[r] != user;
        if (!planned) continue;
        const double near = 1e-3 * (std::abs(own[r]) + X.norm2[i]);  // of data whose best two are farther apart
        wrong += others[r] < second || (data == Data::kNormal && others[r] > second + near);
    }
    return wrong;
}

}  // namespace

int main(int count, char**) {
    const std::int64_t large = 1 << 20;
    int wrong = 0;
    if (count > 1) {  // few and small, for what is slow
        wrong += trial<float>(Data::kTies, 4, 40, 300, Measure::kCosine, true, large, true);
        wrong += trial<float>(Data::kNormal, 1, 3, 600, Measure::kCosine, false, large, false, true);
        wrong += trial<double>(Data::kAllEqual, 2, 3, 40, Measure::kEuclidean, false, large, false);
        return report(wrong);
    }
    for (const Measure measure : {Measure::kCosine, Measure::kEuclidean}) {
        for (const bool planned : {false, true})
            for (const Data data : {Data::kNormal, Data::kTies, Data::kLattice}) {
                wrong += trial<float>(data, 6, 60, 600, measure, true, 1, planned);
                wrong += trial<double>(data, 5, 61, 530, measure, true, large, planned);
            }
        wrong += trial<float>(Data::kNearlyOrthogonal, 2, 200, 300, measure, false, large, false);
        wrong += trial<float>(Data::kRoundedApart, 2, 17, 300, measure, false, large, false);
        wrong += trial<float>(Data::kRoundedApart, 2, 17, 9, measure, false, large, true);
        wrong += trial<float>(Data::kNormal, 2, 5, 3100, measure, false, 1, false, true);
        wrong += trial<double>(Data::kAllEqual, 2, 4, 70, measure, false, large, false);
    }
    return report(wrong);
}
