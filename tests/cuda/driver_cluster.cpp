// driver_cluster.cpp: sums that follow labels, and centers made of them, on the emulated machine, against the core's
// integers.
#include "driver.h"

#include "core/bin_grid.h"
#include "cuda/cluster.h"

namespace {

using namespace driver;

template <class T>
int trial(int n, int d, int m, bool cosine, bool weighted, double scale) {
    std::mt19937 random(4);
    std::normal_distribution<double> normal;
    std::vector<T> X(std::size_t(n) * d), centers(std::size_t(m) * d);
    for (T& v : X) v = static_cast<T>(scale * normal(random));
    for (T& v : centers) v = static_cast<T>(normal(random));
    std::fill_n(X.begin(), d, T{0});
    std::vector<double> norm2(n), weight(n, 1.0), shift(m);
    double longest = 0, heaviest = 0;
    for (int i = 0; i < n; ++i) {
        norm2[i] = plain_dot(X.data() + std::size_t(i) * d, X.data() + std::size_t(i) * d, d);
        if (weighted) weight[i] = i % 7 / 3.0;
        heaviest = std::max(heaviest, weight[i]);
        longest = std::max(longest, cosine ? weight[i] : weight[i] * std::sqrt(norm2[i]));
    }
    const Grids grids = grids_of(longest, heaviest);
    std::vector<long long> sum(std::size_t(m) * grids.row.levels * d, 0), total(3 * m, 0);
    std::vector<int> size(m, 0), touched(m, 0), label(n), before(n, -1), changed(1, 0);
    const ClusterSums sums{sum.data(), total.data(), size.data(), touched.data()};
    const Room follow(sums_bytes(n, m)), move(move_bytes<T>(m, d));
    int wrong = 0;
    for (int pass = 0; pass < 3; ++pass) {  // all rows come; some move; none does
        int moved = 0;
        for (int i = 0; i < n; ++i) {
            if (pass < 2 && (pass == 0 || i % 5 == 0)) label[i] = static_cast<int>(random() % (m - 1));
            moved += label[i] != before[i];
        }
        changed[0] = 0;
        follow_labels(LabeledRows<T>{X.data(), norm2.data(), weighted ? weight.data() : nullptr, label.data(),
                                     before.data(), n, d},
                      m, cosine, grids, sums, changed.data(), follow, nullptr);
        cudaDeviceSynchronize();
        wrong += changed[0] != moved || before != label;
        const latom::BinGrid grid(longest), weight_grid(heaviest);
        std::vector<long long> plain(sum.size(), 0), plain_total(3 * m, 0);
        std::vector<int> plain_size(m, 0);
        for (int i = 0; i < n; ++i) {
            std::int64_t own[3] = {};
            weight_grid.add(weight[i], own);
            for (int l = 0; l < 3; ++l) plain_total[3 * label[i] + l] += own[l];
            ++plain_size[label[i]];
            const double factor = !(norm2[i] > 0) ? 0 : cosine ? weight[i] / std::sqrt(norm2[i]) : weight[i];
            for (int c = 0; c < d; ++c) {
                std::int64_t part[3] = {};
                grid.add(static_cast<double>(X[std::size_t(i) * d + c]) * factor, part);
                for (int l = 0; l < grid.levels(); ++l)
                    plain[(std::size_t(label[i]) * grid.levels() + l) * d + c] += part[l];
            }
        }
        wrong += plain != sum || plain_total != total || plain_size != size;
        const std::vector<T> old = centers;
        move_centers(centers.data(), m, d, cosine, grids, sums, shift.data(), move, nullptr);
        cudaDeviceSynchronize();
        for (int j = 0; j < m; ++j) {
            std::vector<double> mean(d);
            std::int64_t weights[3] = {total[3 * j], total[3 * j + 1], total[3 * j + 2]};
            for (int c = 0; c < d; ++c) {
                std::int64_t part[3] = {};
                for (int l = 0; l < grid.levels(); ++l) part[l] = sum[(std::size_t(j) * grid.levels() + l) * d + c];
                mean[c] = grid.value(part);
            }
            const double all = weight_grid.value(weights);
            const double length = cosine ? std::sqrt(plain_dot(mean.data(), mean.data(), d)) : all;
            double gap = 0;
            for (int c = 0; c < d; ++c) {
                const std::size_t at = std::size_t(j) * d + c;
                const T wanted = length > (cosine ? 1e-12 * all : 0.0) ? static_cast<T>(mean[c] / length) : old[at];
                wrong += centers[at] != wanted;
                gap += std::pow(static_cast<double>(wanted) - static_cast<double>(old[at]), 2);
            }
            wrong += std::abs(shift[j] - gap) > 1e-9 * (1 + gap) || (gap == 0 && shift[j] != 0) || touched[j] != 0;
        }
    }
    std::vector<double> score(n), costs((n + 4095) / 4096);
    for (int i = 0; i < n; ++i) score[i] = -std::abs(normal(random));
    sum_costs(score.data(), weight.data(), n, false, costs.data(), nullptr);
    cudaDeviceSynchronize();
    for (int chunk = 0; chunk * 4096 < n; ++chunk) {
        double plain = 0;
        for (int i = chunk * 4096; i < std::min(n, (chunk + 1) * 4096); ++i) plain += weight[i] * -score[i];
        wrong += costs[chunk] != plain;
    }
    return wrong;
}

}  // namespace

int main(int count, char**) {
    if (count > 1) return report(trial<float>(300, 5, 4, true, true, 1));  // few and small, for what is slow
    int wrong = 0;
    for (const bool cosine : {false, true})
        for (const bool weighted : {false, true}) {
            wrong += trial<float>(700, 300, 5, cosine, weighted, 1);
            wrong += trial<double>(900, 9, 40, cosine, weighted, 1e9);
            wrong += trial<float>(5000, 2, 3, cosine, weighted, 1e-7);
        }
    return report(wrong);
}
