"""Ward's clustering of many small problems in one call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend, call
from latom._base.checks import check_flag, check_metric, check_range
from latom._base.rows import Rows
from latom.cluster.problems import Offsets, as_problems, cluster_counts


class WardClusters(NamedTuple):
    """What :func:`ward_batch` returns, for all problems, one below the other.

    Attributes
    ----------
    labels : int32 array of shape (n,)
        Cluster of each row, counted from 0 within its problem in the order of first rows.
    n_clusters : int64 array of shape (problems,)
    linkage : float64 array of shape (n - problems with rows, 4), or None
        scipy's linkage matrices; that of a problem of r rows has r - 1 rows.
    """

    labels: NDArray[np.int32]
    n_clusters: NDArray[np.int64]
    linkage: NDArray[np.float64] | None


def ward_batch(
    X: Any,
    n_clusters: Any = None,
    offsets: Any = None,
    *,
    distance_threshold: float | None = None,
    metric: str = "euclidean",
    linkage: bool = False,
    n_threads: int | None = None,
) -> WardClusters:
    """Ward's hierarchical clustering of many small problems, each by itself.

    Merges and heights are those of ``scipy.cluster.hierarchy.linkage(rows, "ward")``, and clusters those that
    ``fcluster`` cuts from it; the interpreter's lock is free, and problems run on all threads.

    Parameters
    ----------
    X : array of shape (n, d) or (problems, rows, d), or list of arrays of shape (rows of a problem, d)
        As in :func:`latom.kmeans_batch`.
    n_clusters : int, float or int array of shape (problems,), optional
        Clusters of each problem, as in :func:`latom.kmeans_batch`.
    offsets : int array of shape (problems + 1,), optional
        Where the rows of each problem begin in a stacked X.
    distance_threshold : float, optional
        Instead of n_clusters: merges of at most this height are made.
    metric : {"euclidean", "cosine"}, default "euclidean"
        "cosine" scales rows to length 1 first; distances between them stay Euclidean, as Ward's criterion
        asks for.
    linkage : bool, default False
        Whether to return the linkage matrices too.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. Results do not depend on it.

    Returns
    -------
    WardClusters
        ``labels``, ``n_clusters`` and ``linkage``.

    Raises
    ------
    ValueError
        If not exactly one of n_clusters and distance_threshold is given, shapes disagree, or X holds NaN or
        infinity.
    TypeError
        If X is sparse or does not hold real numbers.

    Notes
    -----
    Chains of nearest neighbors: n**2 * d / 2 multiply-adds in float32 for the distances of a problem of n
    rows, some 4 * n**2 steps for its merges, and 4 * n**2 + 16 * n * d bytes per thread; near ties and
    heights are found in float64. Among equal distances the lowest row goes
    first. Where merges at the height of the cut tie, scipy's ``fcluster`` may return fewer clusters than
    asked for; here there are as many as asked for.

    Sources: Ward, "Hierarchical grouping to optimize an objective function", 1963; Murtagh 1983; Müllner,
    "Modern hierarchical, agglomerative clustering algorithms", 2011.

    Examples
    --------
    >>> from latom import ward_batch
    >>> ward_batch([[[0.0], [0.1], [5.0]], [[1.0], [9.0]]], 2).labels.tolist()
    [0, 0, 1, 0, 1]
    """
    function = "ward_batch"
    check_metric(function, metric, "euclidean")
    check_flag(function, "linkage", linkage)
    if (n_clusters is None) == (distance_threshold is None):
        raise ValueError(
            f"{function}: n_clusters must be given, or distance_threshold in its place; got "
            f"{'neither' if n_clusters is None else 'both'}. Pass n_clusters for a number, "
            "distance_threshold for a height."
        )
    rows, at = as_problems(function, X, offsets)
    counts, height = None, 0.0
    if distance_threshold is not None:
        height = check_range(function, "distance_threshold", distance_threshold)
    else:
        counts = cluster_counts(function, n_clusters, np.diff(at))
    return WardClusters(*ward_labels(function, rows, at, metric, counts, n_threads, height, linkage))


def ward_labels(
    function: str,
    rows: Rows,
    offsets: Offsets,
    metric: str,
    counts: NDArray[np.int64] | None,
    n_threads: int | None = None,
    height: float = 0.0,
    linkage: bool = False,
    one_minus_cosine: bool = False,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64] | None]:
    """Labels, clusters and linkage of problems that have been checked.

    one_minus_cosine takes 1 - cos for a Euclidean distance, as hosts do that pool tokens.
    """
    wide = rows.dtype == np.float64
    found: tuple[Any, Any, Any] = backend().ward_batch(
        call(function, n_threads), rows.core, offsets, metric, counts, height, linkage, wide, one_minus_cosine
    )
    return found
