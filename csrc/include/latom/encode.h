// encode.h: the k best atoms of dense rows, exactly.
//
//   dot          S(x, j) = <x, w_j> + b_j
//   cosine       S(x, j) = <x, w_j> / (|x| |w_j|)            0 where a length is 0
//   euclidean    S(x, j) = -|x - w_j|^2, ranked by <x, w_j> - |w_j|^2 / 2
//
// Exact: the sets are those of float64 scores (kernels/dot.inl.h has the order of summation), highest first, ties to
// the lowest index; scores are rounded once, to T. The same bits for every number of threads and every kernel variant.
// A low-precision screen discards the rest by a proven bound (engines/product_select/row_block.h); no [n, m] matrix is
// stored.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

enum class Similarity { kDot, kCosine, kEuclidean };
enum class Rank {
    kScore,      // the k largest scores
    kAbove,      // of those above a threshold: a row with fewer is filled with score 0, atom 0
    kMagnitude,  // the k largest |score|
};

/// What scores are held against: one number for all rows, or one per row.
struct Thresholds {
    double all = 0;
    const double* by_row = nullptr;  // [n], or null

    double operator[](int64_t i) const { return by_row ? by_row[i] : all; }
};

struct TopKStats {
    int64_t scored = 0;      // products decided in float64
    int64_t overflowed = 0;  // rows that went through all atoms in float64: too many ties within the screen's bound
};

/// Atoms [m, d] that rows are compared with. The view must outlive the object.
template <class T>
class AtomIndex {
public:
    using value_type = T;
    virtual ~AtomIndex() = default;
    virtual int64_t m() const = 0;
    virtual int64_t d() const = 0;
    /// Packs the atoms for the screen now: it pays from the second call with few rows on.
    virtual void pack(const Context& ctx) = 0;
    /// The k best atoms of each row into score [n, k] and index [n, k]; k <= m. Returns into found [n], unless null,
    /// how many places of a row are not filling.
    virtual TopKStats topk(const Context& ctx, const StoredRows& X, int64_t k, Rank rank, const Thresholds& thresholds,
                           T* score, int32_t* index, int64_t* found) = 0;
    /// The k best by score of the atoms that a row does not leave out: row i of `without`, whose indices rise. Where
    /// fewer than k are left, score -inf and index -1 fill the places behind.
    virtual TopKStats topk_without(const Context& ctx, const StoredRows& X, int64_t k, const Pattern<int32_t>& without,
                                   T* score, int32_t* index) = 0;
    /// The best atom of each row, and its score in float64: labels [n] and scores [n] as Lloyd's (cluster.h). score may
    /// be null.
    virtual TopKStats nearest(const Context& ctx, const StoredRows& X, double* score, int32_t* label) = 0;
};

/// All atoms of each row with scores above its threshold, in compressed rows: indices rise within a row.
template <class T>
struct Matches {
    std::vector<int64_t> indptr;  // [n + 1]
    std::vector<int32_t> indices;
    std::vector<T> scores;
};
template <class T>
Matches<T> above(const Context& ctx, AtomIndex<T>& atoms, const StoredRows& X, const Thresholds& thresholds);

/// bias [m] may be null, and must be under cosine and euclidean. screen: "auto", "float32", "int16", "bfloat16" or
/// "int8". pairs: whether X that is the atoms is screened with one product for each two rows: "auto", "always" or
/// "never".
template <class T>
std::unique_ptr<AtomIndex<T>> make_atom_index(const Context& ctx, const DenseView<T>& atoms, const double* bias,
                                              Similarity similarity, const std::string& screen,
                                              const std::string& pairs = "auto");

/// Rows from codes and atoms.
///
///   out_i = b + sum_p value_p W[index_p]        over the stored entries p of row i
///
/// In T, entry by entry in stored order, b first; products are rounded before they are added. The bits are the same for
/// every number of threads and every kernel variant.
/// bias [d] may be null; out [n, d] is written. Indices that are not in [0, m), and rows that do not come out
/// finite, are refused. Cost: 2 nnz d flops.
template <class T, class I>
void decode(const Context& ctx, const Codes<T, I>& codes, const DenseView<T>& atoms, const T* bias, T* out);

/// The center of the rows as part of the atoms' bias, so that rows need not be centered.
///
///   <x - c, w_j> + b_j  =  <x, w_j> + out_j,        out_j = b_j - <w_j, c>
///
/// float64 throughout, in the order of kernels/dot.inl.h.
/// center [d]; bias [m] may be null; out [m]. Cost: m d multiply-adds.
template <class T>
void fold_center(const Context& ctx, const DenseView<T>& atoms, const double* center, const double* bias, double* out);

}  // namespace latom
