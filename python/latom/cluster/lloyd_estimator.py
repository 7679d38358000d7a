"""Lloyd's algorithm as a scikit-learn estimator: all that the two metrics share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import norm as sparse_norm
from sklearn.base import ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import cosine_distances, euclidean_distances
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix, as_weights
from latom._base.backend import backend, call
from latom._base.checks import check_integer
from latom._base.estimator import IterativeEstimator, as_generator, as_random_state, validated_rows
from latom._base.history import Iterations, IterationState
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.cluster.assign import assign_rows
from latom.seed.kmeans_parallel import starting_rows


class LloydEstimator(ClusterMixin, IterativeEstimator):
    """Everything that the two metrics share."""

    _metric: ClassVar[str]
    _takes_sparse = True

    cluster_centers_: Matrix
    labels_: NDArray[np.int32]
    inertia_: float
    n_iter_: int
    history_: NDArray[Any]
    _weight_seen: NDArray[np.float64]

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: int = 1,
        max_iter: int = 100,
        tol: float = 1e-4,
        random_state: Any = None,
        n_threads: int | None = None,
        device: str | None = None,
        verbose: int = 0,
        callback: Callable[[IterationState], Any] | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_threads = n_threads
        self.device = device
        self.verbose = verbose
        self.callback = callback

    # ---- the scikit-learn interface

    def fit(self, X: Matrix, y: Any = None, sample_weight: Any = None) -> Any:
        """Cluster the rows of X.

        Parameters
        ----------
        X : array or CSR of shape (n, d), float32 or float64
            Rows; not copied when C-contiguous or canonical CSR (int32 or int64 indices).
        y : ignored
        sample_weight : array of shape (n,), optional
            Weight of each row in centres and objective; it does not change which centre is nearest.

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
        rows = validated_rows(self, name, X, reset=True)
        n = len(rows)
        if n < self.n_clusters:
            raise ValueError(
                f"{name}: n_clusters must be at most the number of rows, n_samples={n}; got "
                f"{self.n_clusters}. Ask for fewer clusters."
            )
        weights = as_weights(name, sample_weight, n)
        rng = as_generator(name, self.random_state)
        n_init = self.n_init
        if not isinstance(self.init, str) and not callable(self.init) and n_init > 1:
            warnings.warn(
                f"{name}: init is an array, so one run is made instead of n_init={n_init}.",
                RuntimeWarning,
                stacklevel=2,
            )
            n_init = 1
        lloyd = self._lloyd(name, rows, weights)
        if lloyd.zero_rows and self._metric == "cosine":
            warnings.warn(
                f"{name}: {lloyd.zero_rows} rows of X are zero; they have no direction, get label 0 and "
                "add nothing to a centre.",
                stacklevel=2,
            )
        limit = self._shift_limit(name, rows)
        best: dict[str, Any] | None = None
        for _ in range(n_init):
            start = self._initial_centers(name, rows, weights, rng)
            run = self._run(lloyd, start, limit, rows)
            if best is None or run["inertia_"] < best["inertia_"]:
                best = run
        assert best is not None
        for attribute, value in best.items():
            setattr(self, attribute, value)
        self._weight_seen = np.bincount(self.labels_, weights, minlength=self.n_clusters).astype(float)
        found = len(np.unique(self.labels_))
        if found < self.n_clusters:
            warnings.warn(
                f"{name}: {found} distinct clusters were found, fewer than n_clusters={self.n_clusters}. "
                "X may have repeated rows.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def partial_fit(self, X: Matrix, y: Any = None, sample_weight: Any = None) -> Any:
        """Update the centres with one batch (mini-batch k-means, Sculley 2010).

        Each centre becomes the weighted mean of all rows that were assigned to it so far, as if it
        had stood for them with its present value (scaled to length 1 under cosine). The first call
        seeds the centres from the batch, which must have at least n_clusters rows. ``labels_`` and
        ``inertia_`` are those of the batch, with the centres it was assigned to.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
        y : ignored
        sample_weight : array of shape (n,), optional

        Returns
        -------
        self
        """
        name = f"{type(self).__name__}.partial_fit"
        self._check_parameters(name)
        first = not hasattr(self, "cluster_centers_")
        rows = validated_rows(self, name, X, reset=first)
        X, n, m = rows[:], len(rows), self.n_clusters
        weights = as_weights(name, sample_weight, n)
        unit = normalize if self._metric == "cosine" else (lambda rows: rows)
        if first:
            if n < m:
                raise ValueError(
                    f"{name}: the first batch must have at least n_clusters={m} rows; got n_samples={n}. "
                    "Pass a larger first batch."
                )
            start = self._initial_centers(name, rows, weights, as_generator(name, self.random_state))
            lloyd = self._lloyd(name, rows, None)
            lloyd.set_centers(start, False)
            centers = unit(_from_core(lloyd.centers(), rows))
            seen, steps = np.zeros(m), 0
        else:
            centers, seen, steps = self.cluster_centers_, self._weight_seen, getattr(self, "n_steps_", 0)
        if len(seen) != m:
            raise ValueError(
                f"{name}: n_clusters must stay {len(seen)} between batches; got {m}. Use a new estimator."
            )
        labels, scores = assign_rows(name, rows, centers, self._metric, self.n_threads)
        w = np.ones(n) if weights is None else weights
        members = sp.csr_array((w, (labels, np.arange(n))), shape=(m, n))
        added = np.bincount(labels, w, minlength=m)
        gain = np.divide(1, seen + added, out=np.zeros(m), where=added > 0)
        keep = np.where(added > 0, seen * gain, 1)
        merged = sp.diags_array(keep) @ centers + sp.diags_array(gain) @ (members @ unit(X))
        if self._metric == "cosine":  # what cancels keeps its centre
            length = sparse_norm(merged, axis=1) if sp.issparse(merged) else np.linalg.norm(merged, axis=1)
            cancelled = length <= 1e-12
            if cancelled.any():
                merged = merged + sp.diags_array(cancelled.astype(float)) @ centers
        merged = type(centers)(merged) if sp.issparse(centers) else np.asarray(merged)
        self.cluster_centers_ = unit(merged).astype(centers.dtype)
        self._weight_seen = seen + added
        self.labels_ = labels
        self.inertia_ = float((w * self._costs(scores)).sum())
        self.n_steps_ = steps + 1
        return self

    def predict(self, X: Matrix) -> NDArray[np.int32]:
        """Nearest centre of each row; for the rows of ``fit`` these are ``labels_``.

        Parameters
        ----------
        X : array or CSR of shape (n, d)

        Returns
        -------
        labels : int32 array of shape (n,)
        """
        return self._assign("predict", X)[0]

    def transform(self, X: Matrix) -> NDArray[Any]:
        """Distance of each row to each centre.

        Parameters
        ----------
        X : array or CSR of shape (n, d)

        Returns
        -------
        distances : array of shape (n, n_clusters)
            1 - cosine for :class:`SphericalKMeans`, Euclidean distance for :class:`KMeans`, as
            scikit-learn computes them in the dtype of X. :meth:`predict` is the exact one.
        """
        check_is_fitted(self)
        X = validated_rows(self, f"{type(self).__name__}.transform", X, reset=False)[:]
        distances = cosine_distances if self._metric == "cosine" else euclidean_distances
        result: NDArray[Any] = distances(X, self.cluster_centers_)
        return result

    def score(self, X: Matrix, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the objective of X with the fitted centres: higher is better.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
        y : ignored
        sample_weight : array of shape (n,), optional

        Returns
        -------
        score : float
        """
        scores = self._assign("score", X)[1]
        weights = as_weights(f"{type(self).__name__}.score", sample_weight, len(scores))
        costs = self._costs(scores)
        return -float((costs if weights is None else weights * costs).sum())

    @property
    def _n_features_out(self) -> int:
        return int(self.cluster_centers_.shape[0])

    # ---- one run

    def _run(self, lloyd: Any, start: Any, limit: float, rows: Rows) -> dict[str, Any]:
        plain = float(rows.entries) * self.n_clusters
        lloyd.set_centers(start, self._metric == "cosine")
        with Progress(type(self).__name__, self.max_iter, self.verbose) as progress:
            run = Iterations(IterationState, self.max_iter, self.callback, progress)
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
            objective = lloyd.assign()[1]
        return {
            "cluster_centers_": _from_core(lloyd.centers(), rows),
            "labels_": lloyd.labels(),
            "inertia_": float(objective),
            "n_iter_": len(run.states),
            "history_": run.history,
        }

    def _lloyd(self, name: str, rows: Rows, weights: NDArray[np.float64] | None) -> Any:
        context = call(name, self.n_threads)
        return backend(self.device, name).Lloyd(context, rows.core, weights, self._metric)

    def _initial_centers(self, name: str, rows: Rows, weights: NDArray[np.float64] | None, rng: Any) -> Any:
        """Starting centers as the core takes them: rows of X in place, or what the user gave."""
        m = self.n_clusters
        if isinstance(self.init, str):
            if self.init == "k-means++":
                chosen = starting_rows(name, rows, m, weights, self._metric, rng, self.n_threads)
            else:  # "random": rows of positive weight first
                order = rng.permutation(len(rows))
                if weights is not None:
                    order = order[np.argsort(weights[order] == 0, kind="stable")]
                chosen = np.ascontiguousarray(order[:m], np.int64)
            return rows.core.subset(call(name, self.n_threads), chosen)
        init = self.init
        if callable(init):
            init = init(rows[:], m, random_state=as_random_state(name, rng))
        centers = Rows(name, init, "init", rows.dtype)
        if centers.shape != (m, rows.shape[1]):
            raise ValueError(
                f"{name}: init must have shape {(m, rows.shape[1])}, n_clusters by features; got "
                f"{centers.shape}. Pass as many centers as clusters."
            )
        return centers.core

    def _assign(self, method: str, X: Matrix) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        check_is_fitted(self)
        name = f"{type(self).__name__}.{method}"
        rows = validated_rows(self, name, X, reset=False)
        return assign_rows(name, rows, self.cluster_centers_, self._metric, self.n_threads)

    def _costs(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - scores if self._metric == "cosine" else -scores

    def _shift_limit(self, name: str, rows: Rows) -> float:
        """The squared shift of all centres together at which a run stops."""
        if self.tol == 0:
            return -1.0
        if self._metric == "cosine":
            return float(self.tol * self.n_clusters)
        context = call(name, self.n_threads)
        return float(self.tol * backend(self.device, name).mean_variance(context, rows.core))

    # ---- checks

    def _check_parameters(self, name: str) -> None:
        for argument in ("n_clusters", "n_init"):
            check_integer(name, argument, getattr(self, argument))
        self._check_iterations(name)
        if isinstance(self.init, str) and self.init not in ("k-means++", "random"):
            raise ValueError(
                f"{name}: init must be 'k-means++', 'random', an array or a callable; got {self.init!r}. "
                "Use 'k-means++'."
            )


def _from_core(centers: Any, rows: Rows) -> Matrix:
    """Centers as the core returns them, in the container of X."""
    if not rows.sparse:
        return centers
    indptr, indices, values = centers
    index = rows.array.indices.dtype if len(values) < 2**31 else np.int64
    shape = (len(indptr) - 1, rows.shape[1])
    container = sp.csr_array if isinstance(rows.array, sp.sparray) else sp.csr_matrix
    return container((values, indices.astype(index, copy=False), indptr.astype(index)), shape=shape)
