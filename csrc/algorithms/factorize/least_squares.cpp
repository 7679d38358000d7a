// least_squares.cpp: half-steps over rows: short rows in tiles, long ones one by one, cut among threads.
#include "latom/least_squares.h"

#include "engines/small_solve/row_systems.h"
#include "rows/rows.h"

namespace latom {
namespace {

constexpr int64_t kRows = 32;       // of a chunk
constexpr int64_t kLong = 1 << 15;  // entries, from which on a row is the work of all threads

/// The weights of the rows of a tile, one after another.
template <class T>
struct Weights {
    AlignedVector<T> a, b;
};

/// a, b [count] of stored numbers; returns whether all of a are 0.
template <class T, class I>
bool apply_rule(const LeastSquares<T>& problem, const T* value, const I* index, int64_t count, T* a, T* b) {
    bool unweighted = true;
    for (int64_t p = 0; p < count; ++p) {
        if (problem.rule == EntryRule::kObserved) {
            a[p] = T{1};
            b[p] = problem.offsets ? value[p] - problem.offsets[index[p]] : value[p];
        } else {
            const T c = static_cast<T>(problem.alpha) * value[p];
            a[p] = problem.rule == EntryRule::kImplicit ? std::abs(c) - T{1} : std::abs(c);
            b[p] = c > 0 ? c : T{0};
        }
        unweighted &= a[p] == 0;
    }
    return unweighted;
}

/// What x = 0 leaves of a row: its weights times squared targets.
template <class T>
double at_zero(EntryRule rule, const T* b, int64_t count) {
    double sum = 0;
    for (int64_t p = 0; p < count; ++p) {
        const double target = static_cast<double>(b[p]);
        sum += rule == EntryRule::kObserved ? target * target : target;
    }
    return sum;
}

template <class T, class I>
void check_whole_rows(const Context& ctx, const Rows<CsrView<T, I>>& X) {
    if (!X.whole()) fail(ctx, "X must be whole", "a subset of rows", "Prepare the rows as a matrix of their own.");
}

}  // namespace

template <class T, class I>
LeastSquaresResult solve_least_squares(const Context& ctx, const Rows<CsrView<T, I>>& X, const LeastSquares<T>& problem,
                                       T* out) {
    check_whole_rows(ctx, X);
    const CsrView<T, I>& view = X.view();
    const int64_t n = view.n, k = problem.V.d, chunks = chunk_count(n, kRows);
    const SharedSystem<T> shared(ctx, problem, n);
    struct Worker {
        RowSystemSolver<T> solver;
        Weights<T> weights;
    };
    std::vector<std::unique_ptr<Worker>> own(static_cast<std::size_t>(workers(ctx, chunks)));
    std::vector<LeastSquaresResult> parts(static_cast<std::size_t>(chunks));

    const auto tile = [&](Worker& worker, int64_t first, int64_t last, bool only_long, LeastSquaresResult& result) {
        TileRow<T, I> rows[kTileRows];
        auto& [a, b] = worker.weights;
        const auto entries = static_cast<std::size_t>(view.indptr[last] - view.indptr[first]);
        a.resize(std::max(a.size(), entries));
        b.resize(std::max(b.size(), entries));
        int64_t count = 0;
        for (int64_t i = first; i < last; ++i) {
            const int64_t size = view.size(i), begin = view.begin(i), at = begin - view.indptr[first];
            if ((size >= kLong) != only_long) continue;
            T *ai = a.data() + at, *bi = b.data() + at;
            const bool unweighted = apply_rule(problem, view.data + begin, view.indices + begin, size, ai, bi);
            result.value += at_zero(problem.rule, bi, size);
            rows[count++] = {{view.indices + begin, ai, bi, size}, problem.ridge[i], out + i * k, i, unweighted};
        }
        worker.solver.solve(rows, count, result);
    };
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        if (!own[worker]) own[worker].reset(new Worker{RowSystemSolver<T>(shared), {}});
        for (int64_t i = c * kRows, end = std::min(n, i + kRows); i < end; i += kTileRows)
            tile(*own[worker], i, std::min(end, i + kTileRows), false, parts[c]);
    });
    LeastSquaresResult total;
    for (const LeastSquaresResult& part : parts) {
        total.value += part.value;
        total.failed += part.failed;
    }
    for (int64_t i = 0; i < n; ++i) {
        if (view.size(i) < kLong) continue;
        if (!own[0]) own[0].reset(new Worker{RowSystemSolver<T>(shared), {}});
        tile(*own[0], i, i + 1, true, total);
    }
    return total;
}

template <class T, class I>
void predict_stored(const Context& ctx, const Rows<CsrView<T, I>>& X, const DenseView<T>& V, const T* U, T* e) {
    check_whole_rows(ctx, X);
    const CsrView<T, I>& view = X.view();
    const GatheredRows<T> rows(ctx, V);
    const int64_t k = V.d, width = rows.width(), chunks = chunk_count(view.n, kRows);
    const auto dots = ctx.kernels->of<T, I>().dots_at;
    parallel_for(ctx, chunks, [&](int64_t c, int) {
        AlignedVector<T> x(static_cast<std::size_t>(width), T{0});
        const int64_t end = view.indptr[std::min(view.n, (c + 1) * kRows)];
        for (int64_t i = c * kRows; i < std::min(view.n, (c + 1) * kRows); ++i) {
            std::copy_n(U + i * k, k, x.data());
            const int64_t begin = view.begin(i);
            dots(view.indices + begin, view.size(i), end - begin, x.data(), rows.row(0), width, e + begin);
        }
    });
}

template <class T>
void predict_pairs(const Context& ctx, const DenseView<T>& U, const DenseView<T>& V, const int64_t* rows,
                   const int64_t* columns, int64_t count, T* out) {
    constexpr int64_t kPairs = 1024;
    parallel_for(ctx, chunk_count(count, kPairs), [&](int64_t c, int) {
        for (int64_t p = c * kPairs; p < std::min(count, (c + 1) * kPairs); ++p)
            out[p] = static_cast<T>(ctx.kernels->of<T>().dense_dot(U.row(rows[p]), V.row(columns[p]), U.d));
    });
}

/// One row's step along a block of coordinates.
template <class T, class I>
class BlockStep {
public:
    BlockStep(const Context& ctx, const LeastSquares<T>& problem, int64_t first, int64_t width)
        : ctx_(ctx),
          problem_(problem),
          first_(first),
          b_(width),
          block_(ctx, DenseView<T>{problem.V.data + first, problem.V.n, width, problem.V.stride}) {}

    struct Scratch {
        Weights<T> weights;
        GramScratch<T> gram;
        AlignedVector<double> sum, A, slope;
        AlignedVector<T> change;
    };

    /// x [k] and predictions e [count] follow; false where the system was not positive definite: nothing changes.
    bool step(Scratch& s, const T* value, const I* index, int64_t count, double ridge, T* x, T* e) const {
        const int64_t k = problem_.V.d, width = block_.width(), square = block_.square();
        auto& [a, b] = s.weights;
        a.resize(std::max<std::size_t>(a.size(), static_cast<std::size_t>(count)));
        b.resize(std::max<std::size_t>(b.size(), static_cast<std::size_t>(count)));
        apply_rule(problem_, value, index, count, a.data(), b.data());
        for (int64_t p = 0; p < count; ++p) b[p] -= a[p] * e[p];  // what is left to explain
        const WeightedEntries<T, I> entries{index, a.data(), b.data(), count};
        s.sum.resize(static_cast<std::size_t>(square * square));
        s.A.resize(static_cast<std::size_t>(b_ * b_));
        s.slope.resize(static_cast<std::size_t>(width));
        s.change.resize(static_cast<std::size_t>(width), T{0});
        block_.gram(entries, s.gram, s.sum.data());
        block_.rhs(entries, s.slope.data());
        for (int64_t t = 0; t < b_; ++t) {
            const double* g = problem_.G ? problem_.G + (first_ + t) * k : nullptr;
            s.slope[t] -= ridge * static_cast<double>(x[first_ + t]);
            for (int64_t j = 0; g && j < k; ++j) s.slope[t] -= g[j] * static_cast<double>(x[j]);
            for (int64_t j = t; j < b_; ++j)
                s.A[t * b_ + j] = s.sum[t * square + j] + (g ? g[first_ + j] : 0) + (t == j ? ridge : 0);
        }
        if (!ctx_.kernels->solve_cholesky(s.A.data(), s.slope.data(), b_)) return false;
        for (int64_t t = 0; t < b_; ++t) {
            const T before = x[first_ + t];
            x[first_ + t] = static_cast<T>(static_cast<double>(before) + s.slope[t]);
            s.change[t] = x[first_ + t] - before;
        }
        std::fill(s.change.begin() + b_, s.change.end(), T{0});
        ctx_.kernels->of<T, I>().dots_at(index, count, count, s.change.data(), block_.row(0), width, b.data());
        for (int64_t p = 0; p < count; ++p) e[p] += b[p];
        return true;
    }

private:
    const Context& ctx_;
    const LeastSquares<T>& problem_;
    int64_t first_, b_;
    GatheredRows<T> block_;
};

template <class T, class I>
LeastSquaresResult solve_block(const Context& ctx, const Rows<CsrView<T, I>>& X, const LeastSquares<T>& problem,
                               int64_t first, int64_t width, T* e, T* out) {
    check_whole_rows(ctx, X);
    const CsrView<T, I>& view = X.view();
    const int64_t k = problem.V.d, chunks = chunk_count(view.n, kRows);
    const BlockStep<T, I> block(ctx, problem, first, width);
    std::vector<typename BlockStep<T, I>::Scratch> own(static_cast<std::size_t>(workers(ctx, chunks)));
    std::vector<int64_t> failed(static_cast<std::size_t>(chunks), 0);
    const auto step = [&](typename BlockStep<T, I>::Scratch& scratch, int64_t i) {
        const int64_t begin = view.begin(i), count = view.size(i);
        if (count == 0) std::fill_n(out + i * k, k, T{0});
        return count == 0 || block.step(scratch, view.data + begin, view.indices + begin, count, problem.ridge[i],
                                        out + i * k, e + begin);
    };
    parallel_for(ctx, chunks, [&](int64_t c, int worker) {
        for (int64_t i = c * kRows; i < std::min(view.n, (c + 1) * kRows); ++i)
            if (view.size(i) < kLong) failed[c] += !step(own[worker], i);
    });
    LeastSquaresResult result;
    for (const int64_t count : failed) result.failed += count;
    for (int64_t i = 0; i < view.n; ++i)
        if (view.size(i) >= kLong) result.failed += !step(own[0], i);
    return result;
}

#define LATOM_INSTANTIATE_INDEXED(T, I)                                                                         \
    template LeastSquaresResult solve_least_squares(const Context&, const Rows<CsrView<T, I>>&,                 \
                                                    const LeastSquares<T>&, T*);                                \
    template LeastSquaresResult solve_block(const Context&, const Rows<CsrView<T, I>>&, const LeastSquares<T>&, \
                                            int64_t, int64_t, T*, T*);                                          \
    template void predict_stored(const Context&, const Rows<CsrView<T, I>>&, const DenseView<T>&, const T*, T*);
#define LATOM_INSTANTIATE(T)                                                                              \
    LATOM_INSTANTIATE_INDEXED(T, int32_t)                                                                 \
    LATOM_INSTANTIATE_INDEXED(T, int64_t)                                                                 \
    template void predict_pairs(const Context&, const DenseView<T>&, const DenseView<T>&, const int64_t*, \
                                const int64_t*, int64_t, T*);
LATOM_INSTANTIATE(float)
LATOM_INSTANTIATE(double)
#undef LATOM_INSTANTIATE
#undef LATOM_INSTANTIATE_INDEXED

}  // namespace latom
