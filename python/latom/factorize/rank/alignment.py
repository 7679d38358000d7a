"""Which components of many factorizations are the same: k-means that takes one from each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[Any]
ROUNDS = 100


class Alignment(NamedTuple):
    """Components in clusters.

    Attributes
    ----------
    order : array of shape (replicates, k)
        Which component of each replicate goes to a cluster.
    medians : array of shape (k, d)
        Of length 1.
    silhouettes : array of shape (k, replicates)
    """

    order: NDArray[np.int64]
    medians: Array
    silhouettes: NDArray[np.float64]


def unit_rows(A: Array) -> Array:
    """A with rows of length 1; rows of zeros stay."""
    length = np.sqrt(np.einsum("...j,...j->...", A, A, dtype=np.float64))[..., None]
    rows: Array = A / np.where(length > 0, length, 1).astype(A.dtype)
    return rows


def align(H: Array, first: int) -> Alignment:
    """Clusters of the components H [replicates, k, d], one of each replicate in each.

    Cosine k-means from the components of replicate `first`: all replicates meet the centers in one product,
    each is matched by the best assignment (the Hungarian method), and centers become medians.
    """
    replicates, k, d = H.shape
    rows = unit_rows(H)
    centers = rows[first]
    order = np.full((replicates, k), -1, np.int64)
    for _ in range(ROUNDS):
        scores = (rows.reshape(-1, d) @ centers.T).reshape(replicates, k, k)
        found = np.empty_like(order)
        for r in range(replicates):
            component, cluster = linear_sum_assignment(-scores[r])
            found[r, cluster] = component
        if (found == order).all():
            break
        order = found
        matched = np.take_along_axis(rows, order[:, :, None], axis=1)
        centers = unit_rows(np.median(matched, axis=0).astype(rows.dtype))
    matched = np.take_along_axis(rows, order[:, :, None], axis=1)
    return Alignment(order, centers, silhouettes(matched.transpose(1, 0, 2)))


def silhouettes(clusters: Array) -> NDArray[np.float64]:
    """Of rows of length 1 [k, replicates, d] by cosine distance: [k, replicates]; 1 for one cluster.

    Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987.
    """
    k, replicates, d = clusters.shape
    if k == 1 or replicates == 1:
        return np.ones((k, replicates))
    flat = clusters.reshape(-1, d)
    distances = np.maximum(1 - (flat @ flat.T).astype(np.float64), 0).reshape(k, replicates, k, replicates)
    sums = distances.sum(axis=3)  # [cluster, replicate, to cluster]
    own = np.arange(k)
    within = sums[own, :, own] - np.einsum("krkr->kr", distances)
    within /= replicates - 1
    means = sums / replicates
    means[own, :, own] = np.inf
    between = means.min(axis=2)
    larger = np.maximum(within, between)
    each: NDArray[np.float64] = np.divide(
        between - within, larger, out=np.zeros_like(larger), where=larger > 0
    )
    return each
