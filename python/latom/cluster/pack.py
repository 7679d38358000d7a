"""Batches of equal size whose rows come from one cluster, or from clusters that lie near each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import call
from latom._base.checks import check_integer, check_metric, shown
from latom._base.rows import Rows
from latom.cluster.balanced import as_labels, rows_with_cluster
from latom.neighbors.collection import Collection

NEAREST = 32  # clusters that are looked up for each at once; beyond them the next one is searched for


def pack_clusters(
    labels: Any,
    size: int,
    *,
    centers: Matrix | None = None,
    metric: str = "cosine",
    n_threads: int | None = None,
) -> NDArray[np.int64]:
    """Pack clustered rows into batches of equal size, for training on batches of alike rows.

    A cluster of many rows is split into as many whole batches as it fills. What is left of each cluster,
    fewer rows than a batch, is put one after the other and cut into batches: in the order of labels, or,
    where centers are given, from each cluster to the nearest that is left, so that near clusters share a
    batch.

    Parameters
    ----------
    labels : int array of shape (n,)
        The cluster of each row. Rows of a negative label are left out.
    size : int
        Rows of a batch, at most as many as have a cluster.
    centers : array or CSR of shape (m, d), optional
        Of the clusters, as ``cluster_centers_``.
    metric : {"cosine", "euclidean"}
        How near centers are.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. The result does not depend on it.

    Returns
    -------
    batches : int64 array of shape (n // size, size)
        Rows of each batch, where n counts the rows that have a cluster: first batches of one cluster each, by
        rising labels, then the mixed ones. No row occurs twice; the last ``n % size`` rows, of the clusters
        packed last, are left out.

    Raises
    ------
    ValueError
        If labels are no whole numbers or all negative, size exceeds the rows that have a cluster, a label has
        no center, or centers hold NaN or infinity.

    Notes
    -----
    Nothing is drawn by chance: rows of a cluster are taken in their order. Shuffle them first for another
    packing: ``order = rng.permutation(n)``, then ``order[pack_clusters(labels[order], size)]``. At most as
    many batches are mixed as there are clusters. Cost: O(n log n), and the nearest centers of each center.

    References
    ----------
    Morris & Rush, "Contextual document embeddings", 2024, train on batches of clusters that are packed to one
    size; the order of the packing is latom's own.

    Examples
    --------
    >>> import numpy as np, latom
    >>> labels = np.array([0, 1, 0, 2, 0, 2, 1, 0, 0])
    >>> latom.pack_clusters(labels, 2).tolist()
    [[0, 2], [4, 7], [1, 6], [3, 5]]
    """
    function = "pack_clusters"
    numbers = as_labels(function, labels)
    check_metric(function, metric)
    held = rows_with_cluster(function, numbers)
    size = check_integer(function, "size", size, len(held))
    kinds, own, counts = np.unique(numbers[held], return_inverse=True, return_counts=True)
    order = np.argsort(own, kind="stable")
    place = np.arange(len(held)) - np.repeat(np.cumsum(counts) - counts, counts)  # within its cluster
    whole = place < np.repeat(counts // size * size, counts)
    rows, left = held[order], np.flatnonzero(counts % size)
    turn = np.zeros(len(kinds), np.int64)
    turn[left] = np.arange(len(left))
    if centers is not None:
        turn[left[_chain(function, centers, kinds, left, metric, n_threads)]] = np.arange(len(left))
    rest = rows[~whole][np.argsort(turn[own[order][~whole]], kind="stable")]
    packed: NDArray[np.int64] = np.concatenate([rows[whole], rest[: len(rest) // size * size]])
    return packed.reshape(-1, size)


def _chain(
    function: str,
    centers: Matrix,
    kinds: NDArray[np.int64],
    left: NDArray[np.int64],
    metric: str,
    n_threads: int | None,
) -> NDArray[np.int64]:
    """Positions in left, from the first on each time to the nearest center not yet passed."""
    there = Rows(function, centers, "centers")
    if kinds[-1] >= len(there):
        raise ValueError(
            f"{function}: centers must have a row for each label up to {kinds[-1]}; got {shown(centers)}. "
            "Pass the centers that labels count."
        )
    context = call(function, n_threads)
    there.core.norm2(context)  # refuses NaN and infinity, of whichever center
    if len(left) < 3:
        return np.arange(len(left))
    some = Rows(function, there[kinds[left]], "centers")
    collection = Collection(some, metric)
    own = np.arange(len(left), dtype=np.int64)
    nearest = collection.topk(context, some, min(NEAREST, len(left) - 1), without=own)[1]
    free = np.ones(len(left), np.uint8)
    free[0] = 0
    chain = [0]
    while len(chain) < len(left):
        known = nearest[chain[-1]]
        known = known[free[known] > 0]
        if len(known):
            following = int(known[0])
        else:
            at = Rows(function, some[chain[-1] : chain[-1] + 1], "centers")
            following = int(collection.topk(context, at, 1, allowed=free)[1][0, 0])
        free[following] = 0
        chain.append(following)
    return np.array(chain)
