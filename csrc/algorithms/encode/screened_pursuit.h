// screened_pursuit.h: the steps of a row's pursuit that a Gram matrix in 16 bits screens.
//
//   a~ = s - sum_p (c_p - c'_p) G_p
//
// s are screened products with a residual that was computed before, where coefficients were c' (0 at first), G_p the
// rows of atoms taken (algorithms/encode/pursuit_atoms.h has both, and what they are off by). Orthogonal pursuit
// changes all coefficients in each step, so it sums over all p: f_p = (c_p - c'_p) unit_p is rounded to 16 bits, k_p,
// in units u, and u sum k_p g_p is a sum of integers. Plain pursuit changes one, and subtracts its row. So a~ is off by
//
//   error(s) + sum_p |c_p - c'_p| gram_error_p + 2^15 sum_p |f_p - u k_p| + 2^-21 (the size of what is summed)
//
// Without a Gram matrix a row makes one step, then has products computed anew; with one, where too many atoms are
// within the error, as it stays while the residual shrinks.
//
// Cost of a step: m numbers of 16 bits per atom taken (orthogonal), or of one (plain). Memory: a row of G per atom
// taken, twice m floats.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "algorithms/encode/row_pursuit.h"
#include "core/prefetch.h"

namespace latom {

template <class T>
class ScreenedPursuit {
public:
    ScreenedPursuit(const PursuitAtoms<T>& atoms, const PursuitOptions& options, bool gram)
        : atoms_(atoms), options_(options), gram_(gram) {}

    /// products [width] with the residual of the row, within `error`; they are written over, and outlive this pursuit.
    void begin(RowPursuit<T>& row, float* products, double error) {
        row_ = &row;
        start_ = products;
        error_ = fresh_ = error;
        drift_ = 0;
        chosen_ = RowPursuit<T>::kNone;
        before_ = row.coefs();
        values_.resize(static_cast<std::size_t>(options_.orthogonal ? atoms_.width() : 0));
        block_.resize(static_cast<std::size_t>(atoms_.width() / kPursuitBlock));
        woven_ = 0;
        if (!options_.repeat)
            for (const int32_t j : row.support()) start_[j] = std::numeric_limits<float>::quiet_NaN();
    }
    bool busy() const { return row_ != nullptr; }

    /// Takes an atom, or finds the first; what is needed of the next is on its way. Not busy any more: the row has
    /// ended, or wants products with its residual.
    void step() {
        if (chosen_ == RowPursuit<T>::kNone) {
            kernels().pursuit_pairs(start_, nullptr, nullptr, 0, 0, atoms_.width(), !options_.positive, start_,
                                    block_.data());
        } else {
            row_->add(chosen_);
            if (row_->done() || !gram_) return stop();
            if (options_.orthogonal) subtract_all();
            else subtract_last();
        }
        const bool first = chosen_ == RowPursuit<T>::kNone;
        const double again = first ? HUGE_VAL : atoms_.usual_error() * std::sqrt(std::max(row_->left(), 0.0));
        chosen_ = row_->choose(first || !options_.orthogonal ? start_ : values_.data(), block_.data(), error_, again);
        if (chosen_ < 0) return stop();
        if (gram_)  // the beginning of each page: the processor finds the rest
            for (int64_t from = 0; from < atoms_.width(); from += 2048) prefetch(atoms_.gram(chosen_) + from, 512);
        prefetch(atoms_.row(chosen_), atoms_.d());
    }

private:
    const KernelTable& kernels() const { return *atoms_.kernels(); }
    void stop() { row_ = nullptr; }
    double moved(std::size_t p) const { return row_->coefs()[p] - (p < before_.size() ? before_[p] : 0.0); }

    void subtract_last() {
        const int32_t j = row_->last_atom();
        const double step = row_->last_step();
        kernels().pursuit_row(atoms_.gram(j), static_cast<float>(step * atoms_.gram_unit(j)), atoms_.width(),
                              !options_.positive, start_, block_.data());
        drift_ += std::abs(step) * (atoms_.gram_error(j) + 0x1p-21 * 0x1p15 * atoms_.gram_unit(j)) +
                  0x1p-22 * atoms_.longest();
        error_ = fresh_ + drift_;
        if (!options_.repeat) forget(j);
    }

    // Atom j is never taken again.
    void forget(int64_t j) {
        start_[j] = std::numeric_limits<float>::quiet_NaN();
        const int64_t first = j / kPursuitBlock * kPursuitBlock;
        float most = -HUGE_VALF;
        for (int64_t i = first; i < first + kPursuitBlock; ++i) {
            const float v = options_.positive ? start_[i] : std::abs(start_[i]);
            if (v > most) most = v;
        }
        block_[static_cast<std::size_t>(j / kPursuitBlock)] = most;
    }

    void subtract_all() {
        const auto& support = row_->support();
        weave(support);
        factor_.resize(support.size());
        double sum = 0, most = 0, moves = 0;
        error_ = fresh_;
        for (std::size_t p = 0; p < support.size(); ++p) {
            const double unit = atoms_.gram_unit(support[p]);
            factor_[p] = moved(p) * unit;
            sum += std::abs(factor_[p]);
            most = std::max(most, std::abs(factor_[p]));
            moves += std::abs(factor_[p]) * 0x1p15;
            error_ += std::abs(moved(p)) * atoms_.gram_error(support[p]);
        }
        const double unit = std::max(most / 32767, sum / 65000);
        cells_.assign((support.size() + 1) / 2, 0u);
        for (std::size_t p = 0; unit > 0 && p < support.size(); ++p) {
            const double rounded = std::nearbyint(factor_[p] / unit);
            error_ += 0x1p15 * std::abs(factor_[p] - rounded * unit);
            const auto bits = static_cast<std::uint32_t>(static_cast<std::uint16_t>(static_cast<int>(rounded)));
            cells_[p / 2] |= bits << (p % 2 ? 16 : 0);
        }
        error_ += 0x1p-21 * moves;
        kernels().pursuit_pairs(start_, rows_.data(), cells_.data(), static_cast<int64_t>(cells_.size()),
                                static_cast<float>(unit), atoms_.width(), !options_.positive, values_.data(),
                                block_.data());
    }

    // Rows of G that are not there yet, two and two.
    void weave(const std::vector<int32_t>& support) {
        const auto width = static_cast<std::size_t>(atoms_.width());
        for (; woven_ < support.size(); ++woven_) {
            const std::size_t pair = woven_ / 2;
            if (pair == pairs_.size()) pairs_.emplace_back();
            if (pairs_[pair].size() < width) pairs_[pair].resize(width);
            if (rows_.size() <= pair) rows_.resize(pair + 1);
            rows_[pair] = pairs_[pair].data();
            kernels().weave_row(atoms_.gram(support[woven_]), woven_ % 2 == 1, atoms_.width(), pairs_[pair].data());
        }
    }

    const PursuitAtoms<T>& atoms_;
    const PursuitOptions& options_;
    bool gram_;
    RowPursuit<T>* row_ = nullptr;
    float* start_ = nullptr;
    double error_ = 0, fresh_ = 0, drift_ = 0;
    int64_t chosen_ = -1;
    std::size_t woven_ = 0;
    std::vector<double> before_, factor_;
    std::vector<AlignedVector<std::uint32_t>> pairs_;
    std::vector<const std::uint32_t*> rows_;
    std::vector<std::uint32_t> cells_;
    AlignedVector<float> values_, block_;
};

}  // namespace latom
