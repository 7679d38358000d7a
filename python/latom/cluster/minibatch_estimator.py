"""Mini-batch k-means as a scikit-learn estimator: all that the two metrics share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.callbacks import FitTasks, with_callbacks
from latom._base.checks import check_clusters, check_flag, check_integer, check_range
from latom._base.estimator import as_random_state
from latom._base.history import Iterations, MiniBatchState
from latom._base.progress import Progress
from latom._base.stream import Stream
from latom.cluster.batch_rows import BatchRows, Drawn, HeldRows, StreamedRows
from latom.cluster.centers import warn_of_size
from latom.cluster.kmeans_base import KMeansBase

PATIENT_ROWS = 10  # per cluster, between replacements of light centers


class MiniBatchEstimator(KMeansBase):
    """Everything that the two metrics share."""

    history_: NDArray[Any]
    _unreplaced: int  # rows seen since light centers were last replaced
    _random_state: np.random.RandomState

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        verbose: int = 0,
        compute_labels: bool = True,
        random_state: Any = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: Any = "auto",
        reassignment_ratio: float = 0.01,
        sparse_centers: bool | None = None,
        n_threads: int | None = None,
        device: str | None = None,
        callback: Callable[[MiniBatchState], Any] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.verbose = verbose
        self.compute_labels = compute_labels
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio
        self.sparse_centers = sparse_centers
        self.n_threads = n_threads
        self.device = device
        self.callback = callback

    @with_callbacks
    def fit(self, X: Matrix, y: Any = None, sample_weight: Any = None) -> Any:
        """Learn centers from batches of rows of X.

        Parameters
        ----------
        X, y
            As in :meth:`latom.KMeans.fit`, with the same errors. From a :class:`latom.Stream` the same
            batches are drawn. Rows of arrays and ``.npy`` files are read by themselves; of other sources, a
            pass over all blocks collects as many batches as the largest block has rows for.
        sample_weight : array of shape (n,), optional
            Weight of each row: how often it is drawn.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, there are fewer rows than clusters, or X holds NaN or infinity.
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        rows: BatchRows
        if isinstance(X, Stream):
            rows = self._streamed(name, X, sample_weight)
        else:
            rows = HeldRows(name, *self._rows(name, X, True, sample_weight), self)
        self._warn_of_zero_rows(name, rows.zero_rows)
        if not self._keeps_sparse():
            warn_of_size(name, self.n_clusters, rows.like)
        rng = as_random_state(name, self.random_state)
        size = self._sizes(name, len(rows))
        start = self._best_start(name, rows, rng)
        self._counts, self._unreplaced = np.zeros(self.n_clusters), 0
        steps = self._batch_steps(name, rows.like, start)[1]
        tasks = FitTasks(self, 1, X, y, sample_weight)
        objective = self._learn(name, rows, steps, size, rng, tasks)
        self.cluster_centers_ = self._kept(steps.centers(), rows.like)
        self._counts = steps.counts()
        self.n_iter_ = ceil(self.n_steps_ * size / len(rows))
        if self.compute_labels:
            self._label(rows)
        else:
            self.inertia_ = objective * float(len(rows) if rows.weights is None else rows.weights.sum())
        tasks.end()
        return self

    def partial_fit(self, X: Matrix, y: Any = None, sample_weight: Any = None) -> Any:
        """Update the centers with one batch.

        The first call draws the starting centers from the batch, which must have at least n_clusters rows.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`latom.KMeans.partial_fit`, with the same errors.

        Returns
        -------
        self
        """
        name = f"{type(self).__name__}.partial_fit"
        self._check_parameters(name)
        first = not hasattr(self, "cluster_centers_")
        rows, weights = self._rows(name, X, first, sample_weight)
        if not hasattr(self, "_random_state"):
            self._random_state = as_random_state(name, self.random_state)
        start = None
        if first:
            self._sizes(name, len(rows))
            held = HeldRows(name, rows, weights, self)
            start = self._drawn_start(name, held, self._random_state)
            self._counts, self._unreplaced, self.n_steps_ = np.zeros(self.n_clusters), 0, 0
        self._check_same_clusters(name)
        rows, steps = self._batch_steps(name, rows, start)
        context = call(name, self.n_threads)
        replace = self._is_time_to_replace(steps, len(rows))
        steps.step(context, rows.core, weights)
        if replace:
            self._replace(context, steps, rows.core, self._random_state)
        self.cluster_centers_ = self._kept(steps.centers(), rows)
        self._counts = steps.counts()
        if self.compute_labels:
            self._label(HeldRows(name, rows, weights, self))
        self.n_steps_ += 1
        return self

    # ---- parts of a fit

    def _streamed(self, name: str, stream: Stream, sample_weight: Any) -> StreamedRows:
        """A look at all rows of a stream."""
        rows = StreamedRows(name, stream, self, sample_weight)
        check_clusters(name, self.n_clusters, len(rows))
        self.n_features_in_ = rows.bounds.columns
        return rows

    def _learn(
        self, name: str, rows: BatchRows, steps: Any, size: int, rng: np.random.RandomState, tasks: FitTasks
    ) -> float:
        """Makes the steps; returns the smoothed mean cost per row."""
        n = len(rows)
        most = self.max_iter * n // size
        context = call(name, self.n_threads)
        # Batches that are drawn ahead of their steps must not depend on what steps draw.
        seeds = rng.randint(2**32, size=2, dtype=np.uint32)
        batch_rng, rng = (np.random.RandomState(seed) for seed in seeds)
        limit = rows.limit(self)
        smoothed = lowest = np.inf
        stale = made = 0
        task = tasks.start(most)
        with Progress(type(self).__name__, most, self.verbose) as progress:
            run = Iterations(
                MiniBatchState,
                most,
                self.callback,
                progress,
                task,
                lambda: {
                    "cluster_centers_": self._kept(steps.centers(), rows.like),
                    "_counts": steps.counts(),
                    "n_steps_": made,
                    "n_iter_": ceil(made * size / n),
                },
            )
            reason = ""
            for batch in rows.batches(_draws(n, size, rows.weights, batch_rng), most):
                replace = self._is_time_to_replace(steps, size)
                inertia, shift = steps.step(context, batch, None)
                replaced = self._replace(context, steps, batch, rng) if replace else 0
                cost = inertia / size
                if len(run.states) < 2:  # the first cost is that of the start
                    smoothed = cost
                else:
                    rate = min(2 * size / (n + 1), 1.0)
                    smoothed = smoothed * (1 - rate) + cost * rate
                if run.states:
                    stale = 0 if smoothed < lowest else stale + 1
                    lowest = min(lowest, smoothed)
                    if shift <= limit and not replaced:
                        reason = "small centers change"
                    elif self.max_no_improvement is not None and stale >= self.max_no_improvement:
                        reason = "lack of improvement in inertia"
                made += 1
                if run.stop(bool(reason), objective=smoothed, replaced=replaced):
                    break
        if reason and self.verbose:
            print(f"{type(self).__name__}: Converged ({reason}) at step {len(run.states)}/{most}")
        task.end(run.attributes)
        self.n_steps_, self.history_ = len(run.states), run.history
        return float(smoothed)

    def _best_start(self, name: str, rows: BatchRows, rng: Any) -> Any:
        """The start, of several, with the lowest cost of rows drawn for the comparison."""
        if self._n_init == 1:
            return self._drawn_start(name, rows, rng)
        drawn, weights = rows.take(rng.randint(0, len(rows), self._init_size).astype(np.int64))
        context = call(name, self.n_threads)
        judge = backend(self.device, name).Lloyd(context, drawn.core, weights, self._metric)
        best, lowest = None, np.inf
        for _ in range(self._n_init):
            start = self._drawn_start(name, rows, rng)
            judge.set_centers(start, self._metric == "cosine")
            judge.assign(False)
            cost = judge.inertia()
            if best is None or cost < lowest:
                best, lowest = start, cost
        return best

    def _drawn_start(self, name: str, rows: BatchRows, rng: Any) -> Any:
        """A start from as many rows as init_size says."""
        if not isinstance(self.init, str) and not callable(self.init):
            return self._start(name, rows.like, None, rng)
        some = self._init_size < len(rows)
        return self._start(
            name, *rows.take(rng.randint(0, len(rows), self._init_size) if some else None), rng
        )

    def _is_time_to_replace(self, steps: Any, rows: int) -> bool:
        """Whether light centers may be replaced after this step."""
        self._unreplaced += rows
        if (steps.counts() == 0).any() or self._unreplaced >= PATIENT_ROWS * self.n_clusters:
            self._unreplaced = 0
            return True
        return False

    def _replace(self, context: Any, steps: Any, batch: Any, rng: Any) -> int:
        """Puts rows of the batch, at most half, in the place of light centers; returns how many."""
        counts = steps.counts()
        light = counts < self.reassignment_ratio * counts.max()
        light[counts.argmax()] = False
        if light.sum() > 0.5 * batch.n:
            light[np.argsort(counts, kind="stable")[batch.n // 2 :]] = False
        if not light.any():
            return 0
        clusters = np.flatnonzero(light)
        drawn = rng.choice(batch.n, replace=False, size=len(clusters))
        steps.replace(context, batch, np.asarray(drawn, np.int64), clusters.astype(np.int64))
        counts[light] = counts[~light].min()  # not so small that they would be replaced at once
        steps.set_counts(counts)
        return len(clusters)

    def _label(self, rows: BatchRows) -> None:
        self.labels_, scores = rows.assign(self.cluster_centers_, self._metric)
        self.inertia_ = self._objective(scores, rows.weights)

    # ---- checks

    def _sizes(self, name: str, n: int) -> int:
        """Rows of a batch; also sets the starts to make, and the rows that they are drawn from."""
        self._n_init = self._starts(name, 3)
        size, m = min(self.batch_size, n), self.n_clusters
        many = 3 * size if self.init_size is None else self.init_size
        if many < m:
            if self.init_size is not None:
                warnings.warn(
                    f"{name}: init_size={self.init_size} should be larger than n_clusters={m}. Setting it to "
                    "min(3*n_clusters, n_samples).",
                    RuntimeWarning,
                    stacklevel=3,
                )
            many = 3 * m
        self._init_size = min(many, n)
        return size

    def _check_parameters(self, name: str) -> None:
        super()._check_parameters(name)
        check_integer(name, "batch_size", self.batch_size)
        if self.max_no_improvement is not None:
            check_integer(name, "max_no_improvement", self.max_no_improvement, low=0)
        if self.init_size is not None:
            check_integer(name, "init_size", self.init_size)
        check_flag(name, "compute_labels", self.compute_labels)
        check_range(name, "reassignment_ratio", self.reassignment_ratio)


def _draws(n: int, size: int, weights: NDArray[np.float64] | None, rng: np.random.RandomState) -> Drawn:
    """What draws the rows of a batch, with replacement, by their weights."""
    if weights is None:
        return lambda: rng.randint(0, n, size).astype(np.int64)
    share = np.cumsum(weights)
    return lambda: share.searchsorted(rng.random_sample(size) * share[-1], side="right").astype(np.int64)
