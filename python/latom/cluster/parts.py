"""Lloyd's algorithm on rows that lie apart, whoever holds them: the fit of streams and of many machines."""

from __future__ import annotations

import math
import os
import warnings
import zlib
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_clusters, shown
from latom._base.estimator import as_generator
from latom._base.history import Iterations, IterationState
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.cluster.centers import check_shape, from_core, random_rows
from latom.cluster.shards import Bounds, Step, Sums, relocations
from latom.seed.kmeans_plusplus import kmeans_plusplus

ROUNDS, OVERSAMPLING = 5, 2.0  # of k-means‖


class Parts(Protocol):
    """Who holds the rows."""

    weights: NDArray[np.float64] | None
    labels: Any

    def bounds(self, moments: bool) -> Bounds:
        """A look at all rows."""

    def take(self, numbers: NDArray[np.int64]) -> Matrix:
        """Rows by their numbers, in that order."""

    def assign(self, centers: Rows, bounds: Bounds) -> Step:
        """New labels of all rows."""

    def worst(self, centers: Rows, bounds: Bounds, count: int) -> list[tuple[NDArray[Any], ...]]:
        """Of each part the rows that fit worst, after an assignment to these centers."""

    def correction(self, numbers: NDArray[np.int64], new: NDArray[np.int32], m: int, bounds: Bounds) -> Sums:
        """What sums change by where rows get new labels."""

    def draw(self, centers: Rows, share: float, seed: int) -> tuple[NDArray[np.int64], float]:
        """Rows drawn one by one with probability share * cost, and the cost of all."""


def fit_parts(model: Any, name: str, parts: Parts, checkpoint: Any = None) -> Any:
    """Fits a SphericalKMeans or KMeans to rows that lie apart."""
    if model.fixed_centers is not None:
        raise ValueError(
            f"{name}: fixed_centers must be None for rows in parts; got {shown(model.fixed_centers)}. "
            "Fit rows in memory to keep centers."
        )
    if not isinstance(model.n_init, str) and model.n_init != 1:
        raise ValueError(
            f"{name}: n_init must be 1 or 'auto' for rows in parts; got {shown(model.n_init)}. "
            "Fit several times."
        )
    metric, m = model._metric, model.n_clusters
    bounds = parts.bounds(metric == "euclidean" and model.tol > 0)
    check_clusters(name, m, bounds.rows)
    model.n_features_in_ = bounds.columns
    model._warn_of_zero_rows(name, bounds.zero_rows)
    if model.tol == 0:
        limit = -1.0
    elif metric == "cosine":
        limit = float(model.tol * m)
    else:
        limit = model.tol * (bounds.spread / bounds.rows / bounds.columns)
    saved = SavedFit(checkpoint, name, bounds, m, metric)
    state = saved.load()
    if state is None:
        centers = _normalized(name, _start(model, name, parts, bounds), metric)
    else:
        centers = Rows(name, state["centers"])
    run_states = _iterate(model, name, parts, bounds, centers, limit, saved, state)
    centers, labels, objective, history = run_states
    kept = centers.array
    if sp.issparse(kept) and not model._keeps_sparse():
        kept = kept.toarray()
    model.cluster_centers_, model.labels_, model.inertia_ = kept, labels, objective
    model.history_, model.n_iter_ = history, len(history)
    model._counts = np.bincount(labels, parts.weights, minlength=m).astype(float)
    saved.remove()
    return model


def _iterate(
    model: Any,
    name: str,
    parts: Parts,
    bounds: Bounds,
    centers: Rows,
    limit: float,
    saved: SavedFit,
    state: Any,
) -> tuple[Rows, Any, float, NDArray[Any]]:
    plain, inertia = float(bounds.rows) * centers.shape[1] * len(centers), None
    with Progress(type(model).__name__, model.max_iter, model.verbose) as progress:
        run = Iterations(IterationState, model.max_iter, model.callback, progress)
        done, sizes = False, np.ones(len(centers), np.int64)
        if state is not None:
            parts.labels = state["labels"]
            run.states, done = state["history"], state["done"]
        while not done:
            step = parts.assign(centers, bounds)
            inertia, sizes, before = step.objective(), step.sizes, centers
            objective = step.sums.objective(name, centers, model._metric, bounds, model.n_threads)
            objective = inertia if objective is None else objective
            settled = bool(run.states) and step.changed == 0
            count, shift = 0, 0.0
            if not settled:
                empty = int((step.sizes == 0).sum())
                if empty:
                    rows, labels = relocations(step.sizes, parts.worst(centers, bounds, len(centers) + empty))
                    if len(rows):  # none where all rows lie on their centers
                        step.sums.add(parts.correction(rows, labels, len(centers), bounds))
                centers, count, shift = step.sums.centers(
                    name, before, model._metric, bounds, model.n_threads
                )
            avoided = 1 - step.products / plain if plain else 0.0
            done = run.stop(
                settled or shift <= limit,
                objective=objective, moved=count, changed=step.changed, avoided=avoided,
            )  # fmt: skip
            saved.save(centers, parts, run.history, done)
        if inertia is None or len(run.states) < 2 or run.states[-1].changed:
            step = parts.assign(centers, bounds)
            inertia, sizes = step.objective(), step.sizes
    found = int((sizes > 0).sum())
    if found < len(centers):
        warnings.warn(
            f"{name}: Number of distinct clusters ({found}) found smaller than n_clusters ({len(centers)}). "
            "Possibly due to duplicate points in X. Ask for fewer clusters.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return centers, parts.labels, float(inertia), run.history


class SavedFit:
    """The state of a fit after an iteration, in a file that is renamed in place when it is whole.

    Parameters
    ----------
    path : path or None
        None keeps nothing.
    name, bounds, m, metric
        What the fit is of: a file of another fit is refused.
    """

    def __init__(self, path: Any, name: str, bounds: Bounds, m: int, metric: str) -> None:
        self._path = None if path is None else Path(path)
        self._name = name
        self._fit = f"{bounds.rows} x {bounds.columns} {bounds.dtype} {bounds.longest!r} {m} {metric}"
        self._shape, self._rows = (m, bounds.columns), bounds.rows

    def load(self) -> Any:
        """What an earlier fit has left, or None."""
        if self._path is None or not self._path.exists():
            return None
        remedy = f"Remove {self._path.name}, or pass another path."
        try:
            with self._path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                state = dict(file)
            fit = str(state["fit"])
            if fit == self._fit:
                self._read(state)
        except (BadZipFile, EOFError, KeyError, TypeError, ValueError, zlib.error) as error:
            raise ValueError(
                f"{self._name}: checkpoint must be a file that a fit has left; got {self._path.name}, with "
                f"{type(error).__name__}. {remedy}"
            ) from error
        if fit != self._fit:
            raise ValueError(
                f"{self._name}: checkpoint must be of the same fit ({self._fit}); got {shown(fit)}. {remedy}"
            )
        return state

    def _read(self, state: dict[str, Any]) -> None:
        """Makes arrays what they stand for; raises what numpy and scipy do, or a ValueError."""
        if "indptr" in state:
            parts = (state["centers"], state["indices"], state["indptr"])
            state["centers"] = sp.csr_array(parts, shape=self._shape)
        labels = state["labels"]
        if labels.shape != (self._rows,) or labels.dtype != np.int32 or state["centers"].shape != self._shape:
            raise ValueError("labels or centers of another shape")
        state["history"] = [IterationState(*entry) for entry in state["history"].tolist()]
        state["done"] = bool(state["done"])

    def save(self, centers: Rows, parts: Parts, history: NDArray[Any], done: bool) -> None:
        """Keeps the state."""
        if self._path is None:
            return
        arrays = {
            "fit": np.array(self._fit),
            "labels": parts.labels,
            "history": history,
            "done": np.array(done),
        }
        if centers.sparse:
            matrix = centers.array
            arrays |= {"centers": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
        else:
            arrays["centers"] = centers.array
        beside = self._path.with_name(self._path.name + ".new")
        with open(beside, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self._path)

    def remove(self) -> None:
        """Forgets the state: the fit is done."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _normalized(name: str, start: Matrix, metric: str) -> Rows:
    """Centers as a run starts from them."""
    rows = Rows(name, start, "init")
    if metric != "cosine":
        return rows
    lloyd = backend().Lloyd(call(name), rows.core, None, metric)
    lloyd.set_centers(rows.core, True)
    return Rows(name, from_core(lloyd.centers(), rows), "init", like=rows)


def _start(model: Any, name: str, parts: Parts, bounds: Bounds) -> Matrix:
    """Centers that the user gave, or rows."""
    m, rng = model.n_clusters, as_generator(name, model.random_state)
    if not isinstance(model.init, str):
        if callable(model.init):
            raise ValueError(
                f"{name}: init must be no callable for rows in parts; got {shown(model.init)}. "
                "Pass the centers, or 'k-means++'."
            )
        like = Rows(name, parts.take(np.arange(1)), dtype=bounds.dtype)
        given = Rows(name, model.init, "init", like=like)
        check_shape(name, given.shape, (m, bounds.columns))
        return given.array
    if model.init == "random":
        return parts.take(random_rows(bounds.rows, m, parts.weights, rng))
    return _parallel(model, name, parts, bounds, rng)


def _parallel(model: Any, name: str, parts: Parts, bounds: Bounds, rng: Any) -> Matrix:
    """k-means‖, its draws keyed by the numbers of rows; what is drawn is reduced by weighted k-means++."""
    m, metric = model.n_clusters, model._metric
    seed = as_seed(name, rng)
    numbers = np.random.Generator(np.random.Philox(key=seed)).integers(bounds.rows, size=1)
    cost = math.inf
    for step in range(1, ROUNDS + 1):
        centers = Rows(name, parts.take(numbers), dtype=bounds.dtype)
        if not math.isfinite(cost):
            cost = parts.draw(centers, 0.0, seed)[1]
        if cost <= 0:
            break
        drawn, cost = parts.draw(centers, OVERSAMPLING * m / cost, seed + step)
        numbers = np.union1d(numbers, drawn)
    if len(numbers) < m:
        spare = np.setdiff1d(np.arange(bounds.rows), numbers)
        more = np.random.Generator(np.random.Philox(key=seed)).permutation(spare)[: m - len(numbers)]
        return parts.take(np.sort(np.concatenate([numbers, more])))
    candidates = Rows(name, parts.take(numbers), dtype=bounds.dtype)
    normalized = _normalized(name, candidates.array, metric)
    mass = parts.assign(normalized, bounds).sizes.astype(float)
    parts.labels = None
    return kmeans_plusplus(
        candidates.array, m, metric=metric, sample_weight=mass + (mass.sum() == 0),
        random_state=seed % 2**32, n_threads=model.n_threads,
    )[0]  # fmt: skip
