"""Lloyd's algorithm as a scikit-learn estimator: all that the two metrics share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend, call, check_device
from latom._base.callbacks import FitTasks, StartTask, with_callbacks
from latom._base.checks import check_choice, check_flag
from latom._base.device import place_of
from latom._base.estimator import as_generator
from latom._base.history import Iterations, IterationState
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom._base.stream import Stream
from latom.cluster.centers import warn_of_empty, warn_of_size
from latom.cluster.device_csr_lloyd import DeviceCsrLloyd
from latom.cluster.device_lloyd import DeviceLloyd
from latom.cluster.fixed_lloyd import FixedLloyd
from latom.cluster.kmeans_base import KMeansBase
from latom.seed.device_folds import rows_on_device


class LloydEstimator(KMeansBase):
    """Everything that the two metrics share."""

    _gpu = True
    history_: NDArray[Any]

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: Any = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
        sparse_centers: bool | None = None,
        fixed_centers: Any = None,
        n_threads: int | None = None,
        device: str | None = None,
        callback: Callable[[IterationState], Any] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm
        self.sparse_centers = sparse_centers
        self.fixed_centers = fixed_centers
        self.n_threads = n_threads
        self.device = device
        self.callback = callback

    @with_callbacks
    def fit(self, X: Matrix, y: Any = None, sample_weight: Any = None) -> Any:
        """Cluster the rows of X.

        Parameters
        ----------
        X : array or CSR of shape (n, d), float32 or float64
            Rows; not copied when C-contiguous or canonical CSR (int32 or int64 indices). Or a
            :class:`latom.Stream` of more rows than memory holds.
        y : ignored
        sample_weight : array of shape (n,), optional
            Weight of each row in centers and objective; it does not change which center is nearest.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, there are fewer rows than clusters, or X holds NaN or
            infinity (the message names the first bad row).
        """
        name = f"{type(self).__name__}.fit"
        self._check_parameters(name)
        if isinstance(X, Stream):
            check_device(name, self.device, gpu=False)
            from latom.cluster.streamed import fit_stream

            return fit_stream(self, name, X, sample_weight)
        place, given = place_of(name, self.device, X=X), X
        X = X if place is None else place.fetch(X)
        rows, weights = self._rows(name, X, True, sample_weight)
        there = None if place is None or rows.sparse else rows_on_device(name, place, given, rows)
        fixed = self._fixed(name, rows)
        drawn = isinstance(self.init, str) or callable(self.init) or self.random_state is not None
        rng = as_generator(name, self.random_state) if drawn else None
        self._n_init = self._starts(name, 10)
        lloyd: Any
        if place is not None and there is None:
            lloyd = DeviceCsrLloyd(name, place, rows, weights, self._metric, self.n_threads)
        elif place is None or there is None:
            lloyd = backend().Lloyd(call(name, self.n_threads), rows.core, weights, self._metric)
        else:
            lloyd = DeviceLloyd(name, place, rows, there, weights, self._metric, self.n_threads)
        if fixed is not None:
            lloyd = FixedLloyd(lloyd, name, rows, weights, self._metric, len(fixed))
        self._warn_of_zero_rows(name, lloyd.zero_rows)
        if not self._keeps_sparse():
            warn_of_size(name, self.n_clusters, rows)
        limit = self._shift_limit(name, rows)
        tasks = FitTasks(self, self._n_init, X, y, sample_weight)
        best: dict[str, Any] | None = None
        for _ in range(self._n_init):
            task = tasks.start(self.max_iter)
            start = self._start(name, rows, weights, rng, fixed, there)
            run, stopped = self._run(lloyd, start, limit, rows, task)
            if best is None or run["inertia_"] < best["inertia_"]:
                best = run
            if stopped:
                break
        assert best is not None
        best["cluster_centers_"] = self._kept(best["cluster_centers_"], rows)
        for attribute, value in best.items():
            setattr(self, attribute, value)
        sizes = np.bincount(self.labels_, minlength=self.n_clusters)
        masses = sizes if weights is None else np.bincount(self.labels_, weights, self.n_clusters)
        self._counts = masses.astype(float)
        warn_of_empty(name, sizes)
        tasks.end()
        return self

    def partial_fit(self, X: Matrix, y: Any = None, sample_weight: Any = None) -> Any:
        """Update the centers with one batch (mini-batch k-means, Sculley 2010).

        Each center becomes the weighted mean of all rows that were assigned to it so far, as if it
        had stood for them with its present value (scaled to length 1 under cosine). The first call
        seeds the centers from the batch, which must have at least n_clusters rows. ``labels_`` and
        ``inertia_`` are those of the batch, with the centers it was assigned to.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
        y : ignored
        sample_weight : array of shape (n,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in :meth:`fit`; also where n_clusters changed since the last batch, or ``fixed_centers`` is
            given.
        """
        name = f"{type(self).__name__}.partial_fit"
        self._check_parameters(name)
        if self.fixed_centers is not None:
            raise ValueError(
                f"{name}: fixed_centers must be None; got {type(self.fixed_centers).__name__}. Call fit, "
                "which keeps centers where they are."
            )
        first = not hasattr(self, "cluster_centers_")
        rows, weights = self._rows(name, X, first, sample_weight)
        start = None
        if first:
            start = self._start(name, rows, weights, as_generator(name, self.random_state))
            self._counts, self.n_steps_ = np.zeros(self.n_clusters), 0
        self._check_same_clusters(name)
        rows, steps = self._batch_steps(name, rows, start)
        self.inertia_ = float(steps.step(call(name, self.n_threads), rows.core, weights)[0])
        self.cluster_centers_ = self._kept(steps.centers(), rows)
        self.labels_ = steps.labels()
        self._counts = steps.counts()
        self.n_steps_ = getattr(self, "n_steps_", 0) + 1
        return self

    # ---- one run

    def _run(
        self, lloyd: Any, start: Any, limit: float, rows: Rows, task: StartTask
    ) -> tuple[dict[str, Any], bool]:
        """What a run finds, with centers as the core has them, and whether it is to be the last."""
        plain = float(rows.entries) * self.n_clusters
        lloyd.set_centers(start, self._metric == "cosine")
        with Progress(type(self).__name__, self.max_iter, self.verbose) as progress:
            run = Iterations(
                IterationState,
                self.max_iter,
                self.callback,
                progress,
                task,
                lambda: {"cluster_centers_": self._kept(lloyd.centers(), rows)},
            )
            while True:
                changed, objective, products = lloyd.assign()
                settled = bool(run.states) and changed == 0
                moved, _, shift = (0, 0, 0.0) if settled else lloyd.update()
                avoided = 1 - products / plain if plain else 0.0
                if run.stop(
                    settled or shift <= limit,
                    objective=objective,
                    moved=moved,
                    changed=changed,
                    avoided=avoided,
                ):
                    break
        if not settled:
            lloyd.assign(False)
        centers = lloyd.centers()
        found = {
            "cluster_centers_": centers,
            "labels_": lloyd.labels(),
            "inertia_": lloyd.inertia(),
            "n_iter_": len(run.states),
            "history_": run.history,
        }
        return found, task.end(lambda: {**found, "cluster_centers_": self._kept(centers, rows)})

    def _fixed(self, name: str, rows: Rows) -> Rows | None:
        """The centers that stay, in the container and dtype of X."""
        if self.fixed_centers is None:
            return None
        fixed = Rows(name, self.fixed_centers, "fixed_centers", like=rows)
        if fixed.shape[1] != rows.shape[1] or len(fixed) > self.n_clusters:
            raise ValueError(
                f"{name}: fixed_centers must have at most n_clusters={self.n_clusters} rows, of the "
                f"{rows.shape[1]} columns of X; got shape {fixed.shape}. Raise n_clusters, which counts "
                "them, or pass fewer."
            )
        return fixed

    # ---- checks

    def _check_parameters(self, name: str) -> None:
        super()._check_parameters(name)
        check_choice(name, "algorithm", self.algorithm, ("lloyd", "elkan"))
        check_flag(name, "copy_x", self.copy_x)
        if self.algorithm == "elkan" and self.n_clusters == 1:
            warnings.warn(
                f"{name}: algorithm='elkan' doesn't make sense for a single cluster. Leave it out.",
                RuntimeWarning,
                stacklevel=3,
            )
