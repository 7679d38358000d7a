// replicates.cpp: factorizations of one X and its perturbed copies, for consensus: one pattern, many values.
//
// A thread holds some replicates with the same numbers, by rows and by columns, and their factors side by side, which
// its own cache keeps.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "algorithms/factorize/small_problem.h"
#include "core/philox.h"
#include "engines/gather/gather_rows.h"
#include "latom/spectral.h"
#include "rows/every_view.h"

namespace latom {
namespace {

/// Where the entries of CSR stand by rows and by columns: indices of 32 bits, since columns and rows are few.
struct SharedPattern {
    std::vector<int64_t> indptr, turned_indptr, place;  // place [nnz]: of each entry by columns, its place by rows
    std::vector<int32_t> indices, turned_indices;

    template <class T, class I>
    explicit SharedPattern(const CsrView<T, I>& X)
        : indptr(X.indptr, X.indptr + X.n + 1),
          turned_indptr(static_cast<std::size_t>(X.d + 1)),
          place(static_cast<std::size_t>(X.nnz())),
          indices(X.indices, X.indices + X.nnz()),
          turned_indices(place.size()) {
        for (const int32_t j : indices) ++turned_indptr[j + 1];
        for (int64_t j = 0; j < X.d; ++j) turned_indptr[j + 1] += turned_indptr[j];
        std::vector<int64_t> next(turned_indptr.begin(), turned_indptr.end() - 1);
        for (int64_t i = 0; i < X.n; ++i)
            for (int64_t p = indptr[i]; p < indptr[i + 1]; ++p) {
                const int64_t to = next[indices[p]]++;
                place[to] = p;
                turned_indices[to] = static_cast<int32_t>(i);
            }
    }
};

template <class T>
class SparseProducts {
public:
    SparseProducts(const Context& ctx, const SharedPattern& pattern, std::vector<T>&& values)
        : ctx_(ctx), pattern_(pattern), values_(std::move(values)), turned_(values_.size()) {
        for (std::size_t q = 0; q < turned_.size(); ++q) turned_[q] = values_[pattern.place[q]];
    }
    double norm2() const {
        return ctx_.kernels->of<T>().dense_dot(values_.data(), values_.data(), static_cast<int64_t>(values_.size()));
    }
    void multiply(bool by_columns, const T* V, int64_t width, T* P) const {
        poll();
        const std::vector<int64_t>& indptr = by_columns ? pattern_.turned_indptr : pattern_.indptr;
        const std::vector<int64_t>& other = by_columns ? pattern_.indptr : pattern_.turned_indptr;
        const int64_t rows = static_cast<int64_t>(indptr.size()) - 1, columns = static_cast<int64_t>(other.size()) - 1;
        const Codes<T, int32_t> codes{indptr.data(), (by_columns ? pattern_.turned_indices : pattern_.indices).data(),
                                      (by_columns ? turned_ : values_).data(), rows};
        gather_rows(ctx_, codes, DenseView<T>{V, columns, width, width}, static_cast<const T*>(nullptr), P);
    }

private:
    const Context& ctx_;
    const SharedPattern& pattern_;
    std::vector<T> values_, turned_;
};

/// The numbers of X times uniform ones of [1 - noise, 1 + noise].
template <class T>
std::vector<T> perturbed(const Context& ctx, const T* X, int64_t count, double noise, int64_t stream) {
    std::vector<T> out(X, X + count);
    if (noise == 0) return out;
    const Philox draws(ctx.seed ^ (static_cast<std::uint64_t>(stream) * 0x9E3779B97F4A7C15), Purpose::kPerturbation);
    for (int64_t p = 0; p < count; p += 2) {
        const auto pair = draws.uniforms(static_cast<std::uint64_t>(p));
        for (int64_t q = p; q < std::min(count, p + 2); ++q)
            out[q] = static_cast<T>(static_cast<double>(X[q]) * (1 + noise * (2 * pair[q - p] - 1)));
    }
    return out;
}

/// |normal| numbers times scale: W [n, k], then F [d, k].
template <class T>
std::vector<T> random_start(const Context& ctx, int64_t count, double scale, int64_t stream, int64_t start) {
    const std::uint64_t first = static_cast<std::uint64_t>(start) << 40;
    std::vector<T> out(static_cast<std::size_t>(count));
    const Philox draws(ctx.seed ^ (static_cast<std::uint64_t>(stream) * 0x9E3779B97F4A7C15), Purpose::kFactorStart);
    for (int64_t p = 0; p < count; p += 2) {
        const auto pair = draws.normals(first + static_cast<std::uint64_t>(p));
        for (int64_t q = p; q < std::min(count, p + 2); ++q) out[q] = static_cast<T>(scale * std::abs(pair[q - p]));
    }
    return out;
}

/// W [n, k] of zeros, then F [d, k] of H [k, d].
template <class T>
std::vector<T> given_start(const T* H, int64_t n, int64_t d, int64_t k) {
    std::vector<T> out(static_cast<std::size_t>((n + d) * k));
    for (int64_t t = 0; t < k; ++t)
        for (int64_t j = 0; j < d; ++j) out[(n + j) * k + t] = H[t * d + j];
    return out;
}

/// The replicates `group`, which have the same numbers of X.
template <class T, class Products>
void factorize(const Context& ctx, const Products& X, int64_t n, int64_t d, const Replicates& all,
               const std::vector<int64_t>& group, const SweepOptions& sweeps, std::vector<ReplicateResult<T>>& out) {
    std::vector<std::vector<T>> starts;
    std::vector<Factors<T>> factors;
    std::vector<Factors<T>*> own;
    for (const int64_t r : group) {
        const int64_t k = all.k[r];
        starts.push_back(all.given ? given_start(out[r].H, n, d, k)
                                   : random_start<T>(ctx, (n + d) * k, std::sqrt(all.mean / static_cast<double>(k)),
                                                     all.stream[r], all.start[r]));
        factors.push_back({k, starts.back().data(), starts.back().data() + n * k});
    }
    for (Factors<T>& one : factors) own.push_back(&one);
    Together<T, Products>(ctx, X, n, d, own).run(sweeps, all.tol, all.max_iter);
    for (std::size_t g = 0; g < group.size(); ++g) {
        const auto& [k, W, F, loss, n_iter] = factors[g];
        ReplicateResult<T>& result = out[group[g]];
        result.loss = loss;
        result.n_iter = n_iter;
        for (int64_t j = 0; j < d; ++j)
            for (int64_t t = 0; t < k; ++t) result.H[t * d + j] = F[j * k + t];
    }
}

/// Groups of replicates with the same numbers of X, the widest first: no thread is left alone with a long one.
std::vector<std::vector<int64_t>> replicate_groups(const Context& ctx, const Replicates& all) {
    std::map<int64_t, std::vector<int64_t>> by_stream;
    for (std::size_t r = 0; r < all.k.size(); ++r)
        by_stream[all.noise == 0 ? 0 : all.stream[r]].push_back(static_cast<int64_t>(r));
    const int64_t at_least =
        chunk_count(workers(ctx, static_cast<int64_t>(all.k.size())), static_cast<int64_t>(by_stream.size()));
    std::vector<std::vector<int64_t>> groups;
    for (const auto& [stream, members] : by_stream) {
        std::vector<int64_t> k;
        for (const int64_t r : members) k.push_back(all.k[r]);
        for (auto& group : groups_of(k, at_least)) {
            for (int64_t& place : group) place = members[place];
            groups.push_back(std::move(group));
        }
    }
    const auto width = [&](const std::vector<int64_t>& group) {
        return std::accumulate(group.begin(), group.end(), int64_t{0},
                               [&](int64_t sum, int64_t r) { return sum + all.k[r]; });
    };
    std::stable_sort(groups.begin(), groups.end(), [&](const auto& a, const auto& b) { return width(a) > width(b); });
    return groups;
}

}  // namespace

template <class View>
void factorize_replicates(const Context& ctx, const Rows<View>& X, const Replicates& all, const SweepOptions& sweeps,
                          std::vector<ReplicateResult<typename View::value_type>>& out) {
    using T = typename View::value_type;
    const View& view = X.view();
    const int64_t n = X.n(), d = X.d();
    const auto groups = replicate_groups(ctx, all);
    const auto each = [&](auto run) {
        parallel_for(ctx, static_cast<int64_t>(groups.size()),
                     [&](int64_t c, int) { run(groups[c], all.stream[groups[c][0]]); });
    };
    if constexpr (kIsSparse<View>) {
        const SharedPattern pattern(view);
        each([&](const std::vector<int64_t>& group, int64_t stream) {
            const SparseProducts<T> products(ctx, pattern, perturbed(ctx, view.data, view.nnz(), all.noise, stream));
            factorize(ctx, products, n, d, all, group, sweeps, out);
        });
    } else {
        each([&](const std::vector<int64_t>& group, int64_t stream) {
            const std::vector<T> values = perturbed(ctx, view.data, n * d, all.noise, stream);
            const DenseProducts<T> products(ctx, values.data(), n, d);
            factorize(ctx, products, n, d, all, group, sweeps, out);
        });
    }
}

#define LATOM_INSTANTIATE(View)                                                                                   \
    template void factorize_replicates(const Context&, const Rows<View>&, const Replicates&, const SweepOptions&, \
                                       std::vector<ReplicateResult<typename View::value_type>>&);
LATOM_EVERY_VIEW(LATOM_INSTANTIATE)
#undef LATOM_INSTANTIATE

}  // namespace latom
