// passive_set.h: one non-negative least-squares problem, to its optimum.
//
//   min  x G x / 2 - p x  over x >= 0
//
// The active-set method of Lawson & Hanson (1974), from any x >= 0: solve for the coordinates that are positive, step
// until the first of them meets 0, and let in the coordinate that gains most, until none gains. The value falls with
// every step, so no set comes twice. A Cholesky factor follows the set: a coordinate that comes in or leaves costs
// some |S|^2 multiply-adds, the first set |S|^3 / 6.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/buffer.h"
#include "core/parallel.h"
#include "kernels/table.h"

namespace latom {

class PassiveSet {
public:
    /// Problems with this G [k, k], symmetric and positive semidefinite, which must outlive the object.
    PassiveSet(const KernelTable* kernels, const double* G, int64_t k)
        : dot_(kernels->f64.dense_dot),
          add_(kernels->f64.add_scaled),
          G_(G),
          k_(k),
          factor_(static_cast<std::size_t>(k * k)),
          numbers_(static_cast<std::size_t>(5 * k)),
          state_(static_cast<std::size_t>(k)) {}

    /// x [k] -> the optimum, from x. Coordinates without curvature stay.
    void solve(const double* p, double* x) {
        double scale = 0;  // the steepest slope at 0, along coordinates of curvature 1
        members_.clear();
        factored_ = 0;
        for (int64_t t = 0; t < k_; ++t) {
            const double curvature = at(t, t);
            state_[t] = !(curvature > 0) ? kStays : x[t] > 0 ? kIn : kOut;
            if (state_[t] == kIn) members_.push_back(t);
            if (curvature > 0) scale = std::max(scale, std::abs(p[t]) / std::sqrt(curvature));
        }
        minimize(p, x);
        for (int64_t round = 0; round < 4 * k_ + 16; ++round) {  // more would be rounding's
            poll();
            const int64_t entering = steepest(p, x, kSlope * scale);
            if (entering < 0) return;
            state_[entering] = kIn;
            members_.push_back(entering);
            minimize(p, x);
            if (x[entering] > 0) std::replace(state_.begin(), state_.end(), kRejected, kOut);
            else state_[entering] = kRejected;
        }
    }

    /// slopes [k] = G x - p.
    void slopes(const double* p, const double* x, double* slopes) const {
        for (int64_t t = 0; t < k_; ++t) slopes[t] = -p[t];
        for (int64_t t = 0; t < k_; ++t)
            if (x[t] != 0) add_(G_ + t * k_, x[t], k_, slopes);
    }

private:
    enum State : char { kOut, kIn, kRejected, kStays };  // rejected: it came in and, by rounding, gained nothing
    static constexpr double kSlope = 1e-13;              // of the scale: a flatter slope is rounding
    static constexpr double kPivot = 1e-13;  // of a diagonal: with less left, the coordinate depends on others

    double at(int64_t s, int64_t t) const { return G_[s * k_ + t]; }
    double* row(int64_t i) { return factor_.data() + i * k_; }
    int64_t size() const { return static_cast<int64_t>(members_.size()); }

    /// Of the coordinates outside the set, the one whose slope falls most steeply, by more than least; else -1.
    int64_t steepest(const double* p, const double* x, double least) {
        double* slope = numbers_.data();
        slopes(p, x, slope);
        int64_t found = -1;
        double lowest = -least;
        for (int64_t t = 0; t < k_; ++t) {
            if (state_[t] != kOut) continue;
            const double falls = slope[t] / std::sqrt(at(t, t));
            if (falls < lowest) found = t, lowest = falls;
        }
        return found;
    }

    /// x -> the minimum over the set, in steps; who meets 0 leaves it.
    void minimize(const double* p, double* x) {
        for (bool arrived = false; !arrived;) {
            poll();
            factorize();
            const double* wanted = solved(p);  // a coordinate that depends on others wants 0: they do its part
            double step = 1;
            int64_t stops = -1;
            for (int64_t i = 0; i < size(); ++i) {
                const double now = x[members_[i]];
                if (wanted[i] > 0) continue;
                double until = now / (now - wanted[i]);
                if (!(until > 0)) until = 0;
                if (stops < 0 || until < step) step = until, stops = i;
            }
            arrived = stops < 0;
            for (int64_t i = 0; i < size() && step > 0; ++i) {
                double& now = x[members_[i]];
                now = arrived ? wanted[i] : std::max(0.0, now + step * (wanted[i] - now));
            }
            if (!arrived) x[members_[stops]] = 0;
            for (int64_t i = size() - 1; i >= 0; --i)
                if (x[members_[i]] == 0) leave(i);
            for (const int64_t t : dependent_) {
                x[t] = arrived ? 0 : x[t] * (1 - step);
                if (x[t] > 0) members_.push_back(t);
                else state_[t] = kOut;
            }
        }
    }

    /// Rows of L, L L^T = G over the members, for those that have none yet. Members that depend on others go aside.
    void factorize() {
        dependent_.clear();
        while (factored_ < size()) {
            const int64_t t = members_[factored_];
            double* own = row(factored_);
            for (int64_t j = 0; j < factored_; ++j) own[j] = (at(t, members_[j]) - dot_(own, row(j), j)) / row(j)[j];
            const double left = at(t, t) - dot_(own, own, factored_);
            if (left > kPivot * at(t, t)) {
                own[factored_++] = std::sqrt(left);
            } else {
                dependent_.push_back(t);
                members_.erase(members_.begin() + factored_);
            }
        }
    }

    /// The minimum over the set, were numbers of any sign allowed.
    const double* solved(const double* p) {
        double *z = numbers_.data() + k_, *y = z + k_;
        for (int64_t i = 0; i < size(); ++i) z[i] = (p[members_[i]] - dot_(row(i), z, i)) / row(i)[i];
        for (int64_t i = size() - 1; i >= 0; --i) {
            y[i] = z[i] / row(i)[i];
            add_(row(i), -y[i], i, z);
        }
        return y;
    }

    /// Removes member i; rotations make a triangle of the rows that are left.
    void leave(int64_t i) {
        state_[members_[i]] = kOut;
        members_.erase(members_.begin() + i);
        double *cosine = numbers_.data() + 3 * k_, *sine = cosine + k_;
        for (int64_t r = i; r < size(); ++r) {
            const double* from = row(r + 1);
            double* to = row(r);
            std::copy_n(from, i, to);
            double carried = from[i];
            for (int64_t j = i; j < r; ++j) {
                to[j] = cosine[j] * carried + sine[j] * from[j + 1];
                carried = cosine[j] * from[j + 1] - sine[j] * carried;
            }
            const double last = from[r + 1], length = std::sqrt(carried * carried + last * last);
            cosine[r] = carried / length;
            sine[r] = last / length;
            to[r] = length;
        }
        --factored_;
    }

    decltype(TypedKernels<double>::dense_dot) dot_;
    decltype(TypedKernels<double>::add_scaled) add_;
    const double* G_;
    int64_t k_, factored_ = 0;
    AlignedVector<double> factor_, numbers_;  // L by rows; slopes, two solutions, rotations
    std::vector<State> state_;
    std::vector<int64_t> members_, dependent_;
};

}  // namespace latom
