// driver.h: what the drivers of the emulated GPU share: plain float64 sums, and data that bounds must hold for.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <utility>
#include <vector>

#include "cuda/atoms.h"
#include "cuda/product.h"

namespace driver {

using namespace latom::cuda;

enum class Data { kNormal, kTies, kNearlyOrthogonal, kAllEqual, kLattice, kRoundedApart };

template <class T, class U>
double plain_dot(const T* x, const U* y, int d) {
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

/// Device memory of exactly so many bytes, so that a sanitizer sees what lies beyond them.
class Room {
public:
    explicit Room(std::int64_t bytes) { cudaMalloc(&at_, static_cast<std::size_t>(bytes)); }
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
    ~Room() { cudaFree(at_); }
    operator void*() const { return at_; }
    template <class P>
    P* as() const {
        return static_cast<P*>(at_);
    }

private:
    void* at_ = nullptr;
};

inline int report(int wrong) {
    std::printf("%d wrong\n", wrong);
    return wrong != 0;
}

}  // namespace driver
