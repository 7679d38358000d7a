// row_pursuit.h: the pursuit of one row: what has been taken, what is left, and the exact choice of the next atom.
//
// A screen gives numbers that the products a_j = <r, w_j> of the residual r = x - sum_p c_p w_p are within `error` of
// (algorithms/encode/screened_pursuit.h). So an atom that is ahead by more than twice that is the one that float64
// takes. Where others are as near, their products with r are summed in float64.
//
// The products of atoms taken are summed in float64 (kernels/dot.inl.h), d multiply-adds per pair.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "algorithms/encode/pursuit_atoms.h"
#include "engines/small_solve/progressive_cholesky.h"

namespace latom {

template <class T>
class RowPursuit {
public:
    RowPursuit(const PursuitAtoms<T>& atoms, const PursuitOptions& options)
        : atoms_(atoms),
          options_(options),
          residual_(static_cast<std::size_t>(atoms.d())),
          wide_(static_cast<std::size_t>(atoms.d())) {}

    static constexpr int64_t kNone = -1, kAsk = -2;

    /// x [d] of squared length norm2, both scaled; tol in the same scale.
    void start(const T* x, double norm2, double tol) {
        x_ = x;
        norm2_ = left_ = norm2;
        tol_ = tol;
        steps_ = 0;
        support_.clear();
        right_.clear();
        coefs_.clear();
        pairs_.clear();
        cholesky_.clear();
        done_ = !(norm2 > 0);
    }
    bool done() const { return done_; }
    const T* row() const { return x_; }
    const std::vector<int32_t>& support() const { return support_; }
    const std::vector<double>& coefs() const { return coefs_; }
    int32_t last_atom() const { return last_; }  // and what its coefficient grew by; plain alone
    double last_step() const { return step_; }

    /// What is left of |x|^2, roughly.
    double left() const { return left_; }

    /// The next atom; kNone where the pursuit has ended. values [width]: the screen's, with the largest of each block
    /// (kernels/pursuit_step), all within `error`. kAsk: many are as near, and products anew, within `again`, would
    /// tell more of them apart.
    int64_t choose(const float* values, const float* blocks, double error, double again) {
        const int64_t count = atoms_.width() / kPursuitBlock;
        const double top = static_cast<double>(*std::max_element(blocks, blocks + count));
        // Whatever atom came next, add() would end with it.
        const bool nothing_left = left_ < 0.99 * std::numeric_limits<T>::epsilon() * norm2_;
        done_ = nothing_left || top + error <= 0 || top == -HUGE_VAL;
        if (done_) return kNone;
        find_near(values, blocks, top - 2 * error);
        if (near_.size() == 1) return near_[0];
        if (near_.size() > kMany && again < error / 4) return kAsk;
        const int64_t found = decide();
        done_ = found < 0;
        return found;
    }

    /// Takes atom j, unless that would bring nothing: then the pursuit has ended.
    void add(int64_t j) {
        const auto size = static_cast<int64_t>(support_.size());
        const int64_t at = std::find(support_.begin(), support_.end(), static_cast<int32_t>(j)) - support_.begin();
        if (at == size) learn(j);
        const double* products = pairs_.data() + at * (at + 1) / 2;
        double rest = right_[at];
        for (int64_t p = 0; p < size; ++p) rest -= coefs_[p] * (p <= at ? products[p] : pairs_[p * (p + 1) / 2 + at]);
        const double least = std::numeric_limits<T>::epsilon() * norm2_ * atoms_.norm2(j);
        const bool small = (options_.positive ? !(rest > 0) : rest == 0) || !(rest * rest >= least);
        if (small || (options_.orthogonal && at < size) || (options_.orthogonal && !extend(at))) {
            end(size);
            return;
        }
        if (!options_.orthogonal) {
            last_ = static_cast<int32_t>(j);
            step_ = rest / atoms_.norm2(j);
            if (at == size) coefs_.push_back(0);
            coefs_[at] += step_;
            left_ -= rest * step_;
        }
        ++steps_;
        done_ = steps_ == options_.steps || reached();
    }

    /// The residual in float64, [d]; returns its squared length.
    double residual(double* r) const {
        const auto& kernels = *atoms_.kernels();
        const int64_t d = atoms_.d();
        for (int64_t t = 0; t < d; ++t) r[t] = static_cast<double>(x_[t]);
        for (std::size_t p = 0; p < support_.size(); ++p)
            kernels.template of<T>().add_scaled(atoms_.row(support_[p]), -coefs_[p], d, r);
        return kernels.f64.dense_dot(r, r, d);
    }

private:
    static constexpr std::size_t kMany = 64;  // atoms whose float64 products cost as much as all in 16 bits

    /// Atoms whose screened score is at least `bar`, which is rounded down.
    void find_near(const float* values, const float* blocks, double bar) {
        constexpr int64_t kGroup = 16;
        const float least = std::nextafter(static_cast<float>(bar), -HUGE_VALF);
        const int64_t m = atoms_.m();
        near_.clear();
        for (int64_t from = 0; from < m; from += kPursuitBlock) {
            if (blocks[from / kPursuitBlock] < least) continue;
            for (int64_t at = from; at < from + kPursuitBlock; at += kGroup) {
                int any = 0;
                float score[kGroup];
                for (int64_t i = 0; i < kGroup; ++i) {
                    const float v = values[at + i];
                    score[i] = options_.positive ? v : std::abs(v);
                    any |= score[i] >= least;
                }
                for (int64_t i = 0; any && i < kGroup; ++i)
                    if (score[i] >= least) near_.push_back(static_cast<int32_t>(at + i));
            }
        }
    }

    /// The first with the largest float64 product of those that are near; kNone: all are 0, or below where signs count.
    int64_t decide() {
        const int64_t d = atoms_.d();
        residual(residual_.data());
        int64_t found = kNone;
        double most = 0;
        for (const int32_t j : near_) {
            const T* row = atoms_.row(j);
            for (int64_t t = 0; t < d; ++t) wide_[t] = static_cast<double>(row[t]);
            const double exact = atoms_.kernels()->f64.dense_dot(residual_.data(), wide_.data(), d);
            const double score = options_.positive ? exact : std::abs(exact);
            if (score > most) {
                most = score;
                found = j;
            }
        }
        return found;
    }

    /// Atom j with its products with x and with those taken.
    void learn(int64_t j) {
        const auto dots = atoms_.kernels()->template of<T>().dense_dots;
        const auto size = static_cast<int64_t>(support_.size());
        support_.push_back(static_cast<int32_t>(j));
        const T* own = atoms_.row(j);
        others_.clear();
        for (const int32_t p : support_) others_.push_back(atoms_.row(p));
        same_.assign(others_.size(), own);
        const std::size_t from = pairs_.size();
        pairs_.resize(from + others_.size());
        dots(others_.data(), same_.data(), size + 1, atoms_.d(), pairs_.data() + from);
        right_.push_back(atoms_.kernels()->template of<T>().dense_dot(x_, own, atoms_.d()));
    }

    bool extend(int64_t at) {
        const double* products = pairs_.data() + at * (at + 1) / 2;
        const double square = products[at];
        if (!cholesky_.add(products, square, right_[at], std::numeric_limits<double>::epsilon() * square)) return false;
        left_ -= cholesky_.gain();
        coefs_.resize(support_.size());
        cholesky_.solve(coefs_.data());
        return true;
    }

    /// Nothing more is taken; an atom that was looked at in vain goes.
    void end(int64_t size) {
        support_.resize(static_cast<std::size_t>(size));
        right_.resize(support_.size());
        coefs_.resize(support_.size());
        pairs_.resize(static_cast<std::size_t>(size * (size + 1) / 2));
        done_ = true;
    }

    bool reached() {
        if (tol_ < 0 || left_ > tol_ + 1e-9 * norm2_) return false;
        return residual(residual_.data()) <= tol_;
    }

    const PursuitAtoms<T>& atoms_;
    const PursuitOptions& options_;
    const T* x_ = nullptr;
    double norm2_ = 0, left_ = 0, tol_ = -1, step_ = 0;
    int64_t steps_ = 0;
    int32_t last_ = 0;
    bool done_ = true;
    std::vector<int32_t> support_, near_;
    std::vector<double> right_, coefs_, pairs_, residual_, wide_;  // <x, w>, c, <w, w'> by rows of a triangle
    std::vector<const T*> others_, same_;
    ProgressiveCholesky cholesky_;
};

}  // namespace latom
