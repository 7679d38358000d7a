// seed.h: rows of X as starting centers, by the law of k-means++ (Arthur & Vassilvitskii 2007).
//
//   first center   row i with probability proportional to w_i
//   each next      to w_i D^2(i),     D^2(i) the squared distance of row i to the nearest center so far
//                  (Euclidean, or 2 - 2 cos under cosine: that of the rows scaled to length 1)
//
// Draws are Philox numbers keyed by (seed, draw): results depend neither on threads nor on the kernel variant.
// Rows of weight 0, and under cosine rows of norm 0, are never drawn while others are left.
//
// Sources   rejection: Shah, Agrawal & Jaiswal 2025; AFK-MC^2: Bachem, Lucic, Hassani & Krause 2016; k-means||:
//           Bahmani, Moseley, Vattani, Kumar & Vassilvitskii 2012; greedy trials: as in scikit-learn.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

enum class SeedMethod {
    kAuto,
    kExact,      // D^2 of all rows after every center
    kFold,       // draws by stale bounds, rejected down to D^2; now and then the bounds are brought up to date
    kRejection,  // the same from one bound, but where max(n, 1024) draws in a row are rejected
};

/// What a rejection starts from: B_i >= D^2(i). A center then takes sum_i w_i B_i / sum_i w_i D^2(i) draws on average.
enum class SeedBound {
    kAuto,
    kFirstCenter,  // the squared distance to the first center
    kPaper,        // 2 (|x_i - mu|^2 + |c_1 - mu|^2), mu the weighted mean
    kCap,  // no pass over the data: 4 under cosine, 2 without negative entries; (|x_i| + max |x|)^2, or the sum of
           // squares
};

/// Who finds the nearest of some new centers for all rows of X, such as a GPU: centers are rows of X by their numbers.
/// Writes which of them is nearest to each row (ties to the first) and their product, as kernels/dot.inl.h has it.
using NearestOf = std::function<void(const std::vector<int64_t>& centers, int32_t* nearest, double* dot)>;

struct SeedPlan {
    SeedMethod method = SeedMethod::kAuto;
    SeedBound bound = SeedBound::kAuto;
    int64_t local_trials =
        1;  // greedy: so many draws per center, of which the one that lowers the potential most is taken
    double budget = HUGE_VAL;  // multiply-adds of kExact from which on the rest is drawn one at a time, as by kFold
    int64_t max_trials =
        0;  // kRejection: after so many rejections in a row a center is drawn by weight alone; 0: never
    bool potential = false;  // compute it at the end, where the method does not know it
    /// Products of all pairs of dense rows, where they are known: dots[i * stride + l], as kernels/dot.inl.h has them.
    const double* dots = nullptr;
    int64_t stride = 0;
    NearestOf nearest{};  // of dense rows, for folds; empty: they are made here
};

struct Seeding {
    std::vector<int64_t> indices;  // [m], rows of X, distinct
    int64_t distinct = 0;          // the first so many were drawn by the law; the rest fill up (all D^2 were zero)
    double potential = -1;         // sum_i w_i D^2(i) at the end; -1 if unknown
    SeedMethod method = SeedMethod::kExact;
    int64_t trials = 0;   // draws
    int64_t greedy = 0;   // centers drawn by kExact, with all local trials
    int64_t uniform = 0;  // centers drawn by weight alone, after max_trials
    int64_t folds = 0;    // times that the bounds of all rows were brought up to date
    double products = 0;  // multiply-adds
};

/// `existing` (null, or of the type of X) holds centers that are there already; m counts new ones.
/// Cost: at most m dot products per row, O(m nnz); for rejection one or two passes, and m^2/2 dot products times the
/// mean number of draws. Extra memory O(n + m d); kExact on CSR: one more copy of X, by columns.
template <class View>
Seeding kmeans_plusplus(const Context& ctx, const Rows<View>& X, const Rows<View>* existing, const double* weights,
                        Metric metric, int64_t m, const SeedPlan& plan);

/// Markov chains of `chain` steps in place of the law: proposals half by w_i D^2(i, first center), half by w_i.
template <class View>
Seeding afkmc2(const Context& ctx, const Rows<View>& X, const double* weights, Metric metric, int64_t m, int64_t chain);

/// Rows for k-means||: one row, then `rounds` times each row by itself with probability `amount` w_i D^2(i) /
/// potential; more by the law of k-means++ if those are fewer than m. Cost: a pass over the data and the new rows a
/// round.
struct Candidates {
    std::vector<int64_t> indices;  // distinct rows, in the order of drawing
    std::vector<double> mass;      // weight of the rows that are nearest to each
    double potential = 0;
};
template <class View>
Candidates parallel_candidates(const Context& ctx, const Rows<View>& X, const double* weights, Metric metric, int64_t m,
                               double amount, int64_t rounds, const NearestOf& nearest);

/// A few weighted rows that stand for all, so that clustering them costs less.
///
///   lightweight   q_i = w_i / 2 W + w_i D^2(i, mu) / 2 V,     mu the weighted mean, V = sum_i w_i D^2(i, mu)
///                 (Bachem, Lucic & Krause 2018)
///   sensitivity   q_i ~ w_i (a D^2(i) / c + 2 a C_b / (W_b c) + 4 W / W_b),     a = 16 (ln m + 2),  c = sum w D^2 / W
///                 from m rough centers drawn by k-means++, b the cluster of row i, W_b its weight, C_b = sum_b w D^2
///                 (Bachem, Lucic & Krause 2017, after Langberg & Schulman 2010)
///
/// `size` rows are drawn by q with replacement; each draw of row i adds w_i / (size q_i) to its weight, so that
/// weighted sums over the coreset are unbiased. Distances are those of k-means++ above.
struct Coreset {
    std::vector<int64_t> indices;  // rising, distinct: at most `size`
    std::vector<double> weights;
};

/// rough_centers 0: lightweight. Cost: two passes; for sensitivity a k-means++ and a pass over all rows and its
/// centers.
template <class View>
Coreset coreset(const Context& ctx, const Rows<View>& X, const double* weights, Metric metric, int64_t size,
                int64_t rough_centers);

/// `size` numbers below n in proportion to weights [n], in the order of drawing. Without replacement there may be
/// fewer.
std::vector<int64_t> weighted_sample(const Context& ctx, const double* weights, int64_t n, int64_t size,
                                     bool replacement);

}  // namespace latom
