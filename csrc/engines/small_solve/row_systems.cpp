// row_systems.cpp: tiles of rows, each by the method that its weights allow.
#include "engines/small_solve/row_systems.h"

#include <numeric>

#include "core/philox.h"

namespace latom {
namespace {

/// The least that a diagonal gets of its mean.
template <class T>
constexpr double kFloor = sizeof(T) == 4 ? 1e-9 : 1e-14;
/// Of what a residual is the difference of, squared: one whose square is below is rounding's.
template <class T>
constexpr double kSettled = sizeof(T) == 4 ? 1e-14 : 1e-28;
constexpr int64_t kSketched = 8;  // times k entries, from which on a row's Gram matrix is sampled
constexpr int64_t kSample = 4;    // times k entries that it is sampled from

template <class T>
bool by_gradients(const LeastSquares<T>& problem) {
    return problem.solver == RowSolver::kConjugate || problem.solver == RowSolver::kSketch;
}

template <class T>
std::optional<Whitening<T>> whitening(const Context& ctx, const LeastSquares<T>& problem, int64_t n) {
    if (!by_gradients(problem) || !problem.G) return std::nullopt;
    return Whitening<T>(ctx, problem.G, problem.ridge, n, problem.V.d, kFloor<T>);
}

}  // namespace

template <class T>
SharedSystem<T>::SharedSystem(const Context& context, const LeastSquares<T>& given, int64_t n)
    : ctx(context),
      problem(given),
      white(whitening(context, given, n)),
      V(white
            ? GatheredRows<T>(context, given.V, [&](const T* v, int64_t count, T* out) { white->rows(v, count, out); })
            : GatheredRows<T>(context, given.V)) {
    const int64_t k = V.k(), wide = whole_lines<double>(k);
    if (by_gradients(given)) {
        constexpr int64_t kRows = 256;
        const int64_t chunks = chunk_count(given.V.n, kRows);
        std::vector<double> most(static_cast<std::size_t>(chunks), 0.0);
        parallel_for(ctx, chunks, [&](int64_t c, int) {
            for (int64_t i = c * kRows; i < std::min(given.V.n, (c + 1) * kRows); ++i)
                most[c] = std::max(most[c], ctx.kernels->template of<T>().dense_dot(V.row(i), V.row(i), k));
        });
        for (const double length2 : most) longest2 = std::max(longest2, length2);
    }
    if (white || !given.G || given.solver == RowSolver::kNonNegative) return;
    if (n < 1 || std::any_of(given.ridge, given.ridge + n, [&](double r) { return r != given.ridge[0]; })) return;

    double trace = 0;
    for (int64_t t = 0; t < k; ++t) trace += given.G[t * (k + 1)];
    AlignedVector<double> A(given.G, given.G + k * k), b(static_cast<std::size_t>(k), 0.0);
    const double least = std::max(given.ridge[0], kFloor<T> * trace / static_cast<double>(k));
    for (int64_t t = 0; t < k; ++t) A[t * (k + 1)] += least;
    if (!ctx.kernels->solve_cholesky(A.data(), b.data(), k)) return;
    inverse.resize(static_cast<std::size_t>(k * wide), 0.0);
    parallel_for(ctx, k, [&](int64_t t, int) {
        double* column = inverse.data() + t * wide;  // symmetric: a row as well
        column[t] = 1;
        substitute(ctx.kernels, A.data(), k, column);
    });
}

template <class T>
RowSystemSolver<T>::RowSystemSolver(const SharedSystem<T>& shared)
    : s_(shared), k_(shared.V.k()), width_(shared.V.width()) {
    b_.resize(static_cast<std::size_t>(kTileRows * width_));
    A_.resize(static_cast<std::size_t>(k_ * k_));
    for (auto* numbers : {&x_, &r_, &p_, &q_}) numbers->resize(static_cast<std::size_t>(kTileRows * width_), T{0});
}

template <class T>
template <class I>
void RowSystemSolver<T>::solve(TileRow<T, I>* rows, int64_t count, LeastSquaresResult& result) {
    const RowSolver solver = s_.problem.solver;
    TileRow<T, I>*by_inverse_[kTileRows], *by_gradients_[kTileRows];
    int64_t shared = 0, gradients = 0;
    for (int64_t r = 0; r < count; ++r) {
        TileRow<T, I>& row = rows[r];
        const bool sketched = solver == RowSolver::kSketch && !s_.white && row.entries.count > kSketched * k_;
        if (row.entries.count == 0) std::fill_n(row.x, k_, T{0});
        else if (row.unweighted && !s_.inverse.empty()) by_inverse_[shared++] = &row;
        else if (solver == RowSolver::kConjugate || s_.white) by_gradients_[gradients++] = &row;
        else if (sketched) {
            TileRow<T, I>* one[] = {&row};
            by_gradients(one, 1, true, result);
        } else by_cholesky(row, result);
    }
    if (shared) by_inverse(by_inverse_, shared, result);
    if (gradients) by_gradients(by_gradients_, gradients, false, result);
}

template <class T>
template <class I>
void RowSystemSolver<T>::by_inverse(TileRow<T, I>* const* rows, int64_t count, LeastSquaresResult& result) {
    const int64_t wide = whole_lines<double>(k_);
    wide_.resize(static_cast<std::size_t>(kTileRows * (k_ + wide)));
    double *b = wide_.data(), *x = b + kTileRows * k_;
    for (int64_t r = 0; r < kTileRows; ++r) {
        if (r < count) s_.V.rhs(rows[r]->entries, b_.data());
        std::copy_n(b_.data(), k_, b + r * k_);
    }
    s_.ctx.kernels->f64.small_product(b, kTileRows, k_, s_.inverse.data(), wide, x);
    for (int64_t r = 0; r < count; ++r) {
        for (int64_t t = 0; t < k_; ++t) rows[r]->x[t] = static_cast<T>(x[r * wide + t]);
        result.value -= s_.ctx.kernels->f64.dense_dot(x + r * wide, b + r * k_, k_);
    }
}

/// A = what is summed, G and the diagonal, by its upper triangle; returns the mean of the diagonal.
template <class T>
double RowSystemSolver<T>::assemble(double ridge) {
    const int64_t square = s_.V.square();
    double trace = 0;
    for (int64_t t = 0; t < k_; ++t) {
        std::copy_n(sum_.data() + t * square + t, k_ - t, A_.data() + t * k_ + t);
        if (s_.problem.G)
            for (int64_t j = t; j < k_; ++j) A_[t * k_ + j] += s_.problem.G[t * k_ + j];
        trace += A_[t * (k_ + 1)];
    }
    const double mean = trace / static_cast<double>(k_), least = std::max(ridge, kFloor<T> * mean);
    for (int64_t t = 0; t < k_; ++t) A_[t * (k_ + 1)] += least;
    return mean;
}

/// A = U^T U in place; with more on the diagonal where it must be. False: b [first row] becomes 0.
template <class T>
bool RowSystemSolver<T>::factor(double ridge) {
    const double mean = assemble(ridge);
    AlignedVector<double> nothing(static_cast<std::size_t>(k_), 0.0);
    if (s_.ctx.kernels->solve_cholesky(A_.data(), nothing.data(), k_)) return true;
    for (double more = 1e-6; more < 1e7; more *= 1e3) {
        assemble(ridge + more * (std::abs(mean) + std::numeric_limits<double>::min()));
        if (s_.ctx.kernels->solve_cholesky(A_.data(), nothing.data(), k_)) break;
    }
    return false;
}

template <class T>
template <class I>
void RowSystemSolver<T>::by_cholesky(const TileRow<T, I>& row, LeastSquaresResult& result) {
    sum_.resize(static_cast<std::size_t>(s_.V.square() * s_.V.square()));
    s_.V.gram(row.entries, scratch_, sum_.data());
    double* b = b_.data();
    s_.V.rhs(row.entries, b);
    if (s_.problem.solver == RowSolver::kNonNegative) {
        assemble(row.ridge);
        result.value += sweep(row.x);
        return;
    }
    double* x = b + width_;
    std::copy_n(b, k_, x);
    if (!factor(row.ridge)) ++result.failed;
    substitute(s_.ctx.kernels, A_.data(), k_, x);
    for (int64_t t = 0; t < k_; ++t) row.x[t] = static_cast<T>(x[t]);
    result.value -= s_.ctx.kernels->f64.dense_dot(x, b, k_);
}

/// Coordinate descent from x; returns the value reached.
template <class T>
double RowSystemSolver<T>::sweep(T* x) {
    const int64_t bound = k_ - s_.problem.any_sign;
    double *b = b_.data(), *slope = b + width_, *now = slope + width_;
    for (int64_t s = 0; s < k_; ++s)
        for (int64_t t = 0; t < s; ++t) A_[s * k_ + t] = A_[t * k_ + s];
    for (int64_t t = 0; t < k_; ++t) {
        now[t] = t < bound ? std::max(0.0, static_cast<double>(x[t])) : static_cast<double>(x[t]);
        slope[t] = -b[t];
    }
    for (int64_t t = 0; t < k_; ++t) s_.ctx.kernels->f64.add_scaled(A_.data() + t * k_, now[t], k_, slope);
    double first = 0;
    for (int64_t round = 0; round < s_.problem.steps; ++round) {
        double moved = 0;
        for (int64_t t = 0; t < k_; ++t) {
            const double curvature = A_[t * (k_ + 1)];
            if (!(curvature > 0)) continue;
            const double free = now[t] - slope[t] / curvature, after = t < bound ? std::max(0.0, free) : free;
            const double change = after - now[t];
            if (change == 0) continue;
            s_.ctx.kernels->f64.add_scaled(A_.data() + t * k_, change, k_, slope);
            moved += change * change * curvature;
            now[t] = after;
        }
        if (round == 0) first = moved;
        if (moved <= 1e-12 * first) break;
    }
    double value = 0;
    for (int64_t t = 0; t < k_; ++t) {
        x[t] = static_cast<T>(now[t]);
        value += now[t] * (slope[t] - b[t]);
    }
    return value;
}

/// The sum of 4 k entries by chance, with repetition, as an estimate of that of all.
template <class T>
template <class I>
void RowSystemSolver<T>::sample_gram(const TileRow<T, I>& row) {
    const int64_t size = kSample * k_;
    const Philox draws(s_.ctx.seed, Purpose::kSample);
    std::vector<I> index(static_cast<std::size_t>(size));
    std::vector<T> a(static_cast<std::size_t>(size));
    const double scale = static_cast<double>(row.entries.count) / static_cast<double>(size);
    for (int64_t p = 0; p < size; ++p) {
        const double u = draws.uniform(static_cast<std::uint64_t>(row.number * size + p));
        const auto q = static_cast<int64_t>(u * static_cast<double>(row.entries.count));
        index[p] = row.entries.index[q];
        a[p] = static_cast<T>(std::abs(row.entries.a[q]) * scale);
    }
    sum_.resize(static_cast<std::size_t>(s_.V.square() * s_.V.square()));
    s_.V.gram(WeightedEntries<T, I>{index.data(), a.data(), nullptr, size}, scratch_, sum_.data());
}

/// Copies the rows of V that a tile's systems name: from then on they are read from the second cache, in order.
template <class T>
template <class I>
void RowSystemSolver<T>::keep_local(TileRow<T, I>* const* rows, int64_t count) {
    constexpr int64_t kMost = (1 << 20) / sizeof(T);  // numbers of a tile
    int64_t longest = 0, used = 0;
    for (int64_t r = 0; r < count; ++r) longest = std::max(longest, rows[r]->entries.count);
    longest = std::min(longest, kMost / width_);
    if (static_cast<int64_t>(order_.size()) < longest) {
        order_.resize(static_cast<std::size_t>(longest));
        auto* order = reinterpret_cast<I*>(order_.data());
        std::iota(order, order + longest, I{0});
    }
    local_.resize(static_cast<std::size_t>(kMost));
    for (int64_t r = 0; r < count; ++r) {
        auto& entries = rows[r]->entries;
        if (rows[r]->unweighted || used + entries.count * width_ > kMost) continue;
        s_.V.copy(entries.index, entries.count, local_.data() + used);
        entries.local = local_.data() + used;
        entries.order = reinterpret_cast<const I*>(order_.data());
        used += entries.count * width_;
    }
}

/// out [count, width] = what a system adds to the rows' own sums, times x: ridges, or the identity and what is more.
template <class T>
void RowSystemSolver<T>::multiply_shared(const double* ridges, int64_t count, const T* x, T* out) {
    const bool spread = s_.white && !s_.white->equal_ridges();
    if (spread) s_.white->spread(x, count, out);
    for (int64_t r = 0; r < count; ++r) {
        const T factor = static_cast<T>(s_.white ? s_.white->more(ridges[r]) : ridges[r]);
        for (int64_t t = r * width_; t < (r + 1) * width_; ++t)
            out[t] = s_.white ? x[t] + (spread ? factor * out[t] : T{0}) : factor * x[t];
    }
}

template <class T>
template <class I>
void RowSystemSolver<T>::by_gradients(TileRow<T, I>* const* rows, int64_t count, bool sketched,
                                      LeastSquaresResult& result) {
    T *x = x_.data(), *plain = p_.data();
    for (int64_t i = 0; i < count; ++i) {
        std::copy_n(rows[i]->x, k_, plain + i * width_);
        std::fill_n(plain + i * width_ + k_, width_ - k_, T{0});
    }
    if (s_.white) s_.white->enter(plain, count, x);
    else std::copy_n(plain, count * width_, x);
    // One by one, so that a row's entries stay in the cache, unless all are multiplied with one matrix.
    const int64_t together = s_.white && !s_.white->equal_ridges() ? count : 1;
    for (int64_t i = 0; i < count; i += together) descend(rows + i, together, sketched, x + i * width_, result);
    const T* out = x;
    if (s_.white) s_.white->leave(x, count, plain), out = plain;
    for (int64_t i = 0; i < count; ++i) std::copy_n(out + i * width_, k_, rows[i]->x);
}

/// Steps from x [count, width]. Minima come from the lengths of steps: what the last one leaves is not computed.
template <class T>
template <class I>
void RowSystemSolver<T>::descend(TileRow<T, I>* const* rows, int64_t count, bool sketched, T* x,
                                 LeastSquaresResult& result) {
    using Pass = typename GatheredRows<T>::Pass;
    T *r = r_.data(), *p = p_.data(), *q = q_.data();
    const auto dot = s_.ctx.kernels->template of<T>().dense_dot;
    AlignedVector<double> z(static_cast<std::size_t>(sketched ? k_ : 0));
    if (sketched) {
        sample_gram(*rows[0]);
        factor(rows[0]->ridge);
    }
    const auto towards = [&](const T* from, T* to) {  // to = M^-1 from; returns <to, from>
        if (!sketched) return std::copy_n(from, width_, to), dot(from, from, width_);
        std::copy_n(from, k_, z.data());
        substitute(s_.ctx.kernels, A_.data(), k_, z.data());
        double sum = 0;
        for (int64_t t = 0; t < k_; ++t) {
            sum += z[t] * static_cast<double>(from[t]);
            to[t] = static_cast<T>(z[t]);
        }
        return sum;
    };
    if (s_.problem.steps > 1) keep_local(rows, count);
    double rho[kTileRows], least[kTileRows], ridges[kTileRows] = {};
    for (int64_t i = 0; i < count; ++i) {
        ridges[i] = rows[i]->ridge;
        if (static_cast<int64_t>(dots_.size()) < rows[i]->entries.count)
            dots_.resize(static_cast<std::size_t>(rows[i]->entries.count));
    }
    multiply_shared(ridges, count, x, r);
    for (int64_t i = 0; i < count; ++i) {
        T *xi = x + i * width_, *ri = r + i * width_;
        for (int64_t t = 0; t < width_; ++t) ri[t] = -ri[t];
        result.value -= s_.V.pass(Pass::kResidual, rows[i]->entries, xi, dots_.data(), ri) + dot(xi, ri, width_);
        const double size = dot(ri, ri, width_);
        double given = 0;  // |b| is at most this times the length of the longest v
        for (int64_t e = 0; e < rows[i]->entries.count; ++e)
            given += std::abs(static_cast<double>(rows[i]->entries.b[e]));
        least[i] = kSettled<T> *
                   (size + given * given * s_.longest2 + dot(xi, xi, width_) * (s_.white ? 1 : ridges[i] * ridges[i]));
        rho[i] = towards(ri, p + i * width_);
    }
    for (int64_t step = 1; step <= s_.problem.steps; ++step) {
        const bool last = step == s_.problem.steps;
        multiply_shared(ridges, count, p, q);
        for (int64_t i = 0; i < count; ++i) {
            T *xi = x + i * width_, *ri = r + i * width_, *pi = p + i * width_, *qi = q + i * width_;
            if (!(dot(ri, ri, width_) > least[i])) continue;  // settled
            double curvature = dot(pi, qi, width_);
            if (!rows[i]->unweighted)
                curvature +=
                    s_.V.pass(last ? Pass::kCurvature : Pass::kProduct, rows[i]->entries, pi, dots_.data(), qi);
            if (!(curvature > 0)) continue;
            const double length = rho[i] / curvature;
            const auto factor = static_cast<T>(length);
            for (int64_t t = 0; t < width_; ++t) xi[t] += factor * pi[t];
            result.value -= length * rho[i];
            if (last) continue;
            for (int64_t t = 0; t < width_; ++t) ri[t] -= factor * qi[t];
            const double next = towards(ri, qi);
            const T keep = static_cast<T>(next / rho[i]);
            rho[i] = next;
            for (int64_t t = 0; t < width_; ++t) pi[t] = qi[t] + keep * pi[t];
        }
    }
}

#define LATOM_INSTANTIATE(T)                                                                     \
    template struct SharedSystem<T>;                                                             \
    template class RowSystemSolver<T>;                                                           \
    template void RowSystemSolver<T>::solve(TileRow<T, int32_t>*, int64_t, LeastSquaresResult&); \
    template void RowSystemSolver<T>::solve(TileRow<T, int64_t>*, int64_t, LeastSquaresResult&);
LATOM_INSTANTIATE(float)
LATOM_INSTANTIATE(double)
#undef LATOM_INSTANTIATE

}  // namespace latom
