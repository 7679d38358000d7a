// projected_powers.cpp: a random matrix by its entries, or in the buffer of the second power, and products on top of
// it.
#include <algorithm>
#include <cmath>

#include "core/buffer.h"
#include "core/philox.h"
#include "latom/spectral.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kRows = 64;    // of a block
constexpr double kSparse = 0.1;  // share of R's numbers that are not 0, at most, where it is kept by entries

/// f(place, number) for the entries of rows [first, last) of R, a block of kRows, that are not 0: places rise, and
/// count from the block's first row. A sparse block is drawn by the gaps between its entries.
template <class F>
void each_entry(const Philox& draws, const RandomProjection& R, int64_t first, int64_t last, F f) {
    const int64_t width = R.width, numbers = (last - first) * width;
    const auto scale = [&](int64_t i) { return R.factor ? R.factor[i] : 1.0; };
    if (R.density <= 0) {
        const double deviation = 1 / std::sqrt(static_cast<double>(width));
        for (int64_t i = first; i < last; ++i)
            for (int64_t t = 0; t < width; t += 2) {
                const auto pair = draws.normals(static_cast<std::uint64_t>(i * width + t));
                const int64_t at = (i - first) * width + t;
                f(at, scale(i) * deviation * pair[0]);
                if (t + 1 < width) f(at + 1, scale(i) * deviation * pair[1]);
            }
        return;
    }
    const double value = 1 / std::sqrt(R.density * static_cast<double>(width));
    const double rate = R.density < 1 ? std::log1p(-R.density) : -HUGE_VAL;
    std::uint64_t counter = static_cast<std::uint64_t>(first) * static_cast<std::uint64_t>(width);  // more than entries
    for (int64_t at = 0;; ++at, ++counter) {
        const auto [gap, sign] = draws.uniforms(counter);
        const double skipped = std::floor(std::log(1 - gap) / rate);
        if (!(skipped < static_cast<double>(numbers - at))) return;
        at += static_cast<int64_t>(skipped);
        f(at, (sign < 0.5 ? -value : value) * scale(first + at / width));
    }
}

/// R as it is where few of its numbers are not 0: a row's entries stand together.
template <class T>
class SparseProjection {
public:
    SparseProjection(const Context& ctx, const Philox& draws, const RandomProjection& R, int64_t n)
        : starts_(static_cast<std::size_t>(n) + 1, 0), blocks_(static_cast<std::size_t>(chunk_count(n, kRows))) {
        parallel_for(ctx, static_cast<int64_t>(blocks_.size()), [&](int64_t block, int) {
            const int64_t first = block * kRows, last = std::min(n, first + kRows);
            std::vector<Entry>& own = blocks_[block];
            each_entry(draws, R, first, last, [&](int64_t at, double number) {
                own.push_back({static_cast<int32_t>(at % R.width), static_cast<T>(number)});
                ++starts_[first + at / R.width + 1];
            });
            for (int64_t i = first + 1; i < last; ++i) starts_[i + 1] += starts_[i];
        });
    }
    /// out [width] += value times row i.
    void add(int64_t i, T value, T* out) const {
        const std::vector<Entry>& own = blocks_[i / kRows];
        for (int32_t q = i % kRows ? starts_[i] : 0, end = starts_[i + 1]; q < end; ++q)
            out[own[q].column] += value * own[q].number;
    }

private:
    struct Entry {
        int32_t column;
        T number;
    };
    std::vector<int32_t> starts_;  // within a block: where row i + 1 starts
    std::vector<std::vector<Entry>> blocks_;
};

/// The powers of one call. U_q and where it is added are written block by block, each by one thread.
template <class T, class I>
class Powers {
public:
    Powers(const Context& ctx, const CsrView<T, I>& A, const RandomProjection& R, const PowerOptions& options, T* out)
        : ctx_(ctx),
          A_(A),
          options_(options),
          n_(A.n),
          width_(R.width),
          blocks_(chunk_count(n_, kRows)),
          stride_(width_ * (options.concatenate ? static_cast<int64_t>(options.weights.size()) : 1)),
          out_(out),
          next_(static_cast<std::size_t>(n_ * width_)),
          factor_(static_cast<std::size_t>(n_), T{1}) {
        each_block([&](int64_t first, int64_t last) {
            std::fill_n(out + first * stride_, (last - first) * stride_, T{0});
            for (int64_t i = first; options.transition && i < last; ++i) {
                double sum = 0;
                for (int64_t q = 0; q < A.size(i); ++q) sum += static_cast<double>(A.data[A.begin(i) + q]);
                factor_[i] = sum > 0 ? static_cast<T>(1 / sum) : T{0};
            }
        });
    }

    /// U_0 = R, in full.
    void begin(const Philox& draws, const RandomProjection& R) {
        each_block([&](int64_t first, int64_t last) {
            T* rows = next_.data() + first * width_;
            std::fill_n(rows, (last - first) * width_, T{0});
            each_entry(draws, R, first, last, [&](int64_t at, double number) { rows[at] = static_cast<T>(number); });
            if (options_.from_start) add(0, first, last);
        });
    }
    /// U_1 = M R.
    void first(const SparseProjection<T>& R) {
        each_block([&](int64_t first, int64_t last) {
            for (int64_t i = first; i < last; ++i) {
                T* row = next_.data() + i * width_;
                std::fill_n(row, width_, T{0});
                for (int64_t q = A_.begin(i), end = q + A_.size(i); q < end; ++q) R.add(A_.indices[q], A_.data[q], row);
                for (int64_t t = 0; t < width_; ++t) row[t] *= factor_[i];
            }
            add(0, first, last);
        });
    }
    /// U = M U, which is power p of those asked for.
    void step(int64_t p) {
        now_.resize(next_.size());
        std::swap(now_, next_);
        const auto gather = ctx_.kernels->of<T, I>().gather_add;
        each_block([&](int64_t first, int64_t last) {
            for (int64_t i = first; i < last; ++i) {
                const int64_t begin = A_.begin(i);
                T* row = next_.data() + i * width_;
                std::fill_n(row, width_, T{0});
                gather(A_.indices + begin, A_.data + begin, A_.size(i), A_.indptr[last] - begin, now_.data(), width_,
                       width_, row);
                for (int64_t t = 0; t < width_; ++t) row[t] *= factor_[i];
            }
            add(p, first, last);
        });
    }

private:
    /// f(first row, last row) for all blocks.
    template <class F>
    void each_block(F f) const {
        parallel_for(ctx_, blocks_, [&](int64_t b, int) { f(b * kRows, std::min(n_, (b + 1) * kRows)); });
    }
    /// Rows of U times the weight of power p, or these with length 1, to where that power goes.
    void add(int64_t p, int64_t first, int64_t last) const {
        const double weight = options_.weights[p];
        if (weight == 0) return;
        for (int64_t i = first; i < last; ++i) {
            const T* row = next_.data() + i * width_;
            double factor = weight;
            if (options_.normalize) {
                const double norm2 = ctx_.kernels->of<T>().dense_dot(row, row, width_);
                factor = norm2 > 0 ? weight / std::sqrt(norm2) : 0;
            }
            const T by = static_cast<T>(factor);
            T* to = out_ + i * stride_ + (options_.concatenate ? p * width_ : 0);
            for (int64_t t = 0; t < width_; ++t) to[t] += by * row[t];
        }
    }

    const Context& ctx_;
    const CsrView<T, I>& A_;
    const PowerOptions& options_;
    int64_t n_, width_, blocks_, stride_;
    T* out_;
    AlignedVector<T> now_, next_;
    std::vector<T> factor_;  // of a row of M
};

}  // namespace

template <class T, class I>
void projected_powers(const Context& ctx, const Rows<CsrView<T, I>>& A, const RandomProjection& R,
                      const PowerOptions& options, T* out) {
    const int64_t powers = static_cast<int64_t>(options.weights.size());
    const Philox draws(ctx.seed, Purpose::kProjection);
    Powers<T, I> all(ctx, A.view(), R, options, out);
    const bool sparse = R.density > 0 && R.density <= kSparse && !options.from_start;
    if (sparse) all.first(SparseProjection<T>(ctx, draws, R, A.n()));
    else all.begin(draws, R);
    for (int64_t p = sparse || options.from_start ? 1 : 0; p < powers; ++p) all.step(p);
}

#define LATOM_INSTANTIATE(T, I)                                                                         \
    template void projected_powers(const Context&, const Rows<CsrView<T, I>>&, const RandomProjection&, \
                                   const PowerOptions&, T*);
LATOM_INSTANTIATE(float, int32_t)
LATOM_INSTANTIATE(float, int64_t)
LATOM_INSTANTIATE(double, int32_t)
LATOM_INSTANTIATE(double, int64_t)
#undef LATOM_INSTANTIATE

}  // namespace latom
