// factors.h: positive matrices, a comparison that allows for rounding, and the same call under every variant.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "check.h"
#include "data.h"

namespace test {

using Doubles = std::vector<double>;

template <class T>
std::vector<T> positive(std::uint64_t seed, int64_t count, double zeros = 0) {
    Random random(seed);
    std::vector<T> v(static_cast<std::size_t>(count));
    for (T& x : v) {
        x = static_cast<T>(0.1 + random.uniform());
        if (random.uniform() < zeros) x = 0;
    }
    return v;
}

template <class T>
inline constexpr double kTolerance = sizeof(T) == 4 ? 2e-5 : 1e-12;

template <class T, class U>
bool near(const std::vector<T>& got, const std::vector<U>& want, double tolerance) {
    if (got.size() != want.size()) return false;
    for (std::size_t p = 0; p < got.size(); ++p)
        if (!(std::abs(static_cast<double>(got[p]) - static_cast<double>(want[p])) <=
              tolerance * (1 + std::abs(static_cast<double>(want[p])))))
            return false;
    return true;
}

/// Runs compute(ctx) for every variant and number of threads: all must give the same bits. Returns what they give.
template <class Result>
Result everywhere(const std::function<Result(const Context&)>& compute) {
    Result first;
    bool any = false;
    for (const std::string& isa : available_isas())
        for (const int threads : {1, 2, 5}) NOTE(isa << ", " << threads << " threads") {
                const Result found = compute(context(isa, threads));
                if (any) CHECK(std::memcmp(found.data(), first.data(), found.size() * sizeof(found[0])) == 0);
                else first = found;
                any = true;
            }
    return first;
}

template <class T>
Doubles plain_gram(const std::vector<T>& V, int64_t n, int64_t k) {
    Doubles G(static_cast<std::size_t>(k * k), 0.0);
    for (int64_t i = 0; i < n; ++i)
        for (int64_t a = 0; a < k; ++a)
            for (int64_t b = 0; b < k; ++b)
                G[a * k + b] += static_cast<double>(V[i * k + a]) * static_cast<double>(V[i * k + b]);
    return G;
}

}  // namespace test
