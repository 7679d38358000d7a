// train_latents.cpp: gradients of a latent's rows and their Adam step, one latent after the other.
//
// A latent's gradient is a weighted sum of rows of X, or of residuals, which lie anywhere in the batch. Where the batch
// is larger than the cache, each such row would come from memory for each of its k latents. There a group of latents is
// looked at together, a slice of columns after the other: a slice of all rows stays in the cache while the group
// gathers from it, and the gradients of a group alone are held.
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
        const int64_t m = latents_.m, d = latents_.d, blocks = chunk_count(m, kBlock);
        const int64_t width = batch_columns<T>(X_.n, d), group = group_size(width);
        const int64_t chunks = chunk_count(m, std::max(kBlock, group));
        std::vector<Worker> workers_of(static_cast<std::size_t>(workers(ctx_, chunks)));
        // The bias before the encoder, block by block of latents.
        AlignedVector<double> partial(static_cast<std::size_t>(blocks * d));
        parallel_for(ctx_, chunks, [&](int64_t chunk, int worker) {
            Worker& w = workers_of[worker];
            w.encoder.resize(static_cast<std::size_t>(group * d));
            w.decoder.resize(static_cast<std::size_t>(tied() ? 0 : group * d));
            w.partial.resize(static_cast<std::size_t>(width));
            const int64_t begin = chunk * std::max(kBlock, group), end = std::min(m, begin + std::max(kBlock, group));
            std::fill_n(partial.data() + begin / kBlock * d, chunk_count(end - begin, kBlock) * d, 0.0);
            for (int64_t first = begin; first < end; first += group) {
                const int64_t last = std::min(end, first + group);
                find_gradients(first, last, width, w);
                for (int64_t j = first; j < last; ++j)
                    advance(j, w.encoder.data() + (j - first) * d, w.decoder.data() + (tied() ? 0 : (j - first) * d),
                            partial.data() + j / kBlock * d);
            }
        });
        std::fill_n(bias_gradient, d, 0.0);
        for (int64_t block = 0; block < blocks; ++block)
            for (int64_t c = 0; c < d; ++c) bias_gradient[c] += partial[block * d + c];
    }

private:
    static constexpr int64_t kBlock = 64;            // latents, of one sum for the bias
    static constexpr int64_t kGroupBytes = 4 << 20;  // of a group's gradients
    struct Worker {
        AlignedVector<T> encoder, decoder;  // gradients [group, d]; the second where weights are not tied
        AlignedVector<T> partial;           // [width]
    };

    bool tied() const { return latents_.decoder.value == nullptr; }
    // One by one where rows are not cut; else as many as share what is read, and leave work for all threads.
    int64_t group_size(int64_t width) const {
        const int64_t m = latents_.m, d = latents_.d;
        if (width == d) return 1;
        const int64_t fit = kGroupBytes / (d * static_cast<int64_t>(sizeof(T)));
        const int64_t most = std::min(fit, m / (4 * workers(ctx_, chunk_count(m, kBlock))));
        return std::max(kBlock, most / kBlock * kBlock);
    }

    // Gradients of latents [first, last) of the weights that encode and decode, which are sums where these are tied.
    void find_gradients(int64_t first, int64_t last, int64_t width, Worker& w) const {
        const int64_t d = latents_.d;
        std::fill_n(w.encoder.data(), (last - first) * d, T{0});
        if (!tied()) std::fill_n(w.decoder.data(), (last - first) * d, T{0});
        add_slices(first, last, width, X_, entries_.lists, entries_.row, entries_.slope, w, w.encoder.data());
        for (std::size_t s = 0; s < parts_.size(); ++s) {
            const DenseView<T> residual{parts_[s].residual, parts_[s].codes.n, d, d};
            add_slices(first, last, width, residual, entries_.own[s], entries_.own_row[s], entries_.own_value[s], w,
                       tied() ? w.encoder.data() : w.decoder.data());
        }
    }
    // out [last - first, d] += the weighted rows of each latent.
    void add_slices(int64_t first, int64_t last, int64_t width, const DenseView<T>& rows, const LatentLists& lists,
                    const AlignedVector<int32_t>& row, const AlignedVector<T>& weight, Worker& w, T* out) const {
        for (int64_t column = 0; column < rows.d; column += width) {
            const DenseView<T> slice{rows.data + column, rows.n, std::min(width, rows.d - column), rows.stride};
            const int64_t ahead = width < rows.d ? lists.begin(last) : lists.entries();  // gathered next
            for (int64_t j = first; j < last; ++j) {
                const int64_t p = lists.begin(j);
                gather_run(ctx_.kernels, row.data() + p, weight.data() + p, lists.size(j), ahead - p, slice,
                           w.partial.data(), out + (j - first) * rows.d + column);
            }
        }
    }

    void advance(int64_t j, T* encoder, T* decoder, double* bias_gradient) {
        const int64_t d = latents_.d, p = entries_.lists.begin(j), count = entries_.lists.size(j);
        if (count == 0 && adam_.lazy) return;
        const int64_t gap = adam_.lazy ? adam_.step - 1 - latents_.last[j] : 0;
        double sum = 0;
        for (int64_t q = p; q < p + count; ++q) sum += static_cast<double>(entries_.slope[q]);
        const T by_bias = static_cast<T>(sum);
        if (count)
            ctx_.kernels->of<T>().add_scaled(latents_.encoder.value + j * d, static_cast<double>(by_bias), d,
                                             bias_gradient);
        if (latents_.bias.value) apply(latents_.bias, j, 1, &by_bias, gap);
        if (tied()) {
            move_unit(latents_.encoder, j, encoder, gap);
        } else {
            apply(latents_.encoder, j, d, encoder, gap);
            move_unit(latents_.decoder, j, decoder, gap);
        }
        latents_.last[j] = adam_.step;
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
