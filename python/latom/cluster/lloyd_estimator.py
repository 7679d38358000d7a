"""k-means estimators: spherical (cosine) and Euclidean, on sparse or dense rows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import norm as sparse_norm
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import cosine_distances, euclidean_distances
from sklearn.preprocessing import normalize
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_is_fitted, validate_data

from latom import _core
from latom._base.arrays import Matrix, as_rows, as_seed, as_weights, to_core
from latom._base.config import check_device, check_integer, check_threads
from latom._base.progress import Progress
from latom.cluster.assign import assign_rows
from latom.seed.kmeans_plusplus import starting_centers


@dataclass(frozen=True)
class IterationState:
    """One iteration of Lloyd's algorithm, as callbacks see it and ``history_`` keeps it.

    Attributes
    ----------
    iteration : int
        1 for the first.
    objective : float
        Sum over rows of weight times cost, with the centres that the iteration started from.
    moved : int
        Centres that the iteration changed.
    changed : int
        Rows whose label the iteration changed.
    seconds : float
        Time of the iteration.
    avoided : float
        Share of the plain algorithm's multiply-adds (nnz * n_clusters) that were not spent; negative
        where bounds cost more than they saved.
    """

    iteration: int
    objective: float
    moved: int
    changed: int
    seconds: float
    avoided: float

    @property
    def note(self) -> str:
        """For progress reports."""
        return f"{self.changed} labels changed, {self.moved} atoms moved"


_HISTORY = np.dtype([(f.name, np.int64 if f.type == "int" else np.float64) for f in fields(IterationState)])


class _LloydEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """Everything that the two metrics share."""

    _metric: ClassVar[str]

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
        X = self._validate(name, X, reset=True)
        n = X.shape[0]
        if n < self.n_clusters:
            raise ValueError(
                f"{name}: n_clusters must be at most the number of rows, n_samples={n}; got "
                f"{self.n_clusters}. Ask for fewer clusters."
            )
        weights = as_weights(name, sample_weight, n)
        rng = _as_generator(name, self.random_state)
        n_init = self.n_init
        if not isinstance(self.init, str) and not callable(self.init) and n_init > 1:
            warnings.warn(
                f"{name}: init is an array, so one run is made instead of n_init={n_init}.",
                RuntimeWarning,
                stacklevel=2,
            )
            n_init = 1
        lloyd = self._lloyd(name, X, weights)
        if lloyd.zero_rows and self._metric == "cosine":
            warnings.warn(
                f"{name}: {lloyd.zero_rows} rows of X are zero; they have no direction, get label 0 and "
                "add nothing to a centre.",
                stacklevel=2,
            )
        limit = self._shift_limit(X)
        best: dict[str, Any] | None = None
        for _ in range(n_init):
            centers = self._initial_centers(name, X, weights, rng)
            run = self._run(lloyd, centers, limit, X)
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
        X = self._validate(name, X, reset=first)
        n, m = X.shape[0], self.n_clusters
        weights = as_weights(name, sample_weight, n)
        unit = normalize if self._metric == "cosine" else (lambda rows: rows)
        if first:
            if n < m:
                raise ValueError(
                    f"{name}: the first batch must have at least n_clusters={m} rows; got n_samples={n}. "
                    "Pass a larger first batch."
                )
            centers = unit(self._initial_centers(name, X, weights, _as_generator(name, self.random_state)))
            seen, steps = np.zeros(m), 0
        else:
            centers, seen, steps = self.cluster_centers_, self._weight_seen, getattr(self, "n_steps_", 0)
        if len(seen) != m:
            raise ValueError(
                f"{name}: n_clusters must stay {len(seen)} between batches; got {m}. Use a new estimator."
            )
        labels, scores = assign_rows(name, X, centers, self._metric, self.n_threads)
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
        X = self._validate(f"{type(self).__name__}.transform", X, reset=False)
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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # ---- one run

    def _run(self, lloyd: Any, centers: Matrix, limit: float, X: Matrix) -> dict[str, Any]:
        history: list[IterationState] = []
        plain = float(X.nnz if sp.issparse(X) else X.size) * self.n_clusters
        lloyd.set_centers(to_core(centers, int32_columns=True), self._metric == "cosine")
        settled = False
        with Progress(type(self).__name__, self.max_iter, self.verbose) as progress:
            for iteration in range(1, self.max_iter + 1):
                start = time.perf_counter()
                changed, objective, products = lloyd.assign()
                settled = iteration > 1 and changed == 0
                moved, _, shift = (0, 0, 0.0) if settled else lloyd.update()
                state = IterationState(
                    iteration,
                    objective,
                    moved,
                    changed,
                    time.perf_counter() - start,
                    1 - products / plain if plain else 0.0,
                )
                history.append(state)
                progress.show(state)
                stop = self.callback is not None and bool(self.callback(state))
                if settled or stop or shift <= limit:
                    break
        if not settled:
            objective = lloyd.assign()[1]
        return {
            "cluster_centers_": _from_core(lloyd.centers(), X),
            "labels_": lloyd.labels(),
            "inertia_": float(objective),
            "n_iter_": len(history),
            "history_": np.array([astuple(state) for state in history], dtype=_HISTORY),
        }

    def _lloyd(self, name: str, X: Matrix, weights: NDArray[np.float64] | None) -> Any:
        threads = check_threads(name, self.n_threads)
        return _core.Lloyd(to_core(X), weights, self._metric, threads, name)

    def _initial_centers(self, name: str, X: Matrix, weights: NDArray[np.float64] | None, rng: Any) -> Matrix:
        m, n = self.n_clusters, X.shape[0]
        if isinstance(self.init, str) and self.init == "k-means++":
            with warnings.catch_warnings():  # fit itself tells when there are too few distinct rows
                warnings.simplefilter("ignore", UserWarning)
                return starting_centers(
                    X,
                    m,
                    metric=self._metric,
                    sample_weight=weights,
                    random_state=rng,
                    n_threads=self.n_threads,
                )[0]
        if isinstance(self.init, str):  # "random": rows of positive weight first
            order = rng.permutation(n)
            if weights is not None:
                order = order[np.argsort(weights[order] == 0, kind="stable")]
            return X[order[:m]]
        init = self.init(X, m, random_state=_as_random_state(rng)) if callable(self.init) else self.init
        centers = as_rows(name, init, "init", X.dtype)
        if centers.shape != (m, X.shape[1]):
            raise ValueError(
                f"{name}: init must have shape {(m, X.shape[1])}, n_clusters by features; got "
                f"{centers.shape}. Pass as many centres as clusters."
            )
        return centers

    def _assign(self, method: str, X: Matrix) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        check_is_fitted(self)
        name = f"{type(self).__name__}.{method}"
        X = self._validate(name, X, reset=False)
        return assign_rows(name, X, self.cluster_centers_, self._metric, self.n_threads)

    def _costs(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - scores if self._metric == "cosine" else -scores

    def _shift_limit(self, X: Matrix) -> float:
        """The squared shift of all centres together at which a run stops."""
        if self.tol == 0:
            return -1.0
        if self._metric == "cosine":
            return float(self.tol * self.n_clusters)
        variances = mean_variance_axis(X, axis=0)[1] if sp.issparse(X) else np.var(X, axis=0)
        return float(self.tol * np.mean(variances))

    # ---- checks

    def _validate(self, name: str, X: Matrix, reset: bool) -> Matrix:
        X = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            order="C",
            accept_large_sparse=True,
            ensure_all_finite=False,
        )
        return as_rows(name, X)

    def _check_parameters(self, name: str) -> None:
        for argument in ("n_clusters", "n_init", "max_iter"):
            check_integer(name, argument, getattr(self, argument))
        if isinstance(self.tol, bool) or not isinstance(self.tol, Real) or not self.tol >= 0:
            raise ValueError(
                f"{name}: tol must be a number of at least 0; got {self.tol!r}. "
                "Use 0 to stop only when no label changes."
            )
        check_device(name, self.device)
        check_threads(name, self.n_threads)
        if isinstance(self.init, str) and self.init not in ("k-means++", "random"):
            raise ValueError(
                f"{name}: init must be 'k-means++', 'random', an array or a callable; got {self.init!r}. "
                "Use 'k-means++'."
            )


class SphericalKMeans(_LloydEstimator):
    """k-means by cosine: each row goes to the centre with the highest cosine.

    Minimizes the sum over rows of weight times (1 - cosine with its centre). Centres have length 1.
    Rows are scaled to length 1 on the fly; X is never copied for it. Labels are those of float64
    arithmetic on X as given, and labels, centres and objective are the same bits for every number
    of threads, every processor and both index widths.

    Parameters
    ----------
    n_clusters : int, default 8
        Clusters, m.
    init : {"k-means++", "random"}, array or CSR of shape (m, d), or callable, default "k-means++"
        Starting centres; "k-means++" draws rows by squared distance, the best of several where that is
        cheap (``n_local_trials="auto"`` of :func:`latom.kmeans_plusplus`), from many dense rows through
        :func:`latom.kmeans_parallel`; "random" takes m random rows; a callable is called as
        ``init(X, n_clusters, random_state=RandomState)``.
    n_init : int, default 1
        Runs from different starts; the one with the lowest objective is kept.
    max_iter : int, default 100
        Most iterations of a run.
    tol : float, default 1e-4
        A run stops when the mean over centres of the squared distance moved is at most tol.
        0 stops only when no label changes.
    random_state : int, Generator, RandomState or None
        Seed of the starts.
    n_threads : int, optional
        None takes ``LATOM_NUM_THREADS``, ``OMP_NUM_THREADS`` or the CPUs of this process.
    device : {None, "cpu"}
        Where to compute; this build has the CPU.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line an iteration elsewhere.
    callback : callable, optional
        Called with an :class:`IterationState` after each iteration; a true result stops the run.

    Attributes
    ----------
    cluster_centers_ : array of shape (m, d), CSR where X is sparse
        Centres, of the dtype of X.
    labels_ : int32 array of shape (n,)
        Nearest centre of each row; equal to ``predict(X)``.
    inertia_ : float
        Sum over rows of weight times (1 - cosine).
    n_iter_ : int
        Iterations of the best run.
    history_ : structured array of shape (n_iter_,)
        Fields of :class:`IterationState`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    A zero row has cosine 0 with every centre, so label 0, and adds nothing to a centre; one warning
    counts such rows. An empty cluster takes the worst-fitting row of a cluster with more than one;
    a cluster whose sum cancels to zero keeps its centre.

    An iteration costs at most nnz * m multiply-adds; bounds avoid most of them (``history_["avoided"]``).
    Extra memory is some 40 bytes a row, one byte per entry of the denser part of the centres, and
    20 bytes a column a thread; of dense rows at most a third once more, as float32.

    References
    ----------
    Dhillon & Modha, "Concept decompositions for large sparse text data using clustering", 2001.
    Knittel, Koch & Ertl, "Efficient sparse spherical k-means for document clustering", 2021.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from latom import SphericalKMeans
    >>> X = sp.csr_array(np.array([[3.0, 0, 1], [2, 0, 0], [0, 5, 0], [0, 2, 1]]))
    >>> SphericalKMeans(2, random_state=0).fit(X).labels_.tolist()
    [1, 1, 0, 0]
    """

    _metric = "cosine"


class KMeans(_LloydEstimator):
    """k-means by Euclidean distance (Lloyd's algorithm), exact, on sparse or dense rows.

    Minimizes the sum over rows of weight times squared distance to its centre. The parameters,
    attributes and promises are those of :class:`SphericalKMeans`, except where said here.

    Parameters
    ----------
    n_clusters, init, n_init, max_iter, random_state, n_threads, device, verbose, callback
        As in :class:`SphericalKMeans`.
    tol : float, default 1e-4
        A run stops when the centres' summed squared shift is at most tol times the mean variance of
        the columns (scikit-learn's rule). 0 stops only when no label changes.

    Attributes
    ----------
    inertia_ : float
        Sum over rows of weight times squared distance.
    cluster_centers_, labels_, n_iter_, history_, n_features_in_, feature_names_in_
        As in :class:`SphericalKMeans`.

    Notes
    -----
    Scores are ``<x, c> - |c|^2 / 2`` in float64. On data far from the origin (offsets of 1e7 times the
    spread and more, such as time stamps) such differences lose digits: subtract the mean first.

    References
    ----------
    Lloyd, "Least squares quantization in PCM", 1982.
    """

    _metric = "euclidean"


def _from_core(centers: Any, X: Matrix) -> Matrix:
    """Centres as the core returns them, in the container of X."""
    if not sp.issparse(X):
        return centers
    indptr, indices, values = centers
    index = X.indices.dtype if len(values) < 2**31 else np.int64
    shape = (len(indptr) - 1, X.shape[1])
    container = sp.csr_array if isinstance(X, sp.sparray) else sp.csr_matrix
    return container((values, indices.astype(index, copy=False), indptr.astype(index)), shape=shape)


def _as_generator(name: str, random_state: Any) -> Any:
    """Something with permutation() that seeds can be drawn from; a given generator advances."""
    if isinstance(random_state, (np.random.Generator, np.random.RandomState)):
        return random_state
    return np.random.RandomState(as_seed(name, random_state) % 2**32)


def _as_random_state(rng: Any) -> np.random.RandomState:
    """What scikit-learn's init callables expect."""
    if isinstance(rng, np.random.RandomState):
        return rng
    return np.random.RandomState(int(rng.integers(2**32)))
