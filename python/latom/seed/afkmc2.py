"""AFK-MC²: starting centers by Markov chains."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_clusters, check_integer, check_metric
from latom._base.rows import Rows, row_weights
from latom.seed.kmeans_plusplus import warn_of_copies


def afkmc2(
    X: Matrix,
    n_clusters: int,
    *,
    chain_length: int = 200,
    metric: str = "cosine",
    sample_weight: Any = None,
    random_state: Any = None,
    n_threads: int | None = None,
) -> tuple[Matrix, NDArray[np.int64]]:
    """Draw starting centers by Markov chains that approach the law of k-means++ (AFK-MC²).

    Parameters
    ----------
    X, n_clusters, metric, sample_weight, random_state, n_threads
        As in :func:`latom.kmeans_plusplus`.
    chain_length : int, default 200
        Steps of the chain that ends in a center; the law is reached in the limit.

    Returns
    -------
    centers : array or CSR of shape (n_clusters, d)
        The rows drawn, as they stand in X.
    indices : int64 array of shape (n_clusters,)
        Their row numbers, all different.

    Raises
    ------
    ValueError
        If n_clusters is not in [1, n], chain_length is below 1, or X holds NaN or infinity.

    Notes
    -----
    Costs two passes over X and chain_length * n_clusters**2 / 2 dot products.
    :func:`latom.kmeans_plusplus` draws from the law itself, mostly at a smaller cost.

    Source: Bachem, Lucic, Hassani & Krause, "Fast and provably good seedings for k-means", 2016.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.concatenate([np.zeros((50, 2)), np.full((50, 2), 9.0)])
    >>> centers, rows = latom.afkmc2(X, 2, metric="euclidean", random_state=0)
    >>> sorted(centers[:, 0].tolist()), bool((X[rows] == centers).all())
    ([0.0, 9.0], True)
    """
    function = "afkmc2"
    rows = Rows(function, X)
    check_metric(function, metric)
    m = check_clusters(function, n_clusters, len(rows))
    found = backend().afkmc2(
        call(function, n_threads, as_seed(function, random_state)),
        rows.core,
        m,
        check_integer(function, "chain_length", chain_length),
        row_weights(function, sample_weight, rows, metric),
        metric,
    )
    warn_of_copies(function, found["distinct"], m)
    return rows[found["indices"]], found["indices"]
