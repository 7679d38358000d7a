// pointwise.h: factors of a pattern of positives by stochastic gradient steps, pair after pair.
//
//   s_ui = <u_u, v_i>, p = 1 / (1 + exp(-s));     g_ui = <a_u, b_i>, gamma = 1 / (1 + exp(-g)) where a loss has noise
//
// A step takes a positive (u, i) and `negatives` columns j that u has not, and moves their factors along the gradient
// of the loss (ascent; d/ds and d/dg of a positive | of a negative; a positive counts once per negative):
//
//   bpr       sigma(-(s_ui - s_uj)) | minus that                       (Rendle et al. 2009)
//   bpo       1 - p | -p                                               the logistic loss
//   nbpo      (1-gamma)(1-p), -gamma p | gamma(1-p) - p, (1-gamma) p   (Yu & Qin 2020: their surrogate)
//   nbpo_s    (1-gamma) p (1-p), -gamma(1-gamma) p | minus these       the likelihood, summed without logarithms
//   nbpo_o    1-p, -gamma | minus (1-gamma) p (1-p) / D, -gamma(1-gamma) p / D,   D = 1 - p + gamma p
//
// "relevance" is Saito et al. 2020 (Rel-MF): a (1-p)^2 + w (1-a) p^2 at a positive of weight a = 1/propensity, and
// w p^2 at pairs without one, which are drawn from all rows and columns alike.
//
// Determinism without locks. Rows are cut into P runs of about as many positives, columns by chance, anew in each
// epoch, into P sets. In round r task t has the pairs of run t and set (t + r) mod P, and draws negatives from that
// set: tasks of a round touch different factors. Draws are keyed by (seed, epoch, sample). P depends on shapes alone,
// so factors have the same bits for every number of threads, as for every kernel variant. A set is small enough that
// its factors stay in the cache.
#pragma once

#include "latom/context.h"
#include "latom/views.h"

namespace latom {

enum class PairLoss { kBpr, kBpo, kNbpo, kNbpoS, kNbpoO, kRelevance };

/// Factors of rows and of columns, `width` apart: whole lines of 64 bytes, padded with zeros.
struct PairFactors {
    float *rows, *columns;
    int64_t width;
    float rate, decay;  // a step multiplies what it touches by 1 - rate * decay
    int64_t ones = -1;  // rows keep a 1 there, beside which columns have a bias; -1 for none
};

struct PairProblem {
    Pattern<int32_t> positives;  // [n, m]; columns of a row rise
    const float* weights;        // [nnz], or null for ones; read by kRelevance
    int64_t m;
    PairLoss loss;
    int64_t negatives;  // per positive, in [1, 2^12]
    double unlabelled;  // w of kRelevance
    PairFactors signal;
    PairFactors noise;           // rows null: the loss has none
    bool fixed_columns = false;  // columns stay: rows are folded in
};

/// One epoch: each positive once. Returns the mean loss of every 16th step, as it was met.
/// Cost: (negatives + 1) (6 k) flops and a line of k numbers read and written per pair; 16 bytes per positive.
double pair_epoch(const Context& ctx, const PairProblem& problem, int64_t epoch);

}  // namespace latom
