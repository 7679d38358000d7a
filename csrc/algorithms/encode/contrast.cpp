// contrast.cpp: how alike the codes of a batch are. A row's cosines come from the lists of its latents, twice: for the
// sum of exponentials, then for the slopes; so no [n, n] array is stored.
#include <algorithm>
#include <cmath>

#include "engines/gather/latent_lists.h"
#include "latom/train.h"

namespace latom {
namespace {

/// Codes of length 1, by row and by latent.
template <class T>
class UnitCodes {
public:
    UnitCodes(const Codes<T, int32_t>& codes, int64_t m)
        : codes_(codes),
          lists_(m),
          unit_(nnz()),
          length_(static_cast<std::size_t>(codes.n)),
          row_(nnz()),
          value_(nnz()) {
        lists_.count(codes.indices, codes.indptr[codes.n]);
        lists_.finish();
        for (int64_t i = 0; i < codes.n; ++i) {
            double square = 0;
            for (int64_t p = codes.indptr[i]; p < codes.indptr[i + 1]; ++p)
                square += static_cast<double>(codes.values[p]) * static_cast<double>(codes.values[p]);
            length_[i] = std::sqrt(square);
            for (int64_t p = codes.indptr[i]; p < codes.indptr[i + 1]; ++p) {
                unit_[p] = length_[i] > 0 ? static_cast<double>(codes.values[p]) / length_[i] : 0.0;
                const int64_t at = lists_.place(codes.indices[p]);
                row_[at] = static_cast<int32_t>(i);
                value_[at] = unit_[p];
            }
        }
    }

    double length(int64_t i) const { return length_[i]; }
    double unit(int64_t p) const { return unit_[p]; }
    /// The cosines of row i with all; cosine [n].
    void cosines(int64_t i, std::vector<double>& cosine) const {
        std::fill(cosine.begin(), cosine.end(), 0.0);
        for (int64_t p = codes_.indptr[i]; p < codes_.indptr[i + 1]; ++p)
            for (int64_t q = lists_.begin(codes_.indices[p]), end = q + lists_.size(codes_.indices[p]); q < end; ++q)
                cosine[row_[q]] += unit_[p] * value_[q];
    }
    /// The sum over rows j of weight[j] times their unit code at entry p.
    double weighed(int64_t p, const std::vector<double>& weight) const {
        double sum = 0;
        for (int64_t q = lists_.begin(codes_.indices[p]), end = q + lists_.size(codes_.indices[p]); q < end; ++q)
            sum += weight[row_[q]] * value_[q];
        return sum;
    }

private:
    std::size_t nnz() const { return static_cast<std::size_t>(codes_.indptr[codes_.n]); }

    const Codes<T, int32_t>& codes_;
    LatentLists lists_;
    std::vector<double> unit_, length_;
    std::vector<int32_t> row_;
    std::vector<double> value_;
};

}  // namespace

template <class T>
double contrast(const Context& ctx, const Codes<T, int32_t>& codes, const int32_t* label, int64_t m, double temperature,
                double weight, T* slope) {
    constexpr int64_t kRows = 8;
    const int64_t n = codes.n, chunks = chunk_count(n, kRows);
    const UnitCodes<T> units(codes, m);
    std::vector<std::vector<double>> scratch(static_cast<std::size_t>(workers(ctx, chunks)),
                                             std::vector<double>(static_cast<std::size_t>(n)));
    const auto alike = [label](int64_t i, int64_t j) { return label && label[i] == label[j]; };
    std::vector<double> sums(static_cast<std::size_t>(n), 0.0);  // of exp((cos - 1) / t), at least 1
    std::vector<double> own(sums.size(), 1.0);                   // the same over rows that are alike
    parallel_for(ctx, chunks, [&](int64_t chunk, int worker) {
        std::vector<double>& cosine = scratch[worker];
        for (int64_t i = chunk * kRows; i < std::min(n, (chunk + 1) * kRows); ++i) {
            if (units.length(i) == 0) continue;
            units.cosines(i, cosine);
            cosine[i] = 1;
            for (int64_t j = 0; j < n; ++j) {
                if (units.length(j) == 0) continue;
                const double e = std::exp((cosine[j] - 1) / temperature);
                sums[i] += e;
                if (j != i && alike(i, j)) own[i] += e;
            }
        }
    });
    const double each = weight / (static_cast<double>(n) * temperature);
    parallel_for(ctx, chunks, [&](int64_t chunk, int worker) {
        std::vector<double>& share = scratch[worker];
        std::vector<double> by;
        for (int64_t i = chunk * kRows; i < std::min(n, (chunk + 1) * kRows); ++i) {
            if (units.length(i) == 0) continue;
            units.cosines(i, share);
            for (int64_t j = 0; j < n; ++j) {
                if (j == i || units.length(j) == 0) {
                    share[j] = 0;  // a cosine with itself is constant
                    continue;
                }
                const double pull = alike(i, j) ? 1 / own[i] + 1 / own[j] : 0.0;
                share[j] = std::exp((share[j] - 1) / temperature) * (1 / sums[i] + 1 / sums[j] - pull);
            }
            const int64_t first = codes.indptr[i], last = codes.indptr[i + 1];
            by.resize(static_cast<std::size_t>(last - first));
            double along = 0;
            for (int64_t p = first; p < last; ++p) {
                by[p - first] = units.weighed(p, share);
                along += by[p - first] * units.unit(p);
            }
            for (int64_t p = first; p < last; ++p)
                if (codes.values[p] != T{0})
                    slope[p] += static_cast<T>(each * (by[p - first] - along * units.unit(p)) / units.length(i));
        }
    });
    double loss = 0;
    for (int64_t i = 0; i < n; ++i)
        if (sums[i] > 0) loss += std::log(sums[i] / own[i]);
    return loss / static_cast<double>(n);
}

template double contrast(const Context&, const Codes<float, int32_t>&, const int32_t*, int64_t, double, double, float*);
template double contrast(const Context&, const Codes<double, int32_t>&, const int32_t*, int64_t, double, double,
                         double*);

}  // namespace latom
