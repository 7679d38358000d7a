"""Starting centers of many dense rows: the best of a few runs on a coreset that stands for them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_seed
from latom._base.backend import backend, call
from latom._base.rows import Rows
from latom.seed.kmeans_plusplus import LITTLE, local_trials

# Rows of the coreset: one in so many of all, but at least so many, and at most so many unless clusters need
# more: the larger pair where it pays. Runs on it, and the steps of each. All by measurement.
SHARE, LEAST_ROWS, MOST_ROWS_AND_PER_CLUSTER = 8, 2048, ((8192, 64), (4096, 32))
RUNS, STEPS = 3, 10
SCREENED = 16  # multiply-adds of the screen in the time of one in float64


def refined_start(
    name: str,
    rows: Rows,
    m: int,
    weights: NDArray[np.float64] | None,
    metric: str,
    rng: Any,
    n_threads: int | None,
) -> Any:
    """Centers [m, d] that a run on all rows starts from; None where a coreset does not pay or misses rows.

    Each run draws m rows of the coreset by greedy k-means++ and takes a few steps of k-means on it; the
    centers of the lowest objective are kept. So a run on all rows starts near where it ends, and seldom in a
    poor place.

    Source: Bradley & Fayyad, "Refining initial points for k-means clustering", 1998.
    """
    size = _coreset_size(rows, m)
    if not size:
        return None
    context = call(name, n_threads, as_seed(name, rng))
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


def _coreset_size(rows: Rows, m: int) -> int:
    """Rows of the coreset; 0 where none pays."""
    for most, per_cluster in MOST_ROWS_AND_PER_CLUSTER:
        size = max(min(max(LEAST_ROWS, len(rows) // SHARE), most), per_cluster * m)
        if _pays(rows, m, size):
            return size
    return 0


def _pays(rows: Rows, m: int, size: int) -> bool:
    """Whether a coreset of so many dense rows is as good as all of them, and costs less than k-means‖."""
    trials = 2 + math.log(m)
    greedy = rows.entries * m * trials
    if rows.sparse or len(rows) < 4 * size or greedy < LITTLE / 16:
        return False
    # Multiply-adds per column, in float64 beyond those of both.
    rounds = 5 * m * (len(rows) / (SCREENED if m >= 16 else 1) + m * trials)
    return m * size * trials <= rounds
