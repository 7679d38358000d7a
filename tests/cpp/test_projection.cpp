// test_projection.cpp: products of short rows bound those of the rows themselves, whatever the directions.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "algorithms/cluster/dense/projection.h"
#include "check.h"
#include "data.h"
#include "kernels/dispatch.h"

using namespace latom;

namespace {

/// Rows inside the directions, outside, between, one-hot, cancelling and constant, of lengths from 1e-14 to 1e14.
template <class T>
std::vector<T> rows_of_all_kinds(test::Random& random, const std::vector<float>& V, int64_t count, int64_t d) {
    const auto r = static_cast<int64_t>(V.size()) / d;
    std::vector<T> X;
    for (int64_t i = 0; i < count; ++i) {
        std::vector<double> x(static_cast<std::size_t>(d), 0.0);
        const int64_t kind = i % 6;
        if (kind < 3)
            for (int64_t a = 0; a < r; ++a) {
                const double weight = random.symmetric();
                for (int64_t t = 0; t < d; ++t) x[t] += weight * static_cast<double>(V[a * d + t]);
            }
        if (kind == 1 || kind == 3)
            for (double& v : x) v += random.symmetric() * (kind == 1 ? 1e-3 : 1);
        if (kind == 4) x[random.below(d)] = 1;
        if (kind == 5)
            for (int64_t t = 0; t < d; ++t) x[t] = i % 12 == 5 ? 1 : (t % 2 ? -1 : 1) * (1 + 1e-4 * random.symmetric());
        double norm2 = 0;
        for (const double v : x) norm2 += v * v;
        const double length = std::pow(10.0, i % 2 ? 0 : 14 * random.symmetric());
        for (const double v : x) X.push_back(static_cast<T>(v / std::sqrt(norm2) * length));
    }
    return X;
}

template <class T>
void check_bound(const std::string& isa, double defect, int64_t d, int64_t r) {
    const auto* kernels = kernel_table(isa);
    test::Random random(static_cast<std::uint64_t>(d * 100 + r));
    // Orthonormal in exact arithmetic (cosines), then bent.
    std::vector<float> V;
    for (int64_t a = 0; a < r; ++a)
        for (int64_t t = 0; t < d; ++t) {
            const double size = std::sqrt((a == 0 ? 1.0 : 2.0) / static_cast<double>(d));
            const double exact = size * std::cos(std::numbers::pi * (static_cast<double>(t) + 0.5) *
                                                 static_cast<double>(a) / static_cast<double>(d));
            V.push_back(static_cast<float>(exact * (1 + (a % 3 == 0 ? defect : -defect)) +
                                           0.1 * defect * size * random.symmetric()));
        }
    const Projection projection(kernels, V, d);
    CHECK(projection);
    constexpr int64_t kRows = 120;
    const auto X = rows_of_all_kinds<T>(random, V, kRows, d);
    std::vector<const T*> rows;
    std::vector<double> norm2, short_norm2(kRows);
    for (int64_t i = 0; i < kRows; ++i) {
        rows.push_back(&X[static_cast<std::size_t>(i * d)]);
        double sum = 0;
        for (int64_t t = 0; t < d; ++t) sum += static_cast<double>(rows[i][t]) * static_cast<double>(rows[i][t]);
        norm2.push_back(sum);
    }
    const int64_t width = projection.width();
    CHECK_EQUAL(width, r + 1);
    std::vector<float> out(static_cast<std::size_t>(kRows * width));
    projection.apply(rows.data(), norm2.data(), kRows, out.data(), short_norm2.data());
    int64_t above = 0, below = 0, shorter = 0;
    for (int64_t i = 0; i < kRows; ++i) {
        shorter += short_norm2[i] < norm2[i] * (1 - 1e-12);
        for (int64_t j = 0; j < kRows; ++j) {
            double exact = 0, bound = 0;
            for (int64_t t = 0; t < d; ++t) exact += static_cast<double>(rows[i][t]) * static_cast<double>(rows[j][t]);
            for (int64_t a = 0; a < width; ++a)
                bound += static_cast<double>(out[i * width + a]) * static_cast<double>(out[j * width + a]);
            const double both = std::sqrt(short_norm2[i] * short_norm2[j]),
                         margin = (projection.slack() + 1e-12) * both;
            const double tails = static_cast<double>(out[i * width + r]) * static_cast<double>(out[j * width + r]);
            above += exact > bound + margin;
            below += exact < bound - 2 * tails - margin;
        }
    }
    CHECK_EQUAL(above, 0);
    CHECK_EQUAL(below, 0);
    CHECK_EQUAL(shorter, 0);
}

}  // namespace

TEST(short_rows_bound_the_products_of_long_ones) {
    for (const std::string isa : {"baseline", "avx2", "avx512", "avx512bf16"}) {
        const auto known = available_isas();
        if (std::find(known.begin(), known.end(), isa) == known.end()) continue;
        for (const double defect : {0.0, 1e-6, 3e-5})
            for (const auto& [d, r] : {std::pair<int64_t, int64_t>{48, 15}, {100, 31}, {257, 95}})
                NOTE(isa << ", defect " << defect << ", d " << d) {
                    check_bound<float>(isa, defect, d, r);
                    check_bound<double>(isa, defect, d, r);
                }
    }
}

TEST(directions_that_are_not_orthonormal_are_refused) {
    const auto* kernels = kernel_table("baseline");
    std::vector<float> V(15 * 48, 0.0f);
    CHECK(!Projection(kernels, V, 48));
    for (int64_t a = 0; a < 15; ++a) V[static_cast<std::size_t>(a * 48 + a)] = 1;
    CHECK(static_cast<bool>(Projection(kernels, V, 48)));
    V[0] = 1.01f;
    CHECK(!Projection(kernels, V, 48));
    V[0] = NAN;
    CHECK(!Projection(kernels, V, 48));
}
