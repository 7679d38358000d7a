"""Near-duplicates within clusters: which rows stay where several are nearly one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import call
from latom._base.checks import check_choice, check_clusters, check_range
from latom._base.rows import Rows
from latom.cluster.assign import assign_rows
from latom.cluster.kmeans import SphericalKMeans
from latom.neighbors.collection import Collection

KEEP = ("farthest", "closest", "random")


def semdedup(
    X: Matrix,
    n_clusters: int,
    eps: float,
    *,
    keep: str = "farthest",
    centers: Matrix | None = None,
    random_state: Any = None,
    n_threads: int | None = None,
) -> NDArray[np.bool_]:
    """Which rows stay when near-duplicates within clusters are dropped.

    The rows of a cluster are taken in an order; a row is dropped if its cosine with an earlier one is above
    ``1 - eps``. Pairs in different clusters are not looked at, so few clusters find more.

    Parameters
    ----------
    X : array or CSR of shape (n, d)
        Rows, embeddings of documents or images for example.
    n_clusters : int
        Clusters of :class:`SphericalKMeans`; 1 compares all rows with all.
    eps : float
        In [0, 1]: rows of a cosine above ``1 - eps`` are near-duplicates.
    keep : {"farthest", "closest", "random"}
        Which rows come first and stay: those farthest from their center (the paper's choice), those closest
        to it, or any.
    centers : array or CSR of shape (n_clusters, d), optional
        Centers of an earlier clustering, in place of a new one.
    random_state : int, Generator, RandomState or None
        Seed of the clustering and of the order.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.

    Returns
    -------
    kept : bool array of shape (n,)

    Raises
    ------
    ValueError
        If a parameter is out of range or shapes disagree.

    Notes
    -----
    Cosines are decided in float64, by the screens of :func:`latom.above`. A cluster of c rows
    costs c * c products at worst, and memory for its near-duplicate pairs.

    References
    ----------
    Abbas et al., "SemDeDup: data-efficient learning at web-scale through semantic deduplication", 2023.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.random.default_rng(0).normal(size=(100, 16))
    >>> X[50:60] = X[:10] * 2
    >>> int(latom.semdedup(X, 1, 0.05, random_state=0).sum())
    90
    """
    function = "semdedup"
    rows = Rows(function, X)
    n_clusters = check_clusters(function, n_clusters, len(rows))
    eps = check_range(function, "eps", eps, 1.0)
    check_choice(function, "keep", keep, KEEP)
    seed = as_seed(function, random_state)
    if centers is None:
        model = SphericalKMeans(n_clusters, random_state=seed % 2**32, n_threads=n_threads).fit(rows.numbers)
        centers = model.cluster_centers_
    elif np.shape(centers)[0] != n_clusters:
        raise ValueError(
            f"{function}: centers must have n_clusters={n_clusters} rows; got {np.shape(centers)[0]}. "
            "Pass their number as n_clusters."
        )
    labels, scores = assign_rows(function, rows, centers, "cosine", n_threads)
    order = {"farthest": scores, "closest": -scores}.get(keep)
    if order is None:
        order = np.random.Generator(np.random.Philox(key=seed)).random(len(rows))
    sequence = np.lexsort((np.arange(len(rows)), order, labels))
    ends = np.searchsorted(labels[sequence], np.arange(n_clusters + 1))
    kept = np.ones(len(rows), bool)
    for first, end in pairwise(ends):
        if end - first > 1:
            members = sequence[first:end]
            kept[members] = ~_has_earlier(function, rows[members], 1 - eps, n_threads)
    return kept


def _has_earlier(function: str, part: Matrix, threshold: float, n_threads: int | None) -> NDArray[np.bool_]:
    """Whether a row has a cosine above the threshold with one that stands before it."""
    rows = Rows(function, part)
    near = Collection(rows, "cosine").above(call(function, n_threads), rows, np.array(threshold))
    own = np.repeat(np.arange(len(rows)), np.diff(near.indptr))
    found = np.zeros(len(rows), bool)
    found[own[near.indices < own]] = True
    return found
