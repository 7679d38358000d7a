// driver.cpp: the GPU's top-k on the emulated machine against plain float64 sums: what sanitizers and planted faults
// run.
#include "driver.h"

#include "cuda/topk.h"

namespace {

using namespace driver;

// How many places differ from the plain answer. Arrays have exactly the bytes that are asked for, so that a sanitizer
// sees what lies beyond them.
template <class T>
int trial(Data data, int n, int d, int m, int k, bool biased, std::int64_t chunk) {
    std::vector<T> X(std::size_t(n) * d), W(std::size_t(m) * d), score(std::size_t(n) * k);
    draw(data, n, d, m, X, W);
    std::vector<double> bias(m), dot(std::size_t(n) * k);
    for (int j = 0; j < m; ++j) bias[j] = biased ? 0.01 * (j % 7) : 0;
    std::vector<int> index(std::size_t(n) * k);
    const Room atoms(atoms_bytes<T>(m, d)), workspace(topk_bytes<T>(n, d, m, k, chunk));
    const auto product = make_plain_product();
    topk<T>({.atoms = prepare_atoms(W.data(), m, d, Measure::kDot, biased ? bias.data() : nullptr, atoms, nullptr),
             .X = X.data(),
             .norm2 = nullptr,
             .known = false,
             .n = n,
             .k = k,
             .order = 0,
             .score = score.data(),
             .index = index.data(),
             .dot = dot.data(),
             .chunk = chunk},
            workspace, *product, nullptr);
    cudaDeviceSynchronize();
    int wrong = 0;
    std::vector<std::pair<double, int>> all(m);
    for (int i = 0; i < n; ++i) {
        const T* x = X.data() + std::size_t(i) * d;
        for (int j = 0; j < m; ++j) {
            const double one = plain_dot(x, W.data() + std::size_t(j) * d, d);
            all[j] = {-(biased ? one + bias[j] : one), j};
        }
        std::partial_sort(all.begin(), all.begin() + k, all.end());
        for (int r = 0; r < k; ++r) {
            const std::size_t at = std::size_t(i) * k + r;
            wrong += score[at] != static_cast<T>(-all[r].first) || index[at] != all[r].second ||
                     dot[at] != plain_dot(x, W.data() + std::size_t(all[r].second) * d, d);
        }
    }
    return wrong;
}

}  // namespace

int main(int count, char**) {
    int wrong = 0;
    if (count > 1) {  // few and small, for what is slow
        wrong += trial<float>(Data::kTies, 2, 24, 300, 9, true, 1);
        wrong += trial<double>(Data::kAllEqual, 1, 3, 1300, 5, false, 8192);
        return report(wrong);
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
    return report(wrong);
}
