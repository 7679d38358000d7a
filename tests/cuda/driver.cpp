// driver.cpp: the GPU's top-k on the emulated machine against plain float64 sums: what sanitizers and planted faults
// run.
#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

#include "cuda/topk.h"

using namespace latom::cuda;

namespace {

enum class Data { kNormal, kTies, kNearlyOrthogonal, kAllEqual, kLattice, kRoundedApart };

template <class T>
double plain_dot(const T* x, const T* y, int d) {
    double sum[8] = {};
    for (int p = 0; p < d; ++p) {
        const double product = static_cast<double>(x[p]) * static_cast<double>(y[p]);
        sum[p % 8] += product;
    }
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

// Scores near 0 of long rows and atoms, so that the rounding of the atoms decides: float16 rounds the numbers of every
// third atom up, those of the next down, and their exact scores rank the other way.
template <class T>
void draw_rounded_apart(int d, std::vector<T>& X, std::vector<T>& W) {
    std::fill(X.begin(), X.end(), T{1});
    for (std::size_t p = d - 1; p < X.size(); p += d) X[p] = static_cast<T>(1 - d);
    for (std::size_t p = 0; p < W.size(); ++p) {
        const std::size_t kind = p / d % 3, column = p % d;
        const double up = 1 + 0x1p-11 + 0x1p-20, down = 1 + 0x1p-11 - 0x1p-20 + (column % 2 ? 0x1p-10 : 0);
        W[p] = static_cast<T>(column + 1 == static_cast<std::size_t>(d) ? 1 : kind == 0 ? up : kind == 1 ? down : 0.5);
    }
}

template <class T>
void draw(Data data, int n, int d, int m, std::vector<T>& X, std::vector<T>& W) {
    if (data == Data::kRoundedApart) return draw_rounded_apart(d, X, W);
    std::mt19937 random(1);
    std::normal_distribution<double> normal;
    const auto one = [&] { return data == Data::kLattice ? std::round(normal(random)) : normal(random); };
    for (T& v : X) v = static_cast<T>(data == Data::kAllEqual ? 1 : one());
    for (T& v : W) v = static_cast<T>(data == Data::kAllEqual ? 1 : one());
    if (data == Data::kTies) std::copy_n(W.data(), std::size_t(m / 2) * d, W.data() + std::size_t(m - m / 2) * d);
    if (data != Data::kNearlyOrthogonal) return;
    for (int j = 0; j < m; ++j) {
        T* w = W.data() + std::size_t(j) * d;
        const double xx = plain_dot(X.data(), X.data(), d), xw = plain_dot(X.data(), w, d);
        const double move = normal(random) * 0.4 - xw;
        for (int p = 0; p < d; ++p) w[p] = static_cast<T>(w[p] + move / xx * X[p]);
    }
    for (int i = 1; i < n; ++i) std::copy_n(X.data(), d, X.data() + std::size_t(i) * d);
}

// How many places differ from the plain answer. Arrays have exactly the bytes that are asked for, so that a sanitizer
// sees what lies beyond them.
template <class T>
int trial(Data data, int n, int d, int m, int k, bool biased, std::int64_t chunk) {
    std::vector<T> X(std::size_t(n) * d), W(std::size_t(m) * d), score(std::size_t(n) * k);
    draw(data, n, d, m, X, W);
    std::vector<double> bias(m);
    for (int j = 0; j < m; ++j) bias[j] = biased ? 0.01 * (j % 7) : 0;
    std::vector<int> index(std::size_t(n) * k);
    void* workspace;
    cudaMalloc(&workspace, topk_bytes<T>(n, d, m, k, chunk));
    const auto product = make_plain_product();
    topk<T>({.X = X.data(),
             .W = W.data(),
             .bias = biased ? bias.data() : nullptr,
             .n = n,
             .d = d,
             .m = m,
             .k = k,
             .measure = Measure::kDot,
             .order = 0,
             .score = score.data(),
             .index = index.data(),
             .chunk = chunk},
            workspace, *product, nullptr);
    cudaDeviceSynchronize();
    cudaFree(workspace);
    int wrong = 0;
    std::vector<std::pair<double, int>> all(m);
    for (int i = 0; i < n; ++i) {
        for (int j = 0; j < m; ++j) {
            const double dot = plain_dot(X.data() + std::size_t(i) * d, W.data() + std::size_t(j) * d, d);
            all[j] = {-(biased ? dot + bias[j] : dot), j};
        }
        std::partial_sort(all.begin(), all.begin() + k, all.end());
        for (int r = 0; r < k; ++r)
            wrong += score[std::size_t(i) * k + r] != static_cast<T>(-all[r].first) ||
                     index[std::size_t(i) * k + r] != all[r].second;
    }
    return wrong;
}

}  // namespace

int main(int count, char**) {
    int wrong = 0;
    if (count > 1) {  // few and small, for what is slow
        wrong += trial<float>(Data::kTies, 2, 24, 300, 9, true, 1);
        wrong += trial<double>(Data::kAllEqual, 1, 3, 1300, 5, false, 8192);
        std::printf("%d wrong\n", wrong);
        return wrong != 0;
    }
    for (const Data data : {Data::kNormal, Data::kTies, Data::kNearlyOrthogonal, Data::kLattice}) {
        wrong += trial<float>(data, 3, 96, 2000, 24, false, 8192);
        wrong += trial<double>(data, 3, 77, 300, 20, true, 2);
    }
    wrong += trial<float>(Data::kRoundedApart, 2, 17, 300, 9, false, 8192);
    wrong += trial<float>(Data::kNearlyOrthogonal, 2, 200, 16384 + 9, 8, false, 1);
    wrong += trial<float>(Data::kTies, 5, 3, 16384 * 2 + 40, 32, false, 2);
    wrong += trial<float>(Data::kAllEqual, 2, 4, 1300, 5, false, 8192);
    wrong += trial<double>(Data::kNormal, 2, 5, 140, 140, false, 8192);
    std::printf("%d wrong\n", wrong);
    return wrong != 0;
}
