"""k-means‖, and what the estimators start from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_clusters, check_integer, check_metric, check_number
from latom._base.device import place_of
from latom._base.device_rows import DeviceRows
from latom._base.rows import Rows, row_weights
from latom.seed.device_folds import nearest_by, on_place, rows_of_call
from latom.seed.kmeans_plusplus import LITTLE, draw, local_trials, warn_of_copies


def kmeans_parallel(
    X: Matrix,
    n_clusters: int,
    *,
    rounds: int = 5,
    oversampling: float = 2.0,
    n_local_trials: int | str | None = None,
    metric: str = "cosine",
    sample_weight: Any = None,
    random_state: Any = None,
    n_threads: int | None = None,
    device: str | None = None,
) -> tuple[Matrix, NDArray[np.int64]]:
    """Choose starting centers among many rows that a few rounds draw at once (k-means‖).

    Each round draws every row by itself with probability proportional to weight times squared distance,
    oversampling * n_clusters of them on average. The rows drawn, weighted by the rows nearest to each, are
    then reduced to n_clusters by greedy k-means++. Starts are as good as those of greedy k-means++ on all
    rows, at a fraction of its cost.

    Parameters
    ----------
    X, n_clusters, metric, sample_weight, random_state, n_threads, device
        As in :func:`latom.kmeans_plusplus`.
    rounds : int, default 5
        Rounds; too few rows for n_clusters are made up for by k-means++.
    oversampling : float, default 2.0
        Rows drawn a round, as a multiple of n_clusters.
    n_local_trials : int, None or "auto", default None
        Trials of the reduction, as in :func:`latom.kmeans_plusplus`; "auto" counts iterations over all of X.

    Returns
    -------
    centers : array or CSR of shape (n_clusters, d)
        The rows chosen, as they stand in X.
    indices : int64 array of shape (n_clusters,)
        Their row numbers, all different.

    Raises
    ------
    ValueError
        If n_clusters is not in [1, n], rounds or oversampling are out of range, or X holds NaN or infinity.

    Notes
    -----
    Costs a pass over X per round, with oversampling * n_clusters dot products per row.

    Source: Bahmani, Moseley, Vattani, Kumar & Vassilvitskii, "Scalable k-means++", 2012.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.concatenate([np.zeros((50, 2)), np.full((50, 2), 9.0)])
    >>> centers, rows = latom.kmeans_parallel(X, 2, metric="euclidean", random_state=0)
    >>> sorted(centers[:, 0].tolist()), bool((X[rows] == centers).all())
    ([0.0, 9.0], True)
    """
    function = "kmeans_parallel"
    check_metric(function, metric)
    place = place_of(function, device, X=X)
    rows, there = rows_of_call(function, place, X)
    m = check_clusters(function, n_clusters, len(rows))
    amount = check_number(function, "oversampling", oversampling) * m
    trials = local_trials(function, n_local_trials, rows, m)
    context = call(function, n_threads, as_seed(function, random_state))
    weights = row_weights(function, sample_weight, rows, metric)
    rounds = check_integer(function, "rounds", rounds)
    indices, distinct = _draw_parallel(context, rows, m, weights, metric, amount, rounds, trials, there)
    warn_of_copies(function, distinct, m)
    found: tuple[Matrix, NDArray[np.int64]] = on_place(place, rows[indices], indices)
    return found


def _draw_parallel(
    context: Any,
    rows: Rows,
    m: int,
    weights: NDArray[np.float64] | None,
    metric: str,
    amount: float,
    rounds: int,
    trials: tuple[int, float],
    there: DeviceRows | None = None,
) -> tuple[NDArray[np.int64], int]:
    """m rows chosen among those of the rounds, and how many of them are distinct."""
    nearest = nearest_by(context.function, rows, there, metric)
    drawn, mass, _ = backend().parallel_candidates(
        context, rows.core, m, amount, rounds, weights, metric, nearest
    )
    drawn, mass = drawn[mass > 0], mass[mass > 0]
    if len(drawn) == m:
        return drawn, m
    if len(drawn) < m:  # all distinct rows: something must fill up
        return draw(context, rows, m, weights, metric)[0], len(drawn)
    return drawn[_reduced(context, rows, drawn, mass, m, metric, trials)], m


def starting_rows(
    function: str,
    rows: Rows,
    m: int,
    weights: NDArray[np.float64] | None,
    metric: str,
    random_state: Any,
    n_threads: int | None,
    there: DeviceRows | None = None,
) -> NDArray[np.int64]:
    """The rows that estimators start from, by greedy k-means++ or what is as good by measurement and cheaper.

    On documents one trial is as good as several. Of many dense rows those that the rounds of k-means‖ draw
    stand for all.
    """
    context = call(function, n_threads, as_seed(function, random_state))
    greedy = rows.entries * m * (2 + math.log(m))
    if rows.sparse or greedy < LITTLE or len(rows) < 25 * m:
        draws, budget = local_trials(function, "auto", rows, m)
        nearest = nearest_by(function, rows, there, metric)
        return draw(context, rows, m, weights, metric, local_trials=draws, budget=budget, nearest=nearest)[0]
    plan = local_trials(function, "auto", rows, m)
    return _draw_parallel(context, rows, m, weights, metric, 1.0 * m, 5, plan, there)[0]


def _reduced(
    context: Any,
    rows: Rows,
    drawn: NDArray[np.int64],
    mass: NDArray[np.float64],
    m: int,
    metric: str,
    trials: tuple[int, float],
) -> NDArray[np.int64]:
    """Which m of the rows drawn k-means++ chooses by their masses."""
    # Numbers that the draws have not used.
    other = as_seed(context.function, np.random.default_rng(context.seed))
    indices: NDArray[np.int64] = backend().kmeans_plusplus(
        call(context.function, context.n_threads or None, other),
        rows.core.subset(context, drawn),
        m,
        mass,
        metric,
        local_trials=trials[0],
        budget=trials[1],
    )["indices"]
    return indices
