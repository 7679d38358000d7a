// topk.h: the k best atoms of dense rows, exactly.
//
//   dot          S(x, j) = <x, w_j> + b_j
//   cosine       S(x, j) = <x, w_j> / (|x| |w_j|)            0 where a length is 0
//   euclidean    S(x, j) = -|x - w_j|^2, ranked by <x, w_j> - |w_j|^2 / 2
//
// Exact: the sets are those of float64 scores (kernels/dot.inl.h has the order of summation), highest first, ties to
// the lowest index; scores are rounded once, to T. The same bits for every number of threads and every kernel variant.
// A low-precision screen discards the rest by a proven bound (algorithms/product_select.h); no [n, m] matrix is stored.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

/// How the numbers of dense rows are stored. Half precision is widened a block at a time.
enum class Storage { kNative, kFloat16, kBFloat16 };

/// Dense rows [n, d], C-contiguous: T, or 16-bit numbers where T is float.
struct StoredRows {
    const void* data;
    int64_t n, d;
    Storage storage = Storage::kNative;
};

enum class Similarity { kDot, kCosine, kEuclidean };
enum class Rank {
    kScore,      // the k largest scores
    kAbove,      // of those above a threshold: a row with fewer is filled with score 0, atom 0
    kMagnitude,  // the k largest |score|
};

struct TopKStats {
    int64_t scored = 0;   // products decided in float64
    int64_t crowded = 0;  // rows that went through all atoms in float64: too many ties within the screen's bound
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
    virtual void pack(const Context& ctx, const std::string& function) = 0;
    /// The k best atoms of each row into score [n, k] and index [n, k]; k <= m. Returns into found [n], unless null,
    /// how many places of a row are not filling.
    virtual TopKStats topk(const Context& ctx, const StoredRows& X, int64_t k, Rank rank, double threshold, T* score,
                           int32_t* index, int64_t* found, const std::string& function) = 0;
};

/// All atoms of each row with scores above a threshold, in compressed rows: indices rise within a row.
template <class T>
struct Matches {
    std::vector<int64_t> indptr;  // [n + 1]
    std::vector<int32_t> indices;
    std::vector<T> scores;
};
template <class T>
Matches<T> above(const Context& ctx, AtomIndex<T>& atoms, const StoredRows& X, double threshold,
                 const std::string& function);

/// bias [m] may be null, and must be under cosine and euclidean. screen: "auto", "float32", "int16", "bfloat16" or
/// "int8".
template <class T>
std::unique_ptr<AtomIndex<T>> make_atom_index(const Context& ctx, const DenseView<T>& atoms, const double* bias,
                                              Similarity similarity, const std::string& screen,
                                              const std::string& function);

}  // namespace latom
