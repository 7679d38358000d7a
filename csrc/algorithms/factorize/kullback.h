// kullback.h: the multiplicative step for the generalised Kullback-Leibler divergence, without a dense W H.
//
//   D(X, Y) = sum_ij X_ij log(X_ij / Y_ij) - X_ij + Y_ij,     Y = A F^T        (Lee & Seung 2001)
//   A_ic <- A_ic * ( sum_j X_ij / Y_ij F_jc ) / ( sum_j F_jc + l1 + l2 A_ic )
//
// The sum over j runs over stored entries, where alone Y is needed. Y below 2^-23 counts as that; so does a denominator
// of 0. In T; the same bits for every number of threads and every kernel variant.
#pragma once

#include "algorithms/factorize/transposed.h"

namespace latom {

template <class T>
struct KullbackStep {
    const T* A;          // [rows, k]
    DenseView<T> F;      // [columns, k]
    const double* sums;  // [k]: of the columns of F
    double l1, l2;
    T* out;  // [rows, k]: A afterwards
};

/// Returns sum X_ij log Y_ij over the stored entries, with A as it was. Cost: 4 nnz k flops and nnz logarithms.
template <class T, class I>
double kullback_step(const Context& ctx, const CsrView<T, I>& X, const KullbackStep<T>& step);
/// The same for X^T: A belongs to the columns of X, F to its rows.
template <class T>
double kullback_step(const Context& ctx, const Transposed<T>& X, const KullbackStep<T>& step);

}  // namespace latom
