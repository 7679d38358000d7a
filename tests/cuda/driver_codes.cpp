// driver_codes.cpp: thresholds, codes, rows made of them and sums by latent, on the emulated machine, against plain
// sums.
#include "driver.h"

#include "cuda/above.h"
#include "cuda/gather.h"

namespace {

using namespace driver;

template <class T>
int trial_above(Data data, int n, int d, int m, double threshold) {
    std::vector<T> X(std::size_t(n) * d), W(std::size_t(m) * d);
    draw(data, n, d, m, X, W);
    std::vector<double> bars(n, threshold);
    const Room space(atoms_bytes<T>(m, d)), workspace(above_bytes<T>(n, d, m));
    const auto product = make_plain_product();
    const AboveCall<T> call{prepare_atoms<T>(W.data(), m, d, Measure::kDot, nullptr, space, nullptr), X.data(),
                            bars.data(), n};
    const AboveFound found = count_above(call, workspace, *product, nullptr);
    cudaDeviceSynchronize();
    const auto total = static_cast<std::size_t>(found.begin[n]);
    std::vector<T> score(total);
    std::vector<int> atom(total);
    write_above(call, workspace, score.data(), atom.data(), nullptr);
    cudaDeviceSynchronize();
    int wrong = 0;
    std::size_t at = 0;
    for (int i = 0; i < n; ++i) {
        wrong += found.begin[i] != static_cast<long long>(at);
        for (int j = 0; j < m; ++j) {
            const double dot = plain_dot(X.data() + std::size_t(i) * d, W.data() + std::size_t(j) * d, d);
            if (!(dot > threshold)) continue;
            wrong += at >= total || atom[at] != j || score[at] != static_cast<T>(dot);
            ++at;
        }
    }
    return wrong + (at != total);
}

template <class T, class I>
int trial_gather(int n, int k, int m, int d, double often) {
    std::mt19937 random(2);
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> uniform;
    std::vector<T> W(std::size_t(m) * d), value(std::size_t(n) * k), rows(std::size_t(n) * d), out(rows), sums(W),
        dots(value);
    for (std::vector<T>* all : {&W, &value, &rows})
        for (T& v : *all) v = static_cast<T>(normal(random));
    std::vector<I> index(value.size());
    for (I& j : index) j = static_cast<I>(uniform(random) < often ? m / 2 : uniform(random) * m);
    for (std::size_t p = 0; p < value.size(); p += 3) value[p] = 0;
    const Room report_at(sizeof(GatherReport)), space(latents_bytes(n, k, m)), codes(codes_bytes(n));
    gather_rows(DeviceCodes<T, I>{nullptr, index.data(), value.data(), n, k}, W.data(), m, d, W.data(), out.data(),
                report_at.as<GatherReport>(), nullptr);
    products_at(rows.data(), index.data(), n, k, W.data(), d, dots.data(), nullptr);
    gather_by_latent(index.data(), value.data(), n, k, rows.data(), d, m, sums.data(), space, nullptr);
    cudaDeviceSynchronize();
    int wrong = report_at.as<GatherReport>()->stray < n || report_at.as<GatherReport>()->bad < n;
    for (int i = 0; i < n; ++i)
        for (int c = 0; c < d; ++c) {
            T sum = W[c];
            for (int p = i * k; p < (i + 1) * k; ++p) {
                const T product = W[std::size_t(index[p]) * d + c] * value[p];
                sum += product;
            }
            wrong += out[std::size_t(i) * d + c] != sum;
        }
    for (int p = 0; p < n * k; ++p)
        wrong += dots[p] != static_cast<T>(plain_dot(W.data() + std::size_t(index[p]) * d,
                                                     rows.data() + std::size_t(p / k) * d, d));
    for (int j = 0; j < m; ++j)
        for (int c = 0; c < d; ++c) {
            T sum = 0, partial = 0;
            int count = 0;
            for (int p = 0; p < n * k; ++p) {
                if (index[p] != static_cast<I>(j)) continue;
                const T product = rows[std::size_t(p / k) * d + c] * value[p];
                partial += product;
                if (++count % 256 == 0) sum += partial, partial = 0;
            }
            sum += partial;
            wrong += sums[std::size_t(j) * d + c] != sum;
        }
    return wrong;
}

int trial_codes(int n, int k) {
    std::mt19937 random(3);
    std::vector<float> value(std::size_t(n) * k);
    std::vector<int> atom(value.size());
    for (int i = 0; i < n; ++i)
        for (int p = 0; p < k; ++p) {
            value[i * k + p] = random() % 3 ? static_cast<float>(random() % 9 + 1) : 0;
            atom[i * k + p] = value[i * k + p] != 0 ? (p * 7919 + i) % (k * 1013) : 0;
        }
    const Room space(codes_bytes(n));
    const long long* begin = count_codes(value.data(), n, k, space, nullptr);
    cudaDeviceSynchronize();
    const auto total = static_cast<std::size_t>(begin[n]);
    std::vector<float> out(total);
    std::vector<int> out_atom(total);
    write_codes(value.data(), atom.data(), n, k, space, out.data(), out_atom.data(), nullptr);
    cudaDeviceSynchronize();
    int wrong = 0;
    std::size_t at = 0;
    for (int i = 0; i < n; ++i) {
        std::vector<std::pair<int, float>> row;
        for (int p = i * k; p < (i + 1) * k; ++p)
            if (value[p] != 0) row.push_back({atom[p], value[p]});
        std::sort(row.begin(), row.end());
        wrong += begin[i] != static_cast<long long>(at);
        for (const auto& [a, v] : row) {
            wrong += at >= total || out_atom[at] != a || out[at] != v;
            ++at;
        }
    }
    return wrong + (at != total);
}

}  // namespace

int main(int count, char**) {
    int wrong = 0;
    if (count > 1) {  // few and small, for what is slow
        wrong += trial_above<float>(Data::kTies, 2, 9, 200, 2.0);
        wrong += trial_above<double>(Data::kAllEqual, 1, 3, 1100, 1.0);
        wrong += trial_gather<float, int>(20, 3, 300, 5, 0.5);
        return report(wrong + trial_codes(9, 4));
    }
    for (const Data data : {Data::kNormal, Data::kTies, Data::kNearlyOrthogonal, Data::kLattice})
        for (const double threshold : {-1e9, 0.0, 3.0}) {
            wrong += trial_above<float>(data, 3, 40, 700, threshold);
            wrong += trial_above<double>(data, 2, 7, 1500, threshold);
        }
    wrong += trial_above<float>(Data::kNearlyOrthogonal, 2, 5, 16384 + 40, 2.5);
    wrong += trial_above<float>(Data::kRoundedApart, 2, 17, 300, 1e-6);
    wrong += trial_gather<float, int>(70, 4, 600, 7, 0.0) + trial_gather<double, long long>(300, 3, 700, 2, 0.8);
    wrong += trial_gather<float, long long>(1500, 3, 3, 1, 0.0);
    return report(wrong + trial_codes(3000, 5) + trial_codes(2, 200));
}
