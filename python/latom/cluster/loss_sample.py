"""Rows drawn by the losses of the centers that stand for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_seed, as_vector
from latom._base.checks import check_integer, check_metric, check_range
from latom._base.rows import Rows
from latom.cluster.assign import assign_rows
from latom.seed.coreset import weighted_sample


def loss_sample(
    X: Matrix,
    size: int,
    centers: Matrix,
    losses: Any,
    *,
    lam: float = 1.0,
    z: float = 2.0,
    metric: str = "euclidean",
    random_state: Any = None,
    n_threads: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw weighted rows for a loss that was evaluated at the centers of clusters alone.

    A row is drawn with probability proportional to ``loss(center) + lam * distance(row, center) ** z``: an
    upper bound on its own loss, if losses change no faster than that. The weighted mean of any function over
    the draws has the mean over all rows as its expectation.

    Parameters
    ----------
    X : array or CSR of shape (n, d)
        Rows.
    size : int
        Draws, with replacement. Some ``1 / eps ** 2`` estimate the mean loss to a relative error of eps.
    centers : array or CSR of shape (m, d)
        Centers of clusters; each row belongs to the nearest.
    losses : array of shape (m,)
        Loss of each center, or of the row nearest to it; not negative.
    lam : float, default 1.0
        How fast losses may change with distance.
    z : float, default 2.0
        The power of the distance.
    metric : {"euclidean", "cosine"}, default "euclidean"
        Distance: Euclidean, or 1 - cosine; centers of :class:`latom.SphericalKMeans` want "cosine".
    random_state : int, Generator, RandomState or None
        Seed. Draws do not depend on the number of threads.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`.

    Returns
    -------
    indices : int64 array of shape (size,)
        Rows in the order of drawing; a row may occur more than once.
    weights : float64 array of shape (size,)
        ``1 / (size * n * p)`` of each draw: ``(weights * f(X[indices])).sum()`` estimates the mean of f.

    Raises
    ------
    ValueError
        If shapes disagree, losses are negative, or no row has a probability above 0.

    Notes
    -----
    One assignment and O(n) beside it.

    References
    ----------
    Axiotis et al., "Data-efficient learning via clustering-based sensitivity sampling: foundation models and
    beyond", 2024.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.random.default_rng(0).normal(size=(1000, 4))
    >>> model = latom.KMeans(10, random_state=0).fit(X)
    >>> loss = (model.cluster_centers_**2).sum(axis=1)  # evaluated at ten points
    >>> rows, weights = latom.loss_sample(X, 400, model.cluster_centers_, loss, random_state=0)
    >>> estimate = (weights * (X[rows] ** 2).sum(axis=1)).sum()
    >>> bool(abs(estimate / (X**2).sum(axis=1).mean() - 1) < 0.1)
    True
    """
    function = "loss_sample"
    rows = Rows(function, X)
    size = check_integer(function, "size", size)
    check_metric(function, metric, "euclidean")
    lam, z = check_range(function, "lam", lam), check_range(function, "z", z)
    labels, scores = assign_rows(function, rows, centers, metric, n_threads)
    m = int(np.shape(centers)[0])
    at_centers = as_vector(function, "losses", losses, m)
    if at_centers is None or (at_centers < 0).any():
        got = "None" if at_centers is None else str(at_centers.min())
        raise ValueError(
            f"{function}: losses must be numbers that are not negative, one per center; got {got}. "
            "Subtract their minimum."
        )
    distance = 1 - scores if metric == "cosine" else np.sqrt(-scores)
    bound = at_centers[labels] + lam * distance**z
    total = bound.sum()
    if not (np.isfinite(total) and total > 0):
        raise ValueError(
            f"{function}: losses must give some row a bound above 0, and a finite sum of them; got a sum of "
            f"{total}. Scale losses or X, or pass lam above 0."
        )
    drawn = weighted_sample(
        bound, size, replacement=True, random_state=as_seed(function, random_state), n_threads=n_threads
    )
    return drawn, total / (size * len(rows) * bound[drawn])
