// philox.h: counter-based random numbers, Philox4x32-10 (Salmon, Moraes, Dror & Shaw, SC 2011).
//
// A draw is a function of (seed, purpose, counter) alone, so it depends neither on threads nor on what was drawn
// before. Purposes are listed here, so that no two uses share a stream.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace latom {

enum class Purpose : std::uint32_t {
    kFirstCenter = 1,
    kNextCenter,
    kTrial,
    kFallback,
    kChain,
    kRound,
    kSample,
    kEpoch,
    kItems,
    kPair,
    kUnlabelled,
    kProjection,
    kPerturbation,
    kFactorStart,
};

class Philox {
public:
    Philox(std::uint64_t seed, Purpose purpose)
        : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
          purpose_(static_cast<std::uint32_t>(purpose)) {}

    /// Four independent 32-bit words at `counter`.
    std::array<std::uint32_t, 4> words(std::uint64_t counter) const {
        std::array<std::uint32_t, 4> c{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                                       purpose_, 0};
        std::uint32_t k0 = key_[0], k1 = key_[1];
        for (int round = 0; round < 10; ++round) {
            const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0], b = std::uint64_t{0xCD9E8D57} * c[2];
            c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(b),
                 static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(a)};
            k0 += 0x9E3779B9;
            k1 += 0xBB67AE85;
        }
        return c;
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    double uniform(std::uint64_t counter) const { return uniforms(counter)[0]; }
    /// Two independent ones.
    std::array<double, 2> uniforms(std::uint64_t counter) const {
        const auto w = words(counter);
        return {unit(w[0], w[1]), unit(w[2], w[3])};
    }
    /// Two independent ones of the normal distribution (Box & Muller 1958).
    std::array<double, 2> normals(std::uint64_t counter) const {
        const auto [u, v] = uniforms(counter);
        const double length = std::sqrt(-2 * std::log(1 - u)), angle = 6.283185307179586 * v;
        return {length * std::cos(angle), length * std::sin(angle)};
    }

private:
    static double unit(std::uint32_t high, std::uint32_t low) {
        return static_cast<double>(((std::uint64_t{high} << 32) | low) >> 11) * 0x1p-53;
    }

    std::array<std::uint32_t, 2> key_;
    std::uint32_t purpose_;
};

}  // namespace latom
