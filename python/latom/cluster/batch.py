"""k-means of many small problems in one call."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_integer, check_metric, check_tol, shown
from latom._base.rows import Rows, row_weights
from latom.cluster.problems import Offsets, as_labels, as_problems, cluster_counts, offsets_of
from latom.seed.kmeans_plusplus import LITTLE

MANY = 1 << 22  # rows times clusters from which on a problem is not small


class BatchClusters(NamedTuple):
    """What :func:`kmeans_batch` returns: the clusters of all problems, one below the other.

    Attributes
    ----------
    labels : int32 array of shape (n,)
        Cluster of each row, counted from 0 within its problem.
    centers : array of shape (clusters of all problems, d)
        Those of problem b are ``centers[center_offsets[b] : center_offsets[b + 1]]``.
    center_offsets : int64 array of shape (problems + 1,)
    inertia : float64 array of shape (problems,)
        Sum over rows of weight times (1 - cosine), or of squared distance.
    n_iter : int64 array of shape (problems,)
    """

    labels: NDArray[np.int32]
    centers: NDArray[Any]
    center_offsets: Offsets
    inertia: NDArray[np.float64]
    n_iter: NDArray[np.int64]


def kmeans_batch(
    X: Any,
    n_clusters: Any,
    offsets: Any = None,
    *,
    metric: str = "cosine",
    init: Any = "ward",
    n_init: int = 1,
    max_iter: int = 10,
    tol: float = 0.0,
    sample_weight: Any = None,
    fixed_labels: Any = None,
    random_state: Any = None,
    n_threads: int | None = None,
) -> BatchClusters:
    """Cluster many small problems, each by itself.

    Each problem has the same bits as :class:`latom.SphericalKMeans` (:class:`latom.KMeans` under
    ``metric="euclidean"``) on its rows alone.

    Parameters
    ----------
    X : array of shape (n, d) or (problems, rows, d), or list of arrays of shape (rows of a problem, d)
        Dense rows, float32, float64, float16 or bfloat16; half precision and tensors on the CPU are read in
        place. A problem may have no rows.
    n_clusters : int, float or int array of shape (problems,)
        Clusters of each problem; a float below 1 is a share of its rows, of which the whole part is taken,
        and at least 1. A problem with fewer rows has as many clusters as rows.
    offsets : int array of shape (problems + 1,), optional
        Where the rows of each problem begin in a stacked X: 0, running sums of lengths, n.
    metric : {"cosine", "euclidean"}, default "cosine"
        Distance; :class:`latom.KMeans` has "euclidean".
    init : {"ward", "k-means++", "even"} or array of shape (clusters of all problems, d)
        Starts: the means of Ward's clusters (:func:`latom.ward_batch`), best where clusters hold a few rows
        each; greedy k-means++; rows at even distances; or centers.
    n_init : int, default 1
        Runs from k-means++, of which the best is kept.
    max_iter : int, default 10
        Iterations of a run.
    tol : float, default 0.0
        As that of the estimators; 0 stops a run when no label changes.
    sample_weight : array of shape (n,), optional
        Weights of rows in centers and objective; Ward's starts take rows alike.
    fixed_labels : int array of shape (n,), or list of arrays, optional
        Labels that stay, -1 for rows that are free: the support rows of few-shot episodes. Clusters with
        fixed rows start from their means (with init "k-means++", or "ward", which is read so); the others
        are drawn from free rows beside them.
    random_state : int, Generator, RandomState or None
        Problem b has the numbers of an estimator with ``random_state + b`` modulo 2**32.
    n_threads : int, optional
        Threads, as in :func:`latom.assign`. Results do not depend on it.

    Returns
    -------
    BatchClusters
        ``labels``, ``centers``, ``center_offsets``, ``inertia`` and ``n_iter``.

    Raises
    ------
    ValueError
        If shapes, offsets or labels disagree, or X holds NaN or infinity.
    TypeError
        If X is sparse or does not hold real numbers.

    Notes
    -----
    Scores of rows with centers are kept from step to step, so that a step works for the centers that moved.
    Where clusters hold a few rows each, the products of all pairs of rows (n**2 * d / 2 multiply-adds)
    bound all scores, and few are computed at length. Memory is that of the largest problem, per thread:
    some 16 * rows * (rows + clusters + columns) bytes.

    Sources: Dhillon & Modha 2001; token clusters as in CRISP (Veneroso et al. 2025); fixed labels as in
    transductive few-shot learning by k-means.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import kmeans_batch
    >>> X = np.array([[3.0, 0], [2, 0.1], [0, 5], [1, 0], [0, 1]], np.float32)
    >>> found = kmeans_batch(X, 2, offsets=[0, 3, 5])
    >>> found.labels.tolist(), found.center_offsets.tolist()
    ([0, 0, 1, 0, 1], [0, 2, 4])
    """
    function = "kmeans_batch"
    check_metric(function, metric)
    rows, at = as_problems(function, X, offsets)
    counts = cluster_counts(function, n_clusters, np.diff(at))
    runs = check_integer(function, "n_init", n_init)
    check_integer(function, "max_iter", max_iter)
    check_tol(function, tol)
    weights = row_weights(function, sample_weight, rows, metric)
    if weights is not None:
        _check_weights(function, weights, at)
    batch = Batch(function, rows, at, counts, metric, weights, n_threads)
    if fixed_labels is not None:
        batch.fixed = as_labels(function, "fixed_labels", fixed_labels, len(rows))
    return batch.run(init, runs, max_iter, float(tol), random_state)


class Batch:
    """Problems that have been checked, and the calls of the core that cluster them."""

    def __init__(
        self,
        function: str,
        rows: Rows,
        offsets: Offsets,
        counts: NDArray[np.int64],
        metric: str,
        weights: NDArray[np.float64] | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.function, self.rows, self.offsets, self.counts = function, rows, offsets, counts
        self.metric, self.weights, self.n_threads = metric, weights, n_threads
        self.fixed: NDArray[np.int32] | None = None
        self.center_offsets = offsets_of(counts)

    def run(self, init: Any, runs: int, max_iter: int, tol: float, random_state: Any) -> BatchClusters:
        """Start and iterate."""
        name = self._start_name(init, runs)
        seed = as_seed(self.function, random_state) if name == "k-means++" else 0
        if name == "ward":
            return self._core("ward", max_iter, tol)
        if name != "k-means++":
            centers = self.even_rows() if name == "even" else self._given(init)
            return self._core("centers", max_iter, tol, centers=centers)
        large = self._large() if self.fixed is None else np.zeros(0, np.int64)
        found = self._core("k-means++", max_iter, tol, runs=runs, seeds=self._seeds(seed, runs, large))
        for b in large.tolist():
            self._alone(b, found, runs, max_iter, tol, (seed + b) % 2**32)
        return found

    def steps(self, labels: NDArray[np.int32], max_iter: int, tol: float = 0.0) -> BatchClusters:
        """Iterations from the means of given clusters."""
        return self._core("labels", max_iter, tol, labels=labels)

    def means(self, labels: NDArray[np.int32]) -> BatchClusters:
        """Clusters by labels as they are."""
        return self._core("labels", 0, 0.0, labels=labels)

    def even_rows(self) -> NDArray[Any]:
        """Rows at even distances, the middle ones of as many parts."""
        counts = np.repeat(self.counts, self.counts)
        place = np.arange(len(counts)) - np.repeat(self.center_offsets[:-1], self.counts)
        lengths = np.repeat(np.diff(self.offsets), self.counts)
        inside = (2 * place + 1) * lengths // (2 * np.maximum(counts, 1))
        chosen: NDArray[Any] = self.rows[inside + np.repeat(self.offsets[:-1], self.counts)]
        return np.ascontiguousarray(chosen)

    def _start_name(self, init: Any, runs: int) -> str:
        name = "array"
        if isinstance(init, str):
            if init not in ("ward", "k-means++", "even"):
                raise ValueError(
                    f"{self.function}: init must be 'ward', 'k-means++', 'even' or an array; got "
                    f"{shown(init)}. Use 'ward' where clusters are small."
                )
            name = "k-means++" if self.fixed is not None and init == "ward" else init
        if runs > 1 and name != "k-means++":
            raise ValueError(
                f"{self.function}: n_init must be 1 where starts are not drawn; got {runs}. Use "
                "init='k-means++', or one run."
            )
        return name

    def _given(self, init: Any) -> NDArray[Any]:
        given = Rows(self.function, init, "init", like=self.rows)
        wanted = (int(self.center_offsets[-1]), self.rows.shape[1])
        if given.shape != wanted:
            raise ValueError(
                f"{self.function}: init must have shape {wanted}, the clusters of all problems by columns; "
                f"got {given.shape}. Stack the centers of the problems in their order."
            )
        given.core.zero_rows(call(self.function))  # measures, and so refuses what is out of range
        array: NDArray[Any] = given.array
        return array

    def _large(self) -> NDArray[np.int64]:
        """Problems that an estimator seeds otherwise, or that its bounds are made for."""
        n, m = np.diff(self.offsets).astype(float), np.maximum(self.counts, 1).astype(float)
        greedy = n * self.rows.shape[1] * m * (2 + np.log(m))
        return np.flatnonzero(((greedy >= LITTLE) & (n >= 25 * m)) | (n * m > MANY))

    def _seeds(self, seed: int, runs: int, large: NDArray[np.int64]) -> NDArray[np.uint64]:
        """What an estimator's generator would hand to its runs."""
        seeds = np.zeros((len(self.counts), runs), np.uint64)
        needed = self.counts > 0
        needed[large] = False
        rng = np.random.RandomState()
        for b in np.flatnonzero(needed).tolist():
            rng.seed((seed + b) % 2**32)
            seeds[b] = [rng.randint(2**62, dtype=np.int64) for _ in range(runs)]
        return seeds

    def _core(
        self,
        start: str,
        max_iter: int,
        tol: float,
        *,
        runs: int = 1,
        labels: NDArray[np.int32] | None = None,
        centers: NDArray[Any] | None = None,
        seeds: NDArray[np.uint64] | None = None,
    ) -> BatchClusters:
        found = backend().kmeans_batch(
            call(self.function, self.n_threads),
            self.rows.core,
            self.offsets,
            self.center_offsets,
            self.metric,
            start,
            max_iter,
            tol,
            runs,
            self.weights,
            self.fixed,
            labels,
            centers,
            seeds,
            self.rows.dtype == np.float64,
        )
        return BatchClusters(found[0], found[1], self.center_offsets, found[2], found[3])

    def _alone(self, b: int, found: BatchClusters, runs: int, max_iter: int, tol: float, seed: int) -> None:
        """A problem that is not small, by the estimator; its part of the answer is written over."""
        from latom.cluster.kmeans import KMeans, SphericalKMeans  # scikit-learn comes with it

        part = slice(int(self.offsets[b]), int(self.offsets[b + 1]))
        kind = SphericalKMeans if self.metric == "cosine" else KMeans
        model = kind(
            int(self.counts[b]),
            n_init=runs,
            max_iter=max_iter,
            tol=tol,
            random_state=seed,
            n_threads=self.n_threads,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few distinct rows are no news here
            model.fit(self.rows[part], sample_weight=None if self.weights is None else self.weights[part])
        found.labels[part] = model.labels_
        found.centers[self.center_offsets[b] : self.center_offsets[b + 1]] = model.cluster_centers_
        found.inertia[b], found.n_iter[b] = model.inertia_, model.n_iter_


def _check_weights(function: str, weights: NDArray[np.float64], offsets: Offsets) -> None:
    positive = np.append(0, np.cumsum(weights > 0))
    none = (np.diff(positive[offsets]) == 0) & (np.diff(offsets) > 0)
    if none.any():
        raise ValueError(
            f"{function}: sample_weight must have a positive entry in each problem; got zeros only in "
            f"problem {int(np.flatnonzero(none)[0])}. Leave it out, or drop the problem."
        )
