"""Seeding: rows of X as starting centres."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom import _core
from latom._arrays import Matrix, as_rows, as_seed, as_weights, to_core
from latom._config import check_integer, check_threads
from latom.assignment import check_metric


def kmeans_plusplus(
    X: Matrix,
    n_clusters: int,
    *,
    metric: str = "cosine",
    sample_weight: Any = None,
    random_state: Any = None,
    n_threads: int | None = None,
) -> tuple[Matrix, NDArray[np.int64]]:
    """Draw starting centres by the k-means++ law.

    The first centre is a row drawn with probability proportional to its weight; each next one with
    probability proportional to weight times squared distance to the nearest centre so far
    (2 - 2 cos under cosine).

    Parameters
    ----------
    X : array or CSR of shape (n, d), float32 or float64
        Rows. Under cosine a zero row is drawn only when nothing else is left.
    n_clusters : int
        Centres to draw, at most n.
    metric : {"cosine", "euclidean"}
        Distance of the law.
    sample_weight : array of shape (n,), optional
        Weights; a row of weight 0 is drawn only when nothing else is left.
    random_state : int, Generator, RandomState or None
        Seed. Draws do not depend on the number of threads.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`.

    Returns
    -------
    centers : array or CSR of shape (n_clusters, d)
        The rows drawn, as they stand in X.
    indices : int64 array of shape (n_clusters,)
        Their row numbers, all different.

    Raises
    ------
    ValueError
        If n_clusters is not in [1, n], or X holds NaN or infinity.

    Notes
    -----
    Costs n_clusters dot products a row. Source: Arthur & Vassilvitskii, "k-means++: the advantages
    of careful seeding", 2007. With fewer distinct rows than centres the rest are filled with other
    rows, with a warning.
    """
    function = "kmeans_plusplus"
    rows = as_rows(function, X)
    n = rows.shape[0]
    check_metric(function, metric)
    indices, distinct, _ = _core.kmeans_plusplus(
        to_core(rows),
        check_integer(function, "n_clusters", n_clusters, n),
        as_weights(function, sample_weight, n),
        metric,
        as_seed(function, random_state),
        check_threads(function, n_threads),
        function,
    )
    if distinct < n_clusters:
        warnings.warn(
            f"{function}: X has only {distinct} distinct rows to draw from, fewer than the {n_clusters} "
            "centres asked for; the rest repeat directions already drawn.",
            stacklevel=2,
        )
    return rows[indices], indices
