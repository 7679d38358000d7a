"""Starting centers of many dense rows: the best of a few runs on a coreset that stands for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_seed
from latom._base.backend import backend, call
from latom._base.rows import Rows
from latom.seed.kmeans_parallel import coreset_size, stands_for_all
from latom.seed.kmeans_plusplus import local_trials

# Runs on the coreset, and steps of each; by measurement.
RUNS, STEPS = 3, 10


def refined_start(
    name: str,
    rows: Rows,
    m: int,
    weights: NDArray[np.float64] | None,
    metric: str,
    rng: Any,
    n_threads: int | None,
) -> Any:
    """Centers [m, d] that a run on all rows starts from; None where a coreset would not pay.

    Each run draws m rows of the coreset by greedy k-means++ and takes a few steps of k-means on it; the
    centers of the lowest objective are kept. So a run on all rows starts near where it ends, and seldom in a
    poor place.

    Source: Bradley & Fayyad, "Refining initial points for k-means clustering", 1998.
    """
    if not stands_for_all(rows, m):
        return None
    context = call(name, n_threads, as_seed(name, rng))
    size = coreset_size(len(rows), m)
    drawn, mass = backend().coreset(context, rows.core, size, 0, weights, metric)
    if len(drawn) < 2 * m:
        return None  # nearly all rows are alike
    sample = rows.core.subset(context, drawn)
    trials, budget = local_trials(name, None, rows, m)
    lloyd = backend().Lloyd(context, sample, mass, metric)
    best, least = None, np.inf
    for _ in range(RUNS):
        context = call(name, n_threads, as_seed(name, rng))
        found = backend().kmeans_plusplus(
            context, sample, m, mass, metric, local_trials=trials, budget=budget
        )
        if found["distinct"] < m:
            return None
        lloyd.set_centers(sample.subset(context, found["indices"]), metric == "cosine")
        for step in range(STEPS):
            _, objective, _ = lloyd.assign(step == STEPS - 1)  # nobody asks for those before
            lloyd.update()
        if objective < least:
            best, least = lloyd.centers(), objective
    return best
