// pursuit.h: sparse codes of dense rows by matching pursuit, plain and orthogonal, and dictionaries that grow.
//
// The residual of a row x starts as x. Each step takes the atom w_j with the largest |<r, w_j>| (or <r, w_j>), then
//
//   plain        c_j += <r, w_j> / <w_j, w_j>                          (Mallat & Zhang 1993)
//   orthogonal   c = the least squares of x over the atoms taken       (Pati, Rezaiifar & Krishnaprasad 1993)
//
// Exact: the atoms taken are those of float64 products with the float64 residual, ties to the lowest index. Products in
// 16 bits only discard: with a proven bound on their rounding (algorithms/encode/screened_pursuit.h), an atom that is
// ahead of all others by more than it is taken, and others that are as near are compared in float64. So codes do not
// depend on threads, kernel variant, the rows beside, or whether a Gram matrix was there.
#pragma once

#include <memory>
#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

struct PursuitOptions {
    bool orthogonal = false;
    bool positive = false;  // plain alone: atoms with <r, w_j> > 0
    bool repeat = true;     // plain alone: an atom may be taken again
    int64_t steps = 1;      // at most; without `repeat` and orthogonal, at most m
    double tol = -1;        // stop once |r|^2 <= tol; below 0: never
    bool relative = false;  // tol counts in |x|^2
};

/// Compressed rows, indices rising within a row, no zeros stored.
template <class T>
struct PursuitCodes {
    std::vector<int64_t> indptr;  // [n + 1]
    std::vector<int32_t> indices;
    std::vector<T> values;
    std::vector<double> error;  // [n] |x - c W|^2, in float64
};

/// Whether products of atoms are kept [m, m]: then a step costs some m numbers read per atom taken, else m d
/// multiply-adds.
enum class GramUse { kNever, kWherePays, kAlways };

/// Atoms [m, d] that rows are pursued with; it holds copies: m d numbers, as many in 16 bits, and the Gram matrix, m^2
/// in 16 bits.
///
/// Cost of a row: m d multiply-adds in 16 bits once; then per step s, with a Gram matrix m (plain) or s m (orthogonal),
/// without one m d. The Gram matrix itself costs m^2 d, and append() m d per new atom.
template <class T>
class Dictionary {
public:
    using value_type = T;
    virtual ~Dictionary() = default;
    virtual int64_t m() const = 0;
    virtual int64_t d() const = 0;
    /// Atoms [count, d] after those that are there.
    virtual void append(const Context& ctx, const T* atoms, int64_t count) = 0;
    /// The rows `which` of X, x / |x|, after them; none of length 0.
    virtual void adopt(const Context& ctx, const StoredRows& X, const std::vector<int64_t>& which) = 0;
    /// Atoms [m, d] as they were appended.
    virtual void copy_atoms(T* out) const = 0;
    virtual PursuitCodes<T> pursue(const Context& ctx, const StoredRows& X, const PursuitOptions& options) = 0;
    /// Row by row, in order: a row that the atoms so far miss by more than `tol` |x|^2 becomes an atom, x / |x|, until
    /// there are `most`. Returns these rows; error [n] becomes |r|^2 / |x|^2 of each row with the atoms before it, NaN
    /// for rows that came too late.
    virtual std::vector<int64_t> grow(const Context& ctx, const StoredRows& X, const PursuitOptions& options,
                                      double tol, int64_t most, double* error) = 0;
};

/// Of d columns and no atoms.
template <class T>
std::unique_ptr<Dictionary<T>> make_dictionary(const Context& ctx, int64_t d, GramUse gram);

}  // namespace latom
