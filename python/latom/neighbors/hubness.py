"""Hubness: rows that are among the neighbors of very many others, and what makes fewer of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from latom._base.arrays import as_numpy
from latom._base.checks import check_integer, shown
from latom._base.finite import check_finite


class Hubness(NamedTuple):
    """How unevenly rows occur among the neighbors of others.

    Parameters
    ----------
    occurrence : int64 array of shape (n,)
        In how many lists of neighbors each row stands.
    skewness : float
        The third standardized moment of occurrence: 0 for even occurrence; above 1 there are hubs.
    robin_hood : float
        The share of all places that would have to change hands for even occurrence, in [0, 1).
    antihubs : float
        The share of rows that stand in no list.
    """

    occurrence: NDArray[np.int64]
    skewness: float
    robin_hood: float
    antihubs: float


def hubness(indices: Any, n: int | None = None) -> Hubness:
    """Statistics of how often rows are neighbors.

    Parameters
    ----------
    indices : int array of shape (q, k)
        Neighbors of each of q rows, as searches return them; -1 is no neighbor.
    n : int, optional
        Rows that were searched; None takes q.

    Returns
    -------
    hubness : Hubness

    Raises
    ------
    ValueError
        If indices are no integers of two dimensions, or one is n or more.

    References
    ----------
    Radovanovic, Nanopoulos & Ivanovic, "Hubs in space", JMLR 2010. Feldbauer et al., "Fast approximate
    hubness reduction for large high-dimensional data", 2018 (Robin Hood index).

    Examples
    --------
    >>> from latom.neighbors import hubness
    >>> hubness([[1], [0], [0]]).occurrence.tolist()
    [2, 1, 0]
    """
    function = "hubness"
    found = _neighbors(function, indices)
    rows = len(found) if n is None else check_integer(function, "n", n)
    flat = found[found >= 0]
    if flat.size and flat.max() >= rows:
        raise ValueError(
            f"{function}: indices must lie below n = {rows}; got {flat.max()}. Pass n, the rows that were "
            "searched."
        )
    occurrence = np.bincount(flat, minlength=rows).astype(np.int64)
    centered = occurrence - occurrence.mean()
    deviation = np.sqrt((centered**2).mean())
    skewness = float((centered**3).mean() / deviation**3) if deviation > 0 else 0.0
    total = int(occurrence.sum())
    robin_hood = float(np.abs(centered).sum() / (2 * total)) if total else 0.0
    return Hubness(occurrence, skewness, robin_hood, float((occurrence == 0).mean()))


def local_scaling(
    distances: Any, indices: Any, n_neighbors: int | None = None, *, kth: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rank candidate neighbors anew by distances that are scaled to their surroundings.

    ``1 - exp(-d(i, j)^2 / (s_i s_j))`` where s is a row's distance to its own kth neighbor: a hub, which
    is near to all, has a small s and moves away.

    Parameters
    ----------
    distances : array of shape (n, c)
        Distances of each row's c nearest other rows, nearest first, as
        ``NearestNeighbors(n_neighbors=c).fit(X).kneighbors()`` gives them.
    indices : int array of shape (n, c)
        Those rows.
    n_neighbors : int, optional
        Neighbors kept of the candidates; None keeps all.
    kth : int, optional
        Which neighbor sets the scale, from 1; None takes the last candidate.

    Returns
    -------
    distances : float64 array of shape (n, n_neighbors)
        Scaled distances, in [0, 1], lowest first, ties to the lowest row.
    indices : int64 array of shape (n, n_neighbors)

    Raises
    ------
    ValueError
        If shapes disagree, an index is no row, a distance is not finite, or n_neighbors or kth is more than
        c.

    References
    ----------
    Zelnik-Manor & Perona, "Self-tuning spectral clustering", 2004. Schnitzer et al., "Local and global
    scaling reduce hubs in space", JMLR 2012.

    Examples
    --------
    >>> from latom.neighbors import local_scaling
    >>> near, who = local_scaling([[1.0, 2], [1, 1], [1, 2]], [[1, 2], [0, 2], [1, 0]], 1)
    >>> who.tolist()
    [[1], [0], [1]]
    """
    function = "local_scaling"
    near, found = _candidates(function, distances, indices)
    c = found.shape[1]
    at = c if kth is None else check_integer(function, "kth", kth, c)
    scale = near[:, at - 1]
    product = scale[:, None] * scale[found]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(near == 0, 0.0, near**2 / product)
    return _ranked(function, -np.expm1(-ratio), found, n_neighbors)


def mutual_proximity(
    distances: Any, indices: Any, n_neighbors: int | None = None, *, moments: Any = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rank candidate neighbors anew by how surely each of a pair is near to the other.

    ``1 - P(D_i > d(i, j)) P(D_j > d(i, j))`` where D_i, the distances of row i, are taken as normal
    and as independent of those of j. A hub is near to all, so it is no surprise that it is near to i.

    Parameters
    ----------
    distances : array of shape (n, c)
        Distances of each row's c nearest other rows, as for :func:`local_scaling`.
    indices : int array of shape (n, c)
        Those rows.
    n_neighbors : int, optional
        Neighbors kept of the candidates; None keeps all.
    moments : array of shape (n, 2), optional
        Mean and standard deviation of the distances of each row to all others, or to a sample of them, which
        is what the law speaks of. None takes those to the candidates, the near ones: where the distances to
        all are far from normal, as between texts that share few words, this leaves fewer hubs.

    Returns
    -------
    distances : float64 array of shape (n, n_neighbors)
        In [0, 1], lowest first, ties to the lowest row.
    indices : int64 array of shape (n, n_neighbors)

    Raises
    ------
    ValueError
        If shapes disagree, an index is no row, a number is not finite, a deviation is negative, or
        n_neighbors is more than c.

    Notes
    -----
    The paper's exact form counts rows that are farther from both, for which all n * n distances are needed;
    this is its Gaussian one, which needs two numbers per row. It costs O(n c log c).

    References
    ----------
    Schnitzer, Flexer, Schedl & Widmer, "Local and global scaling reduce hubs in space", JMLR 2012.

    Examples
    --------
    >>> from latom.neighbors import mutual_proximity
    >>> near, who = mutual_proximity([[1.0, 2], [1, 1.5], [1.5, 2]], [[1, 2], [0, 2], [1, 0]], 1)
    >>> who.tolist()
    [[1], [0], [1]]
    """
    function = "mutual_proximity"
    near, found = _candidates(function, distances, indices)
    if moments is None:
        mean, deviation = near.mean(axis=1), near.std(axis=1)
    else:
        mean, deviation = _moments(function, moments, len(near))
    own = _share_nearer(near, mean[:, None], deviation[:, None])
    other = _share_nearer(near, mean[found], deviation[found])
    return _ranked(function, own + other - own * other, found, n_neighbors)


def _share_nearer(
    near: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    """P(D <= near) for normal D; a step where D does not vary."""
    off = near - mean
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share: NDArray[np.float64] = ndtr(np.where(off == 0, 0.0, off / deviation))
    return share


def _moments(function: str, moments: Any, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    given = as_numpy(function, moments, "moments").astype(np.float64)
    if given.shape != (n, 2):
        raise ValueError(
            f"{function}: moments must have shape ({n}, 2); got {given.shape}. Pass the mean and the "
            "standard deviation of each row's distances."
        )
    check_finite(function, "moments", given, "Leave moments out.")
    mean, deviation = given.T
    check_finite(function, "moments[:, 1]", deviation, "Pass standard deviations.", negative=False)
    return mean, deviation


def _candidates(function: str, distances: Any, indices: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances [n, c] and rows [n, c] of candidates, checked."""
    found = _neighbors(function, indices)
    near = as_numpy(function, distances, "distances").astype(np.float64)
    n = len(found)
    if near.shape != found.shape or found.size == 0 or found.min() < 0 or found.max() >= n:
        raise ValueError(
            f"{function}: distances and indices must both have one row per row of X, with indices in [0, "
            f"{n}); got shapes {near.shape} and {found.shape}. Pass what "
            "NearestNeighbors.kneighbors() returns."
        )
    check_finite(function, "distances", near, "Ask for fewer candidates.")
    return near, found


def _ranked(
    function: str, scaled: NDArray[np.float64], found: NDArray[np.int64], n_neighbors: int | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The n_neighbors lowest of each row."""
    c = found.shape[1]
    kept = c if n_neighbors is None else check_integer(function, "n_neighbors", n_neighbors, c)
    order = np.lexsort((found, scaled), axis=1)[:, :kept]
    return np.take_along_axis(scaled, order, 1), np.take_along_axis(found, order, 1)


def _neighbors(function: str, indices: Any) -> NDArray[np.int64]:
    found = np.asarray(indices)
    if found.ndim != 2 or found.dtype.kind not in "iu":
        raise ValueError(
            f"{function}: indices must be integers of shape (rows, neighbors); got {shown(indices)}. Pass "
            "what "
            "a search returns."
        )
    return found.astype(np.int64)
