"""k-means‖, and what the estimators start from."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_rows, as_seed, as_weights, to_core
from latom._base.backend import backend
from latom._base.checks import check_integer, check_metric, check_number, check_threads
from latom.seed.kmeans_plusplus import LITTLE, kmeans_plusplus, local_trials, warn_of_copies


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
) -> tuple[Matrix, NDArray[np.int64]]:
    """Choose starting centres among many rows that a few rounds draw at once (k-means‖).

    Each round draws every row by itself with probability proportional to weight times squared distance,
    oversampling * n_clusters of them on average. The rows drawn, weighted by the rows nearest to each, are
    then reduced to n_clusters by greedy k-means++. Starts are as good as those of greedy k-means++ on all
    rows, at a fraction of its cost.

    Parameters
    ----------
    X, n_clusters, metric, sample_weight, random_state, n_threads
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

    Notes
    -----
    Costs a pass over X a round, with oversampling * n_clusters dot products a row.

    Source: Bahmani, Moseley, Vattani, Kumar & Vassilvitskii, "Scalable k-means++", 2012.
    """
    function = "kmeans_parallel"
    rows = as_rows(function, X)
    n = rows.shape[0]
    check_metric(function, metric)
    m = check_integer(function, "n_clusters", n_clusters, n)
    amount = check_number(function, "oversampling", oversampling) * m
    weights, seed = as_weights(function, sample_weight, n), as_seed(function, random_state)
    threads = check_threads(function, n_threads)
    trials, budget = local_trials(function, n_local_trials, rows, m)
    drawn, mass, _ = backend().parallel_candidates(
        to_core(rows),
        m,
        amount,
        check_integer(function, "rounds", rounds),
        weights,
        metric,
        seed,
        threads,
        function,
    )
    drawn, mass = drawn[mass > 0], mass[mass > 0]
    if len(drawn) == m:
        return rows[drawn], drawn
    if len(drawn) < m:  # all distinct rows: something must fill up
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            centers, indices = kmeans_plusplus(
                rows, m, metric=metric, sample_weight=weights, random_state=seed, n_threads=n_threads
            )
        warn_of_copies(function, len(drawn), m)
        return centers, indices
    other = as_seed(function, np.random.default_rng(seed))  # numbers that the rounds have not used
    chosen = backend().kmeans_plusplus(
        to_core(rows[drawn]), m, mass, metric, other, threads, function, local_trials=trials, budget=budget
    )["indices"]
    return rows[drawn[chosen]], drawn[chosen]


def starting_centers(X: Matrix, n_clusters: int, **options: Any) -> tuple[Matrix, NDArray[np.int64]]:
    """What the estimators start from: greedy k-means++, or what is as good by measurement and cheaper.

    On documents one trial is as good as several. Many dense rows are first reduced by k-means‖. The options
    are those that :func:`latom.kmeans_plusplus` and :func:`latom.kmeans_parallel` share.
    """
    m = n_clusters
    greedy = X.size * m * (2 + math.log(m))
    if sp.issparse(X) or greedy < LITTLE or X.shape[0] < 25 * m:
        centers, indices = kmeans_plusplus(X, m, n_local_trials="auto", **options)
        return centers, indices
    return kmeans_parallel(X, m, oversampling=1.0, n_local_trials="auto", **options)
