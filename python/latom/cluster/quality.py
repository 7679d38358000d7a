"""How good a clustering is, from rows and labels: silhouette and Davies-Bouldin, with no n x n matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, label_numbers
from latom._base.backend import backend, call
from latom._base.checks import check_metric
from latom._base.rows import Rows


def silhouette_samples(
    X: Matrix, labels: Any, *, metric: str = "euclidean", n_threads: int | None = None
) -> NDArray[np.float64]:
    """Silhouette of each row: (b - a) / max(a, b).

    a is the mean distance of the row to the others of its cluster, b the least mean distance to the rows of
    another cluster. Rows that are alone in their cluster have 0.

    Parameters
    ----------
    X : array or CSR of shape (n, d), float32 or float64
        Rows, as in :func:`latom.assign`.
    labels : array of shape (n,)
        Cluster of each row: numbers or strings, of at least 2 and at most n - 1 kinds.
    metric : {"euclidean", "cosine"}, default "euclidean"
        Euclidean distance, or 1 - cosine (1 where a row is zero), which is that of
        :class:`latom.SphericalKMeans`.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.

    Returns
    -------
    samples : float64 array of shape (n,)

    Raises
    ------
    ValueError
        If shapes disagree, there are too few or too many labels, or X holds NaN or infinity.

    Notes
    -----
    Exact: sums of float64 distances. Under cosine they follow from the clusters' sums, at the cost of one
    assignment pass. Euclidean distances are found within clusters, and to those other clusters that bounds on
    the mean distance leave: one or two where dense rows have many columns, all at worst, for n**2 * d
    operations. Of dense clusters of at least 2 * d rows these bounds need the covariances, for n * d**2
    operations. Memory is 16 bytes per cluster and column, and for Euclidean distances of dense rows at most
    one and a half copies in float32.

    Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster
    analysis", 1987.

    Examples
    --------
    >>> from latom import silhouette_samples
    >>> silhouette_samples([[0.0], [1.0], [10.0], [12.0]], [0, 0, 1, 1]).round(3).tolist()
    [0.909, 0.9, 0.789, 0.826]
    """
    return _samples("silhouette_samples", X, labels, metric, n_threads)


def silhouette(X: Matrix, labels: Any, *, metric: str = "euclidean", n_threads: int | None = None) -> float:
    """Mean silhouette of all rows, between -1 and 1: higher is better.

    Parameters
    ----------
    X, labels, metric, n_threads
        As in :func:`latom.silhouette_samples`.

    Returns
    -------
    score : float

    Raises
    ------
    ValueError
        As :func:`latom.silhouette_samples`.

    Notes
    -----
    Cost and source: :func:`latom.silhouette_samples`.

    Examples
    --------
    >>> from latom import silhouette
    >>> round(silhouette([[0.0], [1.0], [10.0], [12.0]], [0, 0, 1, 1]), 3)
    0.856
    """
    return float(_samples("silhouette", X, labels, metric, n_threads).mean())


def davies_bouldin(X: Matrix, labels: Any, *, n_threads: int | None = None) -> float:
    """Davies-Bouldin index: lower is better.

    The mean over clusters of the largest (s_j + s_l) / |mu_j - mu_l|, s_j the mean Euclidean distance of the
    rows of cluster j to their mean mu_j.

    Parameters
    ----------
    X, labels, n_threads
        As in :func:`latom.silhouette_samples`.

    Returns
    -------
    score : float

    Raises
    ------
    ValueError
        As :func:`latom.silhouette_samples`.

    Notes
    -----
    Cost: two passes over X, and d operations per pair of clusters.

    Source: Davies & Bouldin, "A cluster separation measure", 1979.

    Examples
    --------
    >>> from latom import davies_bouldin
    >>> round(davies_bouldin([[0.0], [1.0], [10.0], [12.0]], [0, 0, 1, 1]), 3)
    0.143
    """
    function = "davies_bouldin"
    rows = Rows(function, X)
    numbers, m = as_clusters(function, labels, len(rows))
    return float(backend().davies_bouldin(call(function, n_threads), rows.core, numbers, m))


def _samples(
    function: str, X: Matrix, labels: Any, metric: str, n_threads: int | None
) -> NDArray[np.float64]:
    check_metric(function, metric, "euclidean")
    rows = Rows(function, X)
    numbers, m = as_clusters(function, labels, len(rows))
    samples: NDArray[np.float64]
    samples, _ = backend().silhouette(call(function, n_threads), rows.core, numbers, m, metric)
    return samples


def as_clusters(function: str, labels: Any, n: int) -> tuple[NDArray[np.int32], int]:
    """Labels of any kind as numbers from 0, and how many kinds there are."""
    numbers, kinds = label_numbers(function, "labels", labels, n)
    if not 2 <= kinds <= n - 1:
        raise ValueError(
            f"{function}: labels must be of 2 to {n - 1} kinds, one less than there are rows; got "
            f"{kinds}. Cluster into another number."
        )
    return numbers, kinds
