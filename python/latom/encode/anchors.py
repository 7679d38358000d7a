"""Anchors: which rows others are described by, and in which coordinates they are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_seed
from latom._base.backend import call
from latom._base.rows import Rows
from latom.cluster.assign import assign_rows
from latom.cluster.kmeans import KMeans, SphericalKMeans
from latom.seed.kmeans_plusplus import draw
from latom.seed.leverage import leverage

SELECTIONS = ("uniform", "kmeans++", "kmeans", "leverage")


def select_anchors(
    name: str, rows: Rows, m: int, how: str, metric: str, random_state: Any, n_threads: int | None
) -> NDArray[np.int64]:
    """m different rows, chosen in one of the four ways; the numbers of "kmeans++" come as they were drawn,
    the others sorted."""
    seed = as_seed(name, random_state)
    if how == "kmeans++":
        return draw(call(name, n_threads, seed), rows, m, None, metric)[0]
    if how == "kmeans":
        return _nearest_to_centers(name, rows, m, metric, seed, n_threads)
    rng = np.random.default_rng(seed)
    if how == "uniform":
        found: NDArray[Any] = rng.permutation(len(rows))[:m]
    else:
        found = rng.choice(len(rows), m, replace=False, p=leverage(_scaled(name, rows, metric), m))
    return np.sort(found).astype(np.int64)


def _nearest_to_centers(
    name: str, rows: Rows, m: int, metric: str, seed: int, n_threads: int | None
) -> NDArray[np.int64]:
    """The best-fitting row of each of m clusters, so that no row is taken twice."""
    kind = SphericalKMeans if metric == "cosine" else KMeans
    model = kind(m, random_state=seed, n_threads=n_threads).fit(rows.numbers)
    labels, scores = assign_rows(name, rows, model.cluster_centers_, metric, n_threads)
    order = np.lexsort((-scores, labels))  # ties stay in the order of rows
    best = order[np.append(True, np.diff(labels[order]) > 0)]
    if len(best) < m:  # fewer distinct rows than clusters: some have none
        others = np.setdiff1d(np.arange(len(rows)), best)
        best = np.append(best, others[: m - len(best)])
    return np.sort(best).astype(np.int64)


def _scaled(name: str, rows: Rows, metric: str) -> Any:
    """Rows as their leverage is measured: of length 1 under cosine, else of lengths that squares of float32
    hold."""
    lengths = np.sqrt(rows.core.norm2(call(name)))
    scale = 1 / np.where(lengths > 0, lengths, 1) if metric == "cosine" else 1 / (lengths.max() or 1.0)
    if rows.sparse:
        by_row = np.broadcast_to(scale, (len(rows),))
        X = rows.numbers.astype(np.float64)
        X.data *= np.repeat(by_row, np.diff(X.indptr))
        return X
    return rows.numbers * np.reshape(scale, (-1, 1))


class Whitening:
    """The affine map after which the columns of some rows have mean 0, variance 1 and no correlation.

    Directions in which the rows do not vary are left out.

    Parameters
    ----------
    name : str
        What messages call the function.
    rows : Rows
        Dense.
    """

    def __init__(self, name: str, rows: Rows) -> None:
        n, d = rows.shape
        self.mean = sum(part.sum(axis=0, dtype=np.float64) for _, part in rows.blocks()) / n
        covariance = np.zeros((d, d))
        for _, part in rows.blocks():
            off = part - self.mean
            covariance += off.T @ off
        variance, vectors = np.linalg.eigh(covariance / n)
        rounding = max(np.finfo(np.float64).eps, np.finfo(rows.dtype).eps ** 2)  # that of squares of X
        kept = variance > d * rounding * variance[-1]
        if not kept.any():
            raise ValueError(
                f"{name}: X must have rows that differ where whiten=True; got {n} equal rows. "
                "Leave whiten out."
            )
        self.turn = vectors[:, kept] / np.sqrt(variance[kept])

    def __call__(self, rows: Rows) -> Any:
        """Rows in the new coordinates, as float64."""
        made = np.empty((len(rows), self.turn.shape[1]))
        for part, block in rows.blocks():
            made[part] = (block - self.mean) @ self.turn
        return made
