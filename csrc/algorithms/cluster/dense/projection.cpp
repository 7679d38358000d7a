#include "algorithms/cluster/dense/projection.h"

#include <algorithm>
#include <cmath>

namespace latom {
namespace {

constexpr int64_t kStep = 16;  // widths: whole lines of float32

// Orthonormal rows [count, d] in place, in their order; those that depend on earlier ones are dropped.
int64_t orthonormalize(const KernelTable* kernels, std::vector<double>& V, int64_t d) {
    const auto count = static_cast<int64_t>(V.size()) / d;
    int64_t kept = 0;
    for (int64_t i = 0; i < count; ++i) {
        double* row = V.data() + kept * d;
        if (kept < i) std::copy_n(V.data() + i * d, d, row);
        const double before = std::sqrt(kernels->f64.dense_dot(row, row, d));
        for (int pass = 0; pass < 2; ++pass)  // the second takes what cancellation left of the first
            for (int64_t p = 0; p < kept; ++p) {
                const double* earlier = V.data() + p * d;
                kernels->f64.add_scaled(earlier, -kernels->f64.dense_dot(earlier, row, d), d, row);
            }
        const double length = std::sqrt(kernels->f64.dense_dot(row, row, d));
        if (!(length > 1e-6 * before)) continue;
        for (int64_t t = 0; t < d; ++t) row[t] /= length;
        ++kept;
    }
    V.resize(static_cast<std::size_t>(kept * d));
    return kept;
}

}  // namespace

Projection::Projection(const KernelTable* kernels, const std::vector<float>& directions, int64_t d)
    : kernels_(kernels), d_(d) {
    const auto r = static_cast<int64_t>(directions.size()) / d;
    double defect2 = 0;
    for (int64_t a = 0; a < r; ++a)
        for (int64_t b = 0; b <= a; ++b) {
            const double off = kernels->f32.dense_dot(&directions[a * d], &directions[b * d], d) - (a == b);
            defect2 += (a == b ? 1 : 2) * off * off;
        }
    defect_ = std::sqrt(defect2) + 1e-12;
    rounding_ = 1.01 * std::sqrt(static_cast<double>(r)) * static_cast<double>(d + 8) * 0x1p-24;
    if (r == 0 || !(defect_ <= 1e-3 && rounding_ <= 1e-3)) return;
    slack_ = 1.01 * (2 * rounding_ + 3 * defect_);
    width_ = r + 1;
    columns_.resize(static_cast<std::size_t>(d * width_));
    for (int64_t t = 0; t < d; ++t) {
        for (int64_t a = 0; a < r; ++a) columns_[t * width_ + a] = directions[a * d + t];
        columns_[t * width_ + r] = 0;
    }
}

template <class T>
void Projection::apply(const T* const* rows, const double* norm2, int64_t count, float* out, double* out_norm2) const {
    constexpr int64_t kTogether = 8;
    std::vector<float> wide(static_cast<std::size_t>(kTogether * d_));
    for (int64_t from = 0; from < count; from += kTogether) {
        const int64_t some = std::min(kTogether, count - from);
        for (int64_t i = 0; i < some; ++i)
            std::transform(rows[from + i], rows[from + i] + d_, wide.data() + i * d_,
                           [](T v) { return static_cast<float>(v); });
        kernels_->f32.small_product(wide.data(), some, d_, columns_.data(), width_, out + from * width_);
        const float* short_rows[kTogether];
        double squares[kTogether];
        for (int64_t i = 0; i < some; ++i) short_rows[i] = out + (from + i) * width_;
        kernels_->f32.dense_dots(short_rows, short_rows, some, width_, squares);  // the last number is still 0
        for (int64_t i = from; i < from + some; ++i) {
            float* row = out + i * width_;
            const double inside2 = squares[i - from];
            const double left2 =
                std::max(0.0, norm2[i] - inside2) + 2 * rounding_ * std::sqrt(norm2[i] * inside2) + defect_ * inside2;
            const auto left = static_cast<float>(std::sqrt(left2) * (1 + 1e-6));
            row[width_ - 1] = left;
            out_norm2[i] = inside2 + static_cast<double>(left) * static_cast<double>(left);
        }
    }
}

template <class View>
std::vector<float> main_directions(const Context& ctx, const Rows<View>& rows, int64_t most, double left) {
    constexpr int kRounds = 3;
    const int64_t d = rows.d(), n = rows.n(), r = most / kStep * kStep - 1, width = r + 1;
    if (r < kStep - 1 || n < most) return {};
    const KernelTable* kernels = ctx.kernels;
    // Some rows at equal steps, each of length 1.
    const int64_t sampled = std::min(n, 8 * width), padded = chunk_count(d, kStep) * kStep;
    AlignedVector<float> S(static_cast<std::size_t>(sampled * padded), 0.0f);
    int64_t used = 0;
    for (int64_t k = 0; k < sampled; ++k) {
        const int64_t i = k * n / sampled;
        if (!(rows.norm2(i) > 0)) continue;
        const double inverse = 1 / std::sqrt(rows.norm2(i));
        float* out = S.data() + used++ * padded;
        rows.each(i, [&](int64_t t, auto v) { out[t] = static_cast<float>(static_cast<double>(v) * inverse); });
    }
    if (used < width) return {};
    std::vector<double> V(static_cast<std::size_t>(r * padded));
    for (int64_t a = 0; a < r; ++a) std::copy_n(S.data() + a * used / r * padded, padded, V.data() + a * padded);
    int64_t kept = orthonormalize(kernels, V, padded);
    AlignedVector<float> F(static_cast<std::size_t>(padded * width)), Y(static_cast<std::size_t>(used * width)),
        turned(static_cast<std::size_t>(width * used)), Z(static_cast<std::size_t>(width * padded));
    const auto coefficients = [&] {  // Y = S V'
        std::fill(F.begin(), F.end(), 0.0f);
        for (int64_t a = 0; a < kept; ++a)
            for (int64_t t = 0; t < padded; ++t) F[t * width + a] = static_cast<float>(V[a * padded + t]);
        parallel_for(ctx, chunk_count(used, 64), [&](int64_t c, int) {
            kernels->f32.small_product(S.data() + c * 64 * padded, std::min<int64_t>(64, used - c * 64), padded,
                                       F.data(), width, Y.data() + c * 64 * width);
        });
    };
    for (int round = 0; round < kRounds; ++round) {
        coefficients();
        kernels->f32.transpose(Y.data(), used, width, width, turned.data(), used);
        parallel_for(ctx, chunk_count(kept, 8), [&](int64_t c, int) {  // V = Y'S
            kernels->f32.small_product(turned.data() + c * 8 * used, std::min<int64_t>(8, kept - c * 8), used, S.data(),
                                       padded, Z.data() + c * 8 * padded);
        });
        V.assign(Z.data(), Z.data() + kept * padded);
        kept = orthonormalize(kernels, V, padded);
    }
    coefficients();
    std::vector<double> energy(static_cast<std::size_t>(width), 0.0);
    for (int64_t k = 0; k < used; ++k)
        for (int64_t a = 0; a < kept; ++a)
            energy[a] += static_cast<double>(Y[k * width + a]) * static_cast<double>(Y[k * width + a]);
    double inside = 0;
    std::vector<float> out;
    for (int64_t a = 0; a < kept; ++a) {
        inside += energy[a];
        for (int64_t t = 0; t < d; ++t) out.push_back(static_cast<float>(V[a * padded + t]));
        if ((a + 2) % kStep == 0 && inside >= (1 - left) * static_cast<double>(used)) return out;
    }
    return {};
}

template void Projection::apply(const float* const*, const double*, int64_t, float*, double*) const;
template void Projection::apply(const double* const*, const double*, int64_t, float*, double*) const;
template std::vector<float> main_directions(const Context&, const Rows<DenseView<float>>&, int64_t, double);
template std::vector<float> main_directions(const Context&, const Rows<DenseView<double>>&, int64_t, double);

}  // namespace latom
