"""Weighted rows that stand for all, and draws in proportion to weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_numpy, as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_choice, check_clusters, check_flag, check_integer, check_metric, shown
from latom._base.finite import check_finite
from latom._base.rows import Rows, row_weights


def coreset(
    X: Matrix,
    size: int,
    *,
    method: str = "lightweight",
    n_clusters: int | None = None,
    metric: str = "cosine",
    sample_weight: Any = None,
    random_state: Any = None,
    n_threads: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw a few weighted rows whose clustering cost approximates that of all rows.

    Parameters
    ----------
    X : array or CSR of shape (n, d), float32 or float64
        Rows. Under cosine zero rows are never drawn.
    size : int
        Draws, with replacement: the coreset has at most so many rows. Some 20 times the number of clusters
        or more.
    method : {"lightweight", "sensitivity"}
        "lightweight" draws half by weight, half by squared distance to the mean: two passes, and an error
        that is additive in the variance. "sensitivity" draws by an upper bound on a row's share in the cost
        of any clustering, from rough centers: for data with small far clusters.
    n_clusters : int, optional
        With "sensitivity": rough centers, the number of clusters that the coreset is meant for.
    metric : {"cosine", "euclidean"}, default "cosine"
        Distance of the clustering; for :class:`latom.KMeans` it is "euclidean".
    sample_weight : array of shape (n,), optional
        Weights of the rows.
    random_state : int, Generator, RandomState or None
        Seed. Draws do not depend on the number of threads.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`.

    Returns
    -------
    indices : int64 array of shape (at most size,)
        Rows of X, rising and distinct.
    weights : float64 array of the same shape
        Their weights: pass them on as `sample_weight`. The expected cost of any centers under them is that
        of X.

    Raises
    ------
    ValueError
        If size is below 1, n_clusters is missing with "sensitivity" or given with "lightweight", X holds NaN
        or infinity, or all rows are zero under cosine.

    Notes
    -----
    Sources: Bachem, Lucic & Krause, "Scalable k-means clustering via lightweight coresets", 2018; Bachem,
    Lucic & Krause, "Practical coreset constructions for machine learning", 2017.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.random.default_rng(0).random((1000, 8), dtype=np.float32)
    >>> rows, weights = latom.coreset(X, 200, metric="euclidean", random_state=0)
    >>> model = latom.KMeans(5, random_state=0).fit(X[rows], sample_weight=weights)
    """
    function = "coreset"
    rows = Rows(function, X)
    check_metric(function, metric)
    check_choice(function, "method", method, ("lightweight", "sensitivity"))
    rough = 0
    if method == "sensitivity":
        if n_clusters is None:
            raise ValueError(
                f"{function}: n_clusters must be given with method='sensitivity'; got None. "
                "Pass the number of clusters that the coreset is meant for."
            )
        rough = check_clusters(function, n_clusters, len(rows))
    elif n_clusters is not None:
        raise ValueError(
            f"{function}: n_clusters must be None with method='lightweight'; got {shown(n_clusters)}. "
            "Leave it out, or pass method='sensitivity'."
        )
    indices, weights = backend().coreset(
        call(function, n_threads, as_seed(function, random_state)),
        rows.core,
        check_integer(function, "size", size),
        rough,
        row_weights(function, sample_weight, rows, metric),
        metric,
    )
    if not len(indices):
        raise ValueError(
            f"{function}: X must have a row of positive weight that is not zero; got none. "
            "Give one such row a weight above 0, or drop sample_weight."
        )
    return indices, weights


def weighted_sample(
    weights: Any = None,
    size: int = 1,
    *,
    log_weights: Any = None,
    replacement: bool = False,
    random_state: Any = None,
    n_threads: int | None = None,
) -> NDArray[np.int64]:
    """Draw positions in proportion to weights.

    Parameters
    ----------
    weights : array of shape (n,), optional
        Not negative; position i is drawn with probability proportional to weights[i].
    size : int, default 1
        Draws.
    log_weights : array of shape (n,), optional
        Natural logarithms of weights, in place of these: ratios of likelihoods, whose exponentials would
        overflow or vanish. -inf is never drawn.
    replacement : bool, default False
        Whether a position may be drawn again. Without it positions are drawn one after another
        from those left.
    random_state : int, Generator, RandomState or None
        Seed. Draws do not depend on the number of threads.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`.

    Returns
    -------
    int64 array of shape (size,)
        Positions in the order of drawing; a weight of 0 is never drawn.

    Raises
    ------
    ValueError
        If weights are negative, not finite, or, without replacement, fewer than size of them are positive.

    Notes
    -----
    O(n) once, then O(1) per draw with replacement, by an alias table (Walker 1977); O(n + size log n)
    without, by an exponential race (Efraimidis & Spirakis 2006). Logarithms are drawn from without leaving
    them: the highest of ``log_weights`` plus Gumbel noise (Xie et al., "Data selection for language models
    via importance resampling", 2023).

    Examples
    --------
    >>> import numpy as np, latom
    >>> latom.weighted_sample(log_weights=np.array([-2000.0, -1000.0, -3000.0]), size=2).tolist()
    [1, 0]
    """
    function = "weighted_sample"
    if (weights is None) == (log_weights is None):
        got = "neither" if weights is None else "both"
        raise ValueError(
            f"{function}: exactly one of weights and log_weights must be given; got {got}. "
            "Pass one of the two."
        )
    if log_weights is not None:
        return _sample_by_logarithms(function, log_weights, size, replacement, random_state, n_threads)
    array = as_numpy(function, weights, "weights").astype(np.float64, copy=False)
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"{function}: weights must have one dimension and an entry; got shape {array.shape}. "
            "Pass one number per position."
        )
    check_finite(function, "weights", array, "Set such weights to 0.", negative=False)
    replacement = check_flag(function, "replacement", replacement)
    possible = int(np.count_nonzero(array))
    size = check_integer(function, "size", size)
    if possible < (1 if replacement else size):
        raise ValueError(
            f"{function}: weights must have {1 if replacement else size} positive entries; got {possible}. "
            "Draw fewer, or with replacement."
        )
    drawn: NDArray[np.int64] = backend().weighted_sample(
        call(function, n_threads, as_seed(function, random_state)),
        np.ascontiguousarray(array),
        size,
        replacement,
    )
    return drawn


def _sample_by_logarithms(
    function: str, log_weights: Any, size: Any, replacement: Any, random_state: Any, n_threads: int | None
) -> NDArray[np.int64]:
    """:func:`weighted_sample` by logarithms of weights."""
    logs = as_numpy(function, log_weights, "log_weights").astype(np.float64, copy=False)
    if logs.ndim != 1 or not len(logs) or np.isnan(logs).any() or (logs == np.inf).any():
        bad = "NaN or inf" if logs.ndim == 1 and len(logs) else f"shape {logs.shape}"
        raise ValueError(
            f"{function}: log_weights must be one number per position, none of them NaN or inf; got {bad}. "
            "Use -inf for what is never drawn."
        )
    possible = int((logs > -np.inf).sum())
    size = check_integer(function, "size", size)
    if check_flag(function, "replacement", replacement) and possible:
        weights = np.exp(logs - logs.max())  # what vanishes has no share that float64 could tell
        return weighted_sample(
            weights, size, replacement=True, random_state=random_state, n_threads=n_threads
        )
    if possible < size:
        raise ValueError(
            f"{function}: log_weights must have {size} entries above -inf; got {possible}. Draw fewer."
        )
    generator = np.random.Generator(np.random.Philox(key=as_seed(function, random_state)))
    uniform = 1 - generator.random(len(logs))  # in (0, 1]
    keys = logs - np.log(-np.log(uniform) + 1e-300)
    best = np.argpartition(-keys, size - 1)[:size]
    drawn: NDArray[np.int64] = best[np.lexsort((best, -keys[best]))].astype(np.int64)
    return drawn
