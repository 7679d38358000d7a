// row_systems.cpp: tiles of rows, each by the method that its weights allow.
#include "engines/small_solve/row_systems.h"

#include <numeric>

#include "core/philox.h"

namespace latom {
namespace {

/// The least that a diagonal gets of its mean.
template <class T>
constexpr double kFloor = sizeof(T) == 4 ? 1e-9 : 1e-14;
/// Of |b|^2: a residual whose square is below is rounding's.
template <class T>
constexpr double kSettled = sizeof(T) == 4 ? 1e-14 : 1e-28;
constexpr int64_t kSketched = 8;  // times k entries, from which on a row's Gram matrix is sampled
constexpr int64_t kSample = 4;    // times k entries that it is sampled from

}  // namespace

template <class T>
SharedSystem<T>::SharedSystem(const Context& context, const LeastSquares<T>& given, int64_t n)
    : ctx(context), V(context, given.V), problem(given) {
    const int64_t k = V.k(), width = V.width(), wide = whole_lines<double>(k);
    G.resize(static_cast<std::size_t>(width * width), T{0});
    if (!given.G) return;
    for (int64_t s = 0; s < k; ++s)
        for (int64_t t = 0; t < k; ++t) G[s * width + t] = static_cast<T>(given.G[s * k + t]);
    for (int64_t t = 0; t < k; ++t) trace += given.G[t * (k + 1)];
    if (given.solver != RowSolver::kAuto && given.solver != RowSolver::kCholesky) return;
    if (n < 1 || std::any_of(given.ridge, given.ridge + n, [&](double r) { return r != given.ridge[0]; })) return;

    ridge = given.ridge[0];
    AlignedVector<double> A(given.G, given.G + k * k), b(static_cast<std::size_t>(k), 0.0);
    const double least = std::max(ridge, kFloor<T> * trace / static_cast<double>(k));
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
        const bool sketched = solver == RowSolver::kSketch && row.entries.count > kSketched * k_;
        if (row.entries.count == 0) std::fill_n(row.x, k_, T{0});
        else if (row.unweighted && !s_.inverse.empty()) by_inverse_[shared++] = &row;
        else if (solver == RowSolver::kConjugate) by_gradients_[gradients++] = &row;
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

/// out [count, width] = (G + ridge I + sum a v v^T) x, row by row.
template <class T>
template <class I>
void RowSystemSolver<T>::multiply(TileRow<T, I>* const* rows, int64_t count, const T* x, T* out) {
    if (s_.problem.G) s_.ctx.kernels->template of<T>().small_product(x, count, width_, s_.G.data(), width_, out);
    else std::fill_n(out, count * width_, T{0});
    for (int64_t r = 0; r < count; ++r) {
        const T ridge = static_cast<T>(rows[r]->ridge);
        for (int64_t t = r * width_; t < (r + 1) * width_; ++t) out[t] += ridge * x[t];
        if (static_cast<int64_t>(dots_.size()) < rows[r]->entries.count)
            dots_.resize(static_cast<std::size_t>(rows[r]->entries.count));
        if (!rows[r]->unweighted) s_.V.apply(rows[r]->entries, x + r * width_, dots_.data(), out + r * width_);
    }
}

template <class T>
template <class I>
void RowSystemSolver<T>::by_gradients(TileRow<T, I>* const* rows, int64_t count, bool sketched,
                                      LeastSquaresResult& result) {
    T *x = x_.data(), *r = r_.data(), *p = p_.data(), *q = q_.data();
    const auto dot = s_.ctx.kernels->template of<T>().dense_dot;
    AlignedVector<double> z(static_cast<std::size_t>(k_));
    if (sketched) {
        sample_gram(*rows[0]);
        factor(rows[0]->ridge);
    }
    const auto preconditioned = [&](const T* from) {  // z = M^-1 from; returns <z, from>
        std::copy_n(from, k_, z.data());
        substitute(s_.ctx.kernels, A_.data(), k_, z.data());
        double sum = 0;
        for (int64_t t = 0; t < k_; ++t) sum += z[t] * static_cast<double>(from[t]);
        return sum;
    };
    keep_local(rows, count);
    double rho[kTileRows], least[kTileRows];
    for (int64_t i = 0; i < count; ++i) {
        std::copy_n(rows[i]->x, k_, x + i * width_);
        std::fill_n(x + i * width_ + k_, width_ - k_, T{0});
    }
    multiply(rows, count, x, q);
    for (int64_t i = 0; i < count; ++i) {
        T *ri = r + i * width_, *pi = p + i * width_;
        double* b = b_.data() + i * width_;
        s_.V.rhs(rows[i]->entries, b);
        for (int64_t t = 0; t < width_; ++t) ri[t] = static_cast<T>(b[t] - static_cast<double>(q[i * width_ + t]));
        least[i] = kSettled<T> * s_.ctx.kernels->f64.dense_dot(b, b, k_);
        rho[i] = sketched ? preconditioned(ri) : dot(ri, ri, width_);
        for (int64_t t = 0; t < width_; ++t) pi[t] = sketched && t < k_ ? static_cast<T>(z[t]) : ri[t];
    }
    for (int64_t step = 0; step < s_.problem.steps; ++step) {
        multiply(rows, count, p, q);
        for (int64_t i = 0; i < count; ++i) {
            T *xi = x + i * width_, *ri = r + i * width_, *pi = p + i * width_, *qi = q + i * width_;
            const double curvature = dot(pi, qi, width_);
            if (!(curvature > 0) || !(dot(ri, ri, width_) > least[i])) continue;  // settled
            const T length = static_cast<T>(rho[i] / curvature);
            for (int64_t t = 0; t < width_; ++t) xi[t] += length * pi[t];
            for (int64_t t = 0; t < width_; ++t) ri[t] -= length * qi[t];
            const double next = sketched ? preconditioned(ri) : dot(ri, ri, width_);
            const T keep = static_cast<T>(next / rho[i]);
            rho[i] = next;
            for (int64_t t = 0; t < k_; ++t) pi[t] = (sketched ? static_cast<T>(z[t]) : ri[t]) + keep * pi[t];
        }
    }
    for (int64_t i = 0; i < count; ++i) {
        const T *xi = x + i * width_, *ri = r + i * width_;
        const double* b = b_.data() + i * width_;
        std::copy_n(xi, k_, rows[i]->x);
        for (int64_t t = 0; t < k_; ++t)
            result.value -= static_cast<double>(xi[t]) * (b[t] + static_cast<double>(ri[t]));
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
