// center_step.h: the center of a cluster from the sum of its rows, and how far it has moved.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/table.h"
#include "latom/context.h"
#include "rows/atom.h"

namespace latom {

template <class T>
double self_dot(const KernelTable* kernels, const Atom<T>& atom) {
    return kernels->of<T>().dense_dot(atom.value.data(), atom.value.data(), static_cast<int64_t>(atom.value.size()));
}

template <class T>
void drop_zeros(Atom<T>& atom) {
    if (std::find(atom.value.begin(), atom.value.end(), T{0}) == atom.value.end()) return;
    std::size_t kept = 0;
    for (std::size_t p = 0; p < atom.value.size(); ++p)
        if (atom.value[p] != T{0}) {
            atom.column[kept] = atom.column[p];
            atom.value[kept++] = atom.value[p];
        }
    atom.column.resize(kept);
    atom.value.resize(kept);
}

/// The sum of a cluster's rows, of weight `total`, as a center: at length 1 (cosine), or their mean. column: of the
/// values, empty for dense rows. Returns false, and leaves `next`, where the sum cancels: the cluster keeps its center.
template <class T>
bool center_of_sum(const KernelTable* kernels, Metric metric, const std::vector<int32_t>& column,
                   const std::vector<double>& sum, double total, bool sparse, Atom<T>& next) {
    double length = total;
    if (metric == Metric::kCosine)
        length = std::sqrt(kernels->of<double>().dense_dot(sum.data(), sum.data(), static_cast<int64_t>(sum.size())));
    if (!(length > (metric == Metric::kCosine ? 1e-12 * total : 0.0))) return false;
    next.value.resize(sum.size());
    for (std::size_t p = 0; p < sum.size(); ++p) next.value[p] = static_cast<T>(sum[p] / length);
    next.column = column;
    if (sparse) drop_zeros(next);
    next.norm2 = self_dot(kernels, next);
    return true;
}

struct CenterMove {
    double shift2 = 0;  // ||new - old||^2; 0 only where nothing has changed
    double drift = 0;   // angle (cosine) or distance between the two, never too small
};

template <class T>
CenterMove measure_move(Metric metric, const Atom<T>& old, const Atom<T>& next, int64_t d, AtomScratch<T>& scratch) {
    if (old.column == next.column && old.value == next.value) return {};
    const T* dense = scratch.load(next, d);
    double dot = 0;
    for (std::size_t p = 0; p < old.value.size(); ++p)
        dot += static_cast<double>(old.value[p]) * static_cast<double>(dense[old.column.empty() ? p : old.column[p]]);
    scratch.clear();
    const double gap2 = std::max(0.0, old.norm2 + next.norm2 - 2 * dot);
    const double rounding = 1e-12 + 2.3e-16 * static_cast<double>(old.value.size());
    CenterMove move{std::max(gap2, 1e-300), 0};
    if (metric == Metric::kEuclidean) {
        move.drift = std::sqrt(gap2 + rounding * (old.norm2 + next.norm2));
    } else if (old.norm2 > 0 && next.norm2 > 0) {
        const double chord2 = std::max(0.0, 2 - 2 * dot / std::sqrt(old.norm2 * next.norm2));
        move.drift = 2 * std::asin(std::min(1.0, 0.5 * std::sqrt(chord2 + 2 * rounding))) + 1e-9;
    } else {
        move.drift = 4;  // more than any angle
    }
    return move;
}

}  // namespace latom
