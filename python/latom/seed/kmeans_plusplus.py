"""k-means++: rows of X as starting centers."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_choice, check_clusters, check_flag, check_integer, check_metric, shown
from latom._base.device import place_of
from latom._base.rows import Rows, row_weights
from latom.seed.device_folds import nearest_by, on_place, rows_of_call

LITTLE = 5e7  # multiply-adds that take no time to speak of


def kmeans_plusplus(
    X: Matrix,
    n_clusters: int,
    *,
    metric: str = "cosine",
    sample_weight: Any = None,
    n_local_trials: int | str | None = 1,
    method: str = "auto",
    bound: str = "auto",
    max_trials: int | None = None,
    existing_centers: Matrix | None = None,
    random_state: Any = None,
    n_threads: int | None = None,
    device: str | None = None,
    return_stats: bool = False,
) -> Any:
    """Draw starting centers by the law of k-means++, without a pass over the data for each.

    The first center is a row drawn with probability proportional to its weight; each next one with
    probability proportional to weight times squared distance to the nearest center so far
    (2 - 2 cos under cosine). Every method but a capped rejection draws from exactly this law.

    Parameters
    ----------
    X : array or CSR of shape (n, d), float32 or float64
        Rows. Under cosine a zero row is drawn only when nothing else is left.
    n_clusters : int
        Centers to draw, at most n.
    metric : {"cosine", "euclidean"}, default "cosine"
        Distance of the law; starts of :class:`latom.KMeans` want "euclidean".
    sample_weight : array of shape (n,), optional
        Weights; a row of weight 0 is drawn only when nothing else is left.
    n_local_trials : int, None or "auto", default 1
        With more than one, each center is the one of so many draws that lowers the potential most
        ("greedy"; None: 2 + floor(ln n_clusters), scikit-learn's default). Starts are better, above all
        on well separated data; each trial costs what a center of method "exact" costs, which is little
        where clusters are separated. "auto": as None until that has cost as much as a few iterations of
        k-means, then one.
    method : {"auto", "exact", "fold", "rejection"}
        "exact" knows the distances of all rows after every center. "fold" draws by upper bounds and
        rejects down to the law; when rejections have cost as much as a pass over the data, the bounds
        are brought up to date. "rejection" keeps its first bound, but for data on which
        max(n, 1024) draws in a row were rejected. "auto" is "fold", or "exact" with
        several local trials.
    bound : {"auto", "first-center", "paper", "cap"}
        What rejections start from: the squared distance to the first center; twice those of row and
        first center to the mean, as in the paper (twice as many draws); or no data at all: the largest
        possible distance, from the lengths alone. "auto" takes "cap" for non-negative CSR rows under cosine,
        else "first-center"; with existing centers always the distance to these.
    max_trials : int, optional
        With method "rejection": after so many rejections in a row a center is drawn by weight alone,
        so the law becomes a mixture: with t draws needed on average, a center is drawn so with
        probability (1 - 1/t)**max_trials.
    existing_centers : array or CSR of shape (e, d), optional
        Centers that are there already. `n_clusters` new ones are drawn.
    random_state : int, Generator, RandomState or None
        Seed. Draws do not depend on the number of threads.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`.
    device : {None, "cpu", "cuda", "cuda:0", ...}
        Where folds are made, as in :func:`latom.assign`; draws stay on the CPU, to which dense rows on a GPU
        are copied for them. The bits are the same.
    return_stats : bool, default False
        Also return what was done; it costs one assignment pass for the potential.

    Returns
    -------
    centers : array or CSR of shape (n_clusters, d)
        The rows drawn, as they stand in X.
    indices : int64 array of shape (n_clusters,)
        Their row numbers, all different.
    stats : dict
        With `return_stats`: ``method`` used; ``trials``, draws made; ``greedy``, centers chosen among
        several draws; ``folds``; ``uniform``, centers drawn by weight alone; ``products``, multiply-adds of
        row and center entries; ``potential``, the weighted sum of squared distances to the nearest center.

    Raises
    ------
    ValueError
        If n_clusters is not in [1, n], X holds NaN or infinity, or arguments exclude each other.

    Notes
    -----
    "fold" costs one or two passes over X and, for t draws per center, t * n_clusters**2 / 2 dot products;
    never much more than n_clusters dot products per row. "exact" on CSR visits the rows that share a term
    with a center, and keeps a copy of X by columns.

    With fewer distinct rows than centers the rest are filled with other rows, with a warning.

    Sources: Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", 2007; Shah, Agrawal &
    Jaiswal, "A new rejection sampling approach to k-means++ with improved trade-offs", 2025.

    Examples
    --------
    >>> import numpy as np, latom
    >>> X = np.concatenate([np.zeros((50, 2)), np.full((50, 2), 9.0)])
    >>> centers, rows = latom.kmeans_plusplus(X, 2, metric="euclidean", random_state=0)
    >>> sorted(centers[:, 0].tolist()), bool((X[rows] == centers).all())
    ([0.0, 9.0], True)
    """
    function = "kmeans_plusplus"
    check_metric(function, metric)
    place = place_of(function, device, X=X)
    rows, on_device = rows_of_call(function, place, X)
    m = check_clusters(function, n_clusters, len(rows))
    there = None
    if existing_centers is not None:
        given = existing_centers if place is None else place.fetch(existing_centers)
        there = Rows(function, given, "existing_centers", like=rows)
    return_stats = check_flag(function, "return_stats", return_stats)
    trials, budget = local_trials(function, n_local_trials, rows, m)
    _check_plan(function, trials, method, bound, max_trials, there)
    indices, stats = draw(
        call(function, n_threads, as_seed(function, random_state)),
        rows,
        m,
        row_weights(function, sample_weight, rows, metric),
        metric,
        method=method,
        bound=bound,
        local_trials=trials,
        budget=budget,
        max_trials=0 if max_trials is None else check_integer(function, "max_trials", max_trials),
        potential=return_stats,
        existing=None if there is None else there.core,
        nearest=nearest_by(function, rows, on_device, metric),
    )
    warn_of_copies(function, stats.pop("distinct"), m)
    found = on_place(place, rows[indices], indices)
    return (*found, stats) if return_stats else found


def draw(
    context: Any, rows: Rows, m: int, weights: NDArray[np.float64] | None, metric: str, **plan: Any
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """m rows drawn as the plan says: their numbers, and what was done, with the count of distinct ones."""
    found = backend().kmeans_plusplus(context, rows.core, m, weights, metric, **plan)
    return found.pop("indices"), found


def _check_plan(
    function: str, trials: int, method: Any, bound: Any, max_trials: int | None, there: Rows | None
) -> None:
    check_choice(function, "method", method, ("auto", "exact", "fold", "rejection"))
    check_choice(function, "bound", bound, ("auto", "first-center", "paper", "cap"))
    if trials > 1 and method not in ("auto", "exact"):
        raise ValueError(
            f"{function}: n_local_trials must be 1 with method={method!r}; got {trials}. "
            "Leave method at 'auto' for greedy trials."
        )
    if max_trials is not None and method != "rejection":
        raise ValueError(
            f"{function}: max_trials must be None with method={method!r}; got {shown(max_trials)}. "
            "Pass method='rejection', or leave it out: other methods keep the law without it."
        )
    if bound != "auto" and (trials > 1 or method == "exact" or there is not None):
        raise ValueError(
            f"{function}: bound must be 'auto' with method 'exact', several local trials or existing "
            f"centers; got {shown(bound)}. Leave it out: there is nothing to choose."
        )


def kmeans_plusplus_init(
    X: Matrix, n_clusters: int, random_state: Any = None, **options: Any
) -> NDArray[Any]:
    """Starting centers for scikit-learn's estimators: ``KMeans(init=latom.kmeans_plusplus_init)``.

    Parameters
    ----------
    X : array or CSR of shape (n, d)
        Rows.
    n_clusters : int
        Centers to draw.
    random_state : int, Generator, RandomState or None
        Seed.
    **options
        Arguments of :func:`latom.kmeans_plusplus`; bind them with functools.partial. The metric is
        Euclidean unless given.

    Returns
    -------
    ndarray of shape (n_clusters, d)
        Rows of X as a dense array, which is what scikit-learn takes.

    Raises
    ------
    ValueError, TypeError
        As in :func:`latom.kmeans_plusplus`.

    Examples
    --------
    >>> import numpy as np, latom
    >>> from sklearn.cluster import KMeans
    >>> X = np.concatenate([np.zeros((50, 2)), np.full((50, 2), 9.0)])
    >>> KMeans(2, init=latom.kmeans_plusplus_init, n_init=1, random_state=0).fit(X).inertia_
    0.0
    """
    options.setdefault("metric", "euclidean")
    centers = kmeans_plusplus(X, n_clusters, random_state=random_state, **options)[0]
    dense: NDArray[Any] = centers.toarray() if sp.issparse(centers) else centers
    return dense


def local_trials(function: str, asked: Any, rows: Rows, m: int) -> tuple[int, float]:
    """Draws a center, and the multiply-adds after which there is but one."""
    greedy = 2 + int(math.log(m))
    if asked is None:
        return greedy, math.inf
    if not isinstance(asked, str):
        return check_integer(function, "n_local_trials", asked), math.inf
    if asked != "auto":
        raise ValueError(
            f"{function}: n_local_trials must be a positive integer, None or 'auto'; got {shown(asked)}. "
            "Use 'auto'."
        )
    if rows.sparse:  # a trial looks at some sixteenth of the entries; documents gain little by it
        return (greedy, math.inf) if rows.entries * m * greedy < 3e8 else (1, math.inf)
    # In float64 a multiply-add costs some 20 times what it does in the screen of an iteration of k-means.
    return greedy, max(LITTLE, float(rows.entries) * max(64, m / 8))


def warn_of_copies(function: str, distinct: int, m: int) -> None:
    if distinct < m:
        warnings.warn(
            f"{function}: X has only {distinct} distinct rows to draw from, fewer than the {m} "
            "centers asked for; the rest repeat directions already drawn.",
            stacklevel=3,
        )
