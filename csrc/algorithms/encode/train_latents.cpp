// train_latents.cpp: gradients of a latent's rows and their Adam step, one latent after the other: a gradient is never
// stored beyond the latent that it is for.
#include <algorithm>
#include <cmath>

#include "core/buffer.h"
#include "engines/gather/latent_lists.h"
#include "latom/train.h"

namespace latom {
namespace {

/// Entries of all parts by latent: what they weigh for either gradient, and the row of X.
template <class T>
struct Entries {
    LatentLists lists;
    AlignedVector<int32_t> row;
    AlignedVector<T> slope;
    // For the decoder, the parts one after the other: each has residuals of its own.
    std::vector<LatentLists> own;
    std::vector<AlignedVector<int32_t>> own_row;
    std::vector<AlignedVector<T>> own_value;

    Entries(const std::vector<CodeGradient<T>>& parts, int64_t m) : lists(m) {
        for (const auto& part : parts) lists.count(part.codes.indices, part.codes.indptr[part.codes.n]);
        const auto all = static_cast<std::size_t>(lists.finish());
        row.resize(all);
        slope.resize(all);
        for (const auto& part : parts) add(part, m);
    }

private:
    void add(const CodeGradient<T>& part, int64_t m) {
        const auto& codes = part.codes;
        const int64_t nnz = codes.indptr[codes.n];
        const T scale = static_cast<T>(part.scale);
        LatentLists& mine = own.emplace_back(m);
        mine.count(codes.indices, nnz);
        mine.finish();
        auto& rows = own_row.emplace_back(static_cast<std::size_t>(nnz));
        auto& values = own_value.emplace_back(static_cast<std::size_t>(nnz));
        for (int64_t i = 0; i < codes.n; ++i)
            for (int64_t p = codes.indptr[i]; p < codes.indptr[i + 1]; ++p) {
                const int64_t at = lists.place(codes.indices[p]), here = mine.place(codes.indices[p]);
                row[at] = rows[here] = static_cast<int32_t>(i);
                slope[at] = part.slope[p];
                values[here] = scale * codes.values[p];
            }
    }
};

/// The numbers of a step, in T.
template <class T>
struct Step {
    T beta1, beta2, rest1, rest2, size, root, epsilon;
    double decay1, decay2;

    explicit Step(const Adam& adam)
        : beta1(static_cast<T>(adam.beta1)),
          beta2(static_cast<T>(adam.beta2)),
          rest1(static_cast<T>(1 - adam.beta1)),
          rest2(static_cast<T>(1 - adam.beta2)),
          size(static_cast<T>(adam.rate / (1 - std::pow(adam.beta1, static_cast<double>(adam.step))))),
          root(static_cast<T>(1 / std::sqrt(1 - std::pow(adam.beta2, static_cast<double>(adam.step))))),
          epsilon(static_cast<T>(adam.epsilon)),
          decay1(adam.beta1),
          decay2(adam.beta2) {}

    /// gap: steps in which the parameter had no gradient and was left alone.
    void apply(const T* gradient, int64_t count, int64_t gap, T* value, T* first, T* second) const {
        T fade1 = beta1, fade2 = beta2;
        if (gap > 0) {
            fade1 = static_cast<T>(std::pow(decay1, static_cast<double>(gap + 1)));
            fade2 = static_cast<T>(std::pow(decay2, static_cast<double>(gap + 1)));
        }
        for (int64_t c = 0; c < count; ++c) {
            const T g = gradient[c];
            const T m = fade1 * first[c] + rest1 * g;
            const T v = fade2 * second[c] + rest2 * g * g;
            first[c] = m;
            second[c] = v;
            value[c] -= size * m / (std::sqrt(v) * root + epsilon);
        }
    }
};

template <class T>
class Stepper {
public:
    Stepper(const Context& ctx, const std::vector<CodeGradient<T>>& parts, const DenseView<T>& X,
            const Latents<T>& latents, const Adam& adam)
        : ctx_(ctx), parts_(parts), X_(X), latents_(latents), adam_(adam), step_(adam), entries_(parts, latents.m) {}

    void run(double* bias_gradient) {
        const int64_t m = latents_.m, d = latents_.d, chunks = chunk_count(m, kLatents);
        std::vector<Worker> workers_of(static_cast<std::size_t>(workers(ctx_, chunks)));
        // The bias before the encoder, chunk by chunk of latents.
        AlignedVector<double> partial(static_cast<std::size_t>(chunks * d));
        parallel_for(ctx_, chunks, [&](int64_t chunk, int worker) {
            Worker& w = workers_of[worker];
            for (auto* buffer : {&w.encoder, &w.decoder, &w.partial}) buffer->resize(static_cast<std::size_t>(d));
            double* own = partial.data() + chunk * d;
            std::fill_n(own, d, 0.0);
            for (int64_t j = chunk * kLatents; j < std::min(m, (chunk + 1) * kLatents); ++j) advance(j, w, own);
        });
        std::fill_n(bias_gradient, d, 0.0);
        for (int64_t chunk = 0; chunk < chunks; ++chunk)
            for (int64_t c = 0; c < d; ++c) bias_gradient[c] += partial[chunk * d + c];
    }

private:
    static constexpr int64_t kLatents = 64;
    struct Worker {
        AlignedVector<T> encoder, decoder, partial;
    };

    void advance(int64_t j, Worker& w, double* bias_gradient) {
        const int64_t d = latents_.d, count = entries_.lists.size(j);
        if (count == 0 && adam_.lazy) return;
        const int64_t gap = adam_.lazy ? adam_.step - 1 - latents_.last[j] : 0;
        T* const W_enc = latents_.encoder.value + j * d;
        const bool tied = latents_.decoder.value == nullptr;
        const T by_bias = encoder_gradient(j, w);
        if (count) ctx_.kernels->of<T>().add_scaled(W_enc, static_cast<double>(by_bias), d, bias_gradient);
        decoder_gradient(j, w, tied);
        if (latents_.bias.value) apply(latents_.bias, j, 1, &by_bias, gap);
        if (!tied) {
            apply(latents_.encoder, j, d, w.encoder.data(), gap);
            move_unit(latents_.decoder, j, w.decoder.data(), gap);
        } else {
            move_unit(latents_.encoder, j, w.encoder.data(), gap);
        }
        latents_.last[j] = adam_.step;
    }

    // Into w.encoder; returns the gradient of the latent's bias.
    T encoder_gradient(int64_t j, Worker& w) const {
        const int64_t p = entries_.lists.begin(j), count = entries_.lists.size(j);
        std::fill(w.encoder.begin(), w.encoder.end(), T{0});
        gather_run(ctx_.kernels, entries_.row.data() + p, entries_.slope.data() + p, count,
                   entries_.lists.entries() - p, X_, w.partial.data(), w.encoder.data());
        double sum = 0;
        for (int64_t q = p; q < p + count; ++q) sum += static_cast<double>(entries_.slope[q]);
        return static_cast<T>(sum);
    }

    // Into w.decoder, or added to w.encoder where weights are tied.
    void decoder_gradient(int64_t j, Worker& w, bool tied) const {
        auto& out = tied ? w.encoder : w.decoder;
        if (!tied) std::fill(out.begin(), out.end(), T{0});
        for (std::size_t s = 0; s < parts_.size(); ++s) {
            const LatentLists& lists = entries_.own[s];
            const int64_t p = lists.begin(j);
            const DenseView<T> residual{parts_[s].residual, parts_[s].codes.n, latents_.d, latents_.d};
            gather_run(ctx_.kernels, entries_.own_row[s].data() + p, entries_.own_value[s].data() + p, lists.size(j),
                       lists.entries() - p, residual, w.partial.data(), out.data());
        }
    }

    void apply(const Parameter<T>& of, int64_t j, int64_t count, const T* gradient, int64_t gap) const {
        step_.apply(gradient, count, gap, of.value + j * count, of.first + j * count, of.second + j * count);
    }

    // A row that decodes.
    void move_unit(const Parameter<T>& of, int64_t j, T* gradient, int64_t gap) const {
        const int64_t d = latents_.d;
        T* const row = of.value + j * d;
        const auto dot = ctx_.kernels->of<T>().dense_dot;
        if (adam_.unit_norm) {
            const T along = static_cast<T>(dot(gradient, row, d));
            for (int64_t c = 0; c < d; ++c) gradient[c] -= along * row[c];
        }
        apply(of, j, d, gradient, gap);
        if (!adam_.unit_norm) return;
        const double square = dot(row, row, d);
        if (!(square > 0)) return;
        const T scale = static_cast<T>(1 / std::sqrt(square));
        for (int64_t c = 0; c < d; ++c) row[c] *= scale;
    }

    const Context& ctx_;
    const std::vector<CodeGradient<T>>& parts_;
    const DenseView<T>& X_;
    const Latents<T>& latents_;
    const Adam& adam_;
    const Step<T> step_;
    const Entries<T> entries_;
};

}  // namespace

template <class T>
void train_latents(const Context& ctx, const std::vector<CodeGradient<T>>& parts, const DenseView<T>& X,
                   const Latents<T>& latents, const Adam& adam, double* bias_gradient) {
    Stepper<T>(ctx, parts, X, latents, adam).run(bias_gradient);
}

template void train_latents(const Context&, const std::vector<CodeGradient<float>>&, const DenseView<float>&,
                            const Latents<float>&, const Adam&, double*);
template void train_latents(const Context&, const std::vector<CodeGradient<double>>&, const DenseView<double>&,
                            const Latents<double>&, const Adam&, double*);

}  // namespace latom
