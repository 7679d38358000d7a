"""Sweeps over the number of clusters, each fit started from the one before."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.checks import check_candidates, check_choice, check_flag, check_metric
from latom._base.estimator import as_generator
from latom._base.figures import drawing
from latom._base.rows import Rows
from latom.cluster.centers import stacked
from latom.cluster.kmeans import KMeans, SphericalKMeans
from latom.cluster.quality import davies_bouldin, silhouette
from latom.seed.kmeans_plusplus import kmeans_plusplus

CRITERIA = ("silhouette", "davies_bouldin", "elbow")


class ClusterSweep(NamedTuple):
    """What :func:`select_n_clusters` returns: an entry per number of clusters.

    Attributes
    ----------
    best : int
        The number of clusters that the criterion prefers.
    n_clusters : int64 array
        Rising.
    inertia, silhouette, davies_bouldin, seconds : float64 arrays
        NaN where a score was not asked for. Seconds are those of the fit.
    n_iter : int64 array
    models : list
        The fitted estimators.
    """

    best: int
    n_clusters: NDArray[np.int64]
    inertia: NDArray[np.float64]
    silhouette: NDArray[np.float64]
    davies_bouldin: NDArray[np.float64]
    seconds: NDArray[np.float64]
    n_iter: NDArray[np.int64]
    models: list[Any]

    def __repr__(self) -> str:
        """The best number and what it was chosen from; fields have the rest."""
        tried = ", ".join(map(str, self.n_clusters[:8])) + ", ..." * (len(self.n_clusters) > 8)
        return f"ClusterSweep(best={self.best}, n_clusters=[{tried}])"

    def plot(self, where: Any = None) -> Any:
        """Draw the scores over the number of clusters, with matplotlib.

        Parameters
        ----------
        where : str, path-like, matplotlib axes or a sequence of axes, optional
            The file to write, or where to draw: one axes takes the criterion's scores, two take the inertia
            and these. None makes a figure that pyplot knows nothing of.

        Returns
        -------
        figure : matplotlib.figure.Figure
            The one that was made, or that of the axes.

        Raises
        ------
        TypeError
            If where is none of these, or has another number of axes than there are curves.
        """
        curves = {
            "inertia": self.inertia,
            "silhouette": self.silhouette,
            "Davies-Bouldin": self.davies_bouldin,
        }
        curves = {name: values for name, values in curves.items() if not np.isnan(values).all()}
        counts = (1, len(curves)) if len(curves) > 1 else (1,)
        with drawing("ClusterSweep.plot", where, counts, (4, 3)) as (figure, all_axes):
            drawn = list(curves.items())[-len(all_axes) :]
            for axes, (name, values) in zip(all_axes, drawn, strict=True):
                axes.plot(self.n_clusters, values, marker="o", markersize=3)
                axes.axvline(self.best, color="gray", linewidth=1, linestyle="--")
                axes.set(xlabel="clusters", title=name)
        return figure


def select_n_clusters(
    X: Matrix,
    candidates: Iterable[int] = range(2, 11),
    *,
    metric: str = "cosine",
    criterion: str = "silhouette",
    warm_start: bool = True,
    max_iter: int = 300,
    tol: float = 1e-4,
    random_state: Any = None,
    n_threads: int | None = None,
    plot: Any = None,
) -> ClusterSweep:
    """Fit k-means for several numbers of clusters, and take the best by a criterion.

    With warm starts each fit begins with the centers of the one before and new ones drawn beside them by
    k-means++, so that it needs few iterations, and more clusters rarely fit worse.

    Parameters
    ----------
    X : array or CSR of shape (n, d), float32 or float64
        Rows, as in :func:`latom.assign`.
    candidates : iterable of int, default range(2, 11)
        Numbers of clusters.
    metric : {"cosine", "euclidean"}, default "cosine"
        :class:`latom.SphericalKMeans` or :class:`latom.KMeans`; silhouettes are by 1 - cosine or by Euclidean
        distance.
    criterion : {"silhouette", "davies_bouldin", "elbow"}
        Highest mean silhouette; lowest Davies-Bouldin index; or the point of the curve of inertia that lies
        farthest below the line between its ends (Satopää et al. 2011).
    warm_start : bool, default True
        False draws each start anew.
    max_iter, tol, random_state, n_threads
        As in :class:`latom.SphericalKMeans`.
    plot : str, path-like or matplotlib axes, optional
        Where to draw the scores, as in :meth:`ClusterSweep.plot`; needs matplotlib.

    Returns
    -------
    ClusterSweep
        ``best``, the scores of all candidates, and the fitted ``models``.

    Raises
    ------
    ValueError
        If a candidate is no integer in [2, n - 1], or a choice is unknown.

    Notes
    -----
    Cost: that of the fits, and of :func:`latom.silhouette` or :func:`latom.davies_bouldin` for each.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import select_n_clusters
    >>> X = np.repeat(np.eye(3), 5, axis=0) + np.linspace(0, 0.1, 45).reshape(15, 3)
    >>> select_n_clusters(X, range(2, 6), random_state=0).best
    3
    """
    function = "select_n_clusters"
    check_metric(function, metric)
    check_choice(function, "criterion", criterion, CRITERIA)
    check_flag(function, "warm_start", warm_start)
    rows = Rows(function, X)
    why = "Silhouettes need two clusters, and fewer clusters than rows."
    wanted = check_candidates(function, candidates, 2, len(rows) - 1, why)
    rng = as_generator(function, random_state)
    kind = SphericalKMeans if metric == "cosine" else KMeans
    found: list[tuple[float, float, float, float, int]] = []
    models: list[Any] = []
    for m in wanted:
        begin = time.perf_counter()
        init: Any = "k-means++"
        if warm_start and models:
            known = models[-1].cluster_centers_
            new, _ = kmeans_plusplus(
                rows[:],
                m - known.shape[0],
                metric=metric,
                existing_centers=known,
                n_local_trials="auto",
                random_state=rng,
                n_threads=n_threads,
            )
            init = stacked([known, new])
        model = kind(
            m,
            init=init,
            n_init=1,
            max_iter=max_iter,
            tol=tol,
            random_state=rng,
            n_threads=n_threads,
            sparse_centers=rows.sparse or None,
        ).fit(rows[:])
        seconds = time.perf_counter() - begin
        several = len(np.unique(model.labels_)) > 1
        s = db = np.nan
        if criterion == "silhouette":
            s = silhouette(rows[:], model.labels_, metric=metric, n_threads=n_threads) if several else -1.0
        elif criterion == "davies_bouldin":
            db = davies_bouldin(rows[:], model.labels_, n_threads=n_threads) if several else np.inf
        models.append(model)
        found.append((float(model.inertia_), s, db, seconds, int(model.n_iter_)))
    table = np.array(found, np.float64).T
    numbers = np.array(wanted, np.int64)
    best = int(numbers[_choose(criterion, numbers, table)])
    inertia, silhouettes, indices, seconds, steps = table
    sweep = ClusterSweep(
        best, numbers, inertia, silhouettes, indices, seconds, steps.astype(np.int64), models
    )
    if plot is not None:
        sweep.plot(plot)
    return sweep


def _choose(criterion: str, numbers: NDArray[np.int64], table: NDArray[np.float64]) -> int:
    if criterion == "silhouette":
        return int(np.argmax(table[1]))
    if criterion == "davies_bouldin":
        return int(np.argmin(table[2]))
    inertia = table[0]
    if len(numbers) < 3 or inertia[0] == inertia[-1]:
        return 0
    x = (numbers - numbers[0]) / (numbers[-1] - numbers[0])
    y = (inertia - inertia[-1]) / (inertia[0] - inertia[-1])
    return int(np.argmax(1 - x - y))
