// row_pursuit.h: the pursuit of one row: what has been taken, what is left, and the exact choice of the next atom.
//
// A screen gives a~_j for the products a_j = <r, w_j> of the residual r = x - sum_p c_p w_p, in T with unit roundoff u:
//
//   with a Gram matrix     a~ = x W^T - sum_p c~_p G_p:    |a~_j - a_j| <= u (d + count + 16) (|x| + sum_p |c_p| |w_p|)
//   W without                a~ = r~ W^T:                    the same with |r| for the sum
//
// W the longest atom's length, count the products subtracted so far: the sums of d products lose at most d u of the sum
// of their magnitudes (Jeannerod & Rump 2013), which Cauchy-Schwarz bounds; c~ and r~ are rounded once, and each
// product and difference once more. So an atom that is ahead by more than twice the bound is the one that float64
// takes. Where others are as near, their products with r are summed in float64, which rounds u' d as much, u' that of
// float64: where T is float64 the bound counts twice.
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

    /// x [d] of squared length norm2, both scaled; tol in the same scale.
    void start(const T* x, double norm2, double tol) {
        x_ = x;
        norm2_ = left_ = norm2;
        tol_ = tol;
        steps_ = 0;
        moved_ = 0;
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

    /// Takes the atom that the screen found, or the one that float64 prefers. place, best: of kernels/pursuit_step;
    /// values [m] are the screen's, asked for where two are too near. Nothing is taken where the pursuit has ended.
    template <class Values>
    void take(int64_t place, const T* best, int64_t subtracted, bool of_residual, Values values) {
        const double whole = of_residual ? std::sqrt(std::max(left_, 0.0)) * (1 + 1e-6) + 1e-6 * std::sqrt(norm2_)
                                         : std::sqrt(norm2_) + moved_;
        const double error = bound(subtracted) * whole * atoms_.longest();
        const double top = static_cast<double>(best[0]);
        // Whatever atom came next, add() would end with it.
        const bool nothing_left = left_ < 0.99 * std::numeric_limits<T>::epsilon() * norm2_;
        if (nothing_left || !(top + error > 0)) {
            done_ = true;
            return;
        }
        // Beyond the atoms stand zeros, which may be ahead where all products are negative.
        if (place >= atoms_.m() || !(top - static_cast<double>(best[1]) > 2 * error))
            place = decide(values(), top - 2 * error);
        if (place < 0) done_ = true;
        else add(place);
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
    double bound(int64_t subtracted) const {
        const auto roundings = static_cast<double>(atoms_.d() + subtracted + 16);
        return 1.01 * (sizeof(T) == 4 ? 0x1p-24 : 0x1p-52) * roundings;
    }

    /// The first atom with the largest float64 product among those whose screened one reaches `bar`; -1: there is none.
    int64_t decide(const T* values, double bar) {
        const int64_t d = atoms_.d();
        residual(residual_.data());
        int64_t found = -1;
        double most = -HUGE_VAL;
        for (int64_t j = 0; j < atoms_.m(); ++j) {
            const double screened = static_cast<double>(values[j]);
            if (!((options_.positive ? screened : std::abs(screened)) >= bar)) continue;
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

    void add(int64_t j) {
        const auto size = static_cast<int64_t>(support_.size());
        const int64_t at = std::find(support_.begin(), support_.end(), static_cast<int32_t>(j)) - support_.begin();
        if (at == size) learn(j);
        const double* products = pairs_.data() + at * (at + 1) / 2;
        double rest = right_[at];
        for (int64_t p = 0; p < size; ++p) rest -= coefs_[p] * (p <= at ? products[p] : pairs_[p * (p + 1) / 2 + at]);
        const double least = std::numeric_limits<T>::epsilon() * norm2_ * atoms_.norm2(j);
        const bool small = options_.positive ? !(rest > 0) || rest * rest < least : !(rest * rest >= least);
        if (small || (options_.orthogonal && at < size) || (options_.orthogonal && !extend(at))) {
            end(size);
            return;
        }
        if (!options_.orthogonal) {
            last_ = static_cast<int32_t>(j);
            step_ = rest / atoms_.norm2(j);
            if (at == size) coefs_.push_back(0);
            coefs_[at] += step_;
            moved_ += std::abs(step_) * std::sqrt(atoms_.norm2(j));
            left_ -= rest * step_;
        }
        ++steps_;
        done_ = steps_ == options_.steps || reached();
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
        moved_ = 0;
        for (std::size_t p = 0; p < coefs_.size(); ++p)
            moved_ += std::abs(coefs_[p]) * std::sqrt(atoms_.norm2(support_[p]));
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
    double norm2_ = 0, left_ = 0, tol_ = -1, moved_ = 0, step_ = 0;
    int64_t steps_ = 0;
    int32_t last_ = 0;
    bool done_ = true;
    std::vector<int32_t> support_;
    std::vector<double> right_, coefs_, pairs_, residual_, wide_;  // <x, w>, c, <w, w'> by rows of a triangle
    std::vector<const T*> others_, same_;
    ProgressiveCholesky cholesky_;
};

}  // namespace latom
