// pair_losses.h: gradients of the losses on pairs (latom/pointwise.h has the table), and the losses themselves.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/sigmoid.h"
#include "latom/pointwise.h"

namespace latom {

/// d/ds and d/dg, ascent.
struct Pull {
    double signal, noise;
};

inline Pull pull_of_positive(PairLoss loss, double p, double gamma) {
    switch (loss) {
        case PairLoss::kNbpo:
            return {(1 - gamma) * (1 - p), -gamma * p};
        case PairLoss::kNbpoS:
            return {(1 - gamma) * p * (1 - p), -gamma * (1 - gamma) * p};
        case PairLoss::kNbpoO:
            return {1 - p, -gamma};
        default:
            return {1 - p, 0};
    }
}

inline Pull pull_of_negative(PairLoss loss, double p, double gamma) {
    const double D = 1 - p + gamma * p + 1e-10;
    switch (loss) {
        case PairLoss::kNbpo:
            return {gamma * (1 - p) - p, (1 - gamma) * p};
        case PairLoss::kNbpoS:
            return {-(1 - gamma) * p * (1 - p), gamma * (1 - gamma) * p};
        case PairLoss::kNbpoO:
            return {-(1 - gamma) * p * (1 - p) / D, gamma * (1 - gamma) * p / D};
        default:
            return {-p, 0};
    }
}

/// Of a pair of weight a (0: without a positive), where pairs without one weigh w.
inline double pull_of_relevance(double a, double w, double p) {
    return 2 * p * (1 - p) * (a * (1 - p) - w * (1 - a) * p);
}
inline double relevance_loss(double a, double w, double p) { return a * (1 - p) * (1 - p) + w * (1 - a) * p * p; }

/// The negative log-likelihood of a label.
inline double log_loss(bool positive, double p, double gamma) {
    const double likelihood = positive ? (1 - gamma) * p : 1 - p + gamma * p;
    return -std::log(std::max(likelihood, 1e-300));
}

}  // namespace latom
