"""Rows that lie apart, as a fit asks for them, and where it starts from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import backend, call
from latom._base.estimator import as_random_state
from latom._base.rows import Rows
from latom.cluster.centers import check_shape, from_core, random_rows, stacked
from latom.cluster.shards import Bounds, Step, Sums
from latom.seed.kmeans_plusplus import kmeans_plusplus

ROUNDS, OVERSAMPLING = 5, 2.0  # of k-means‖


class Parts(Protocol):
    """Who holds the rows."""

    source: Any  # what the user gave: a callable that chooses centers is given it
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


class PartStarts:
    """Starts of a fit, one after the other; the fixed centers, if any, come first.

    Parameters
    ----------
    model : estimator
    name : str
    parts : Parts
    bounds : Bounds
    rng : Generator or RandomState
    """

    def __init__(self, model: Any, name: str, parts: Parts, bounds: Bounds, rng: Any) -> None:
        self._model, self._name, self._parts, self._bounds, self._rng = model, name, parts, bounds, rng
        self._like = Rows(name, parts.take(np.arange(1)), dtype=bounds.dtype)
        fixed = model._fixed(name, self._like)
        self.fixed = 0 if fixed is None else len(fixed)
        self._known = [] if fixed is None else [fixed.array]
        self._wanted = model.n_clusters - self.fixed

    def next(self) -> Callable[[], Rows]:
        """Draws the numbers of the next start; its rows are read when the function returned is called.

        So a fit that goes on from its checkpoint comes past starts that are done without reading rows.
        """
        init, k = self._model.init, self._wanted
        others: Callable[[], list[Matrix]] = list
        if k and isinstance(init, str):
            if init == "random":
                chosen = random_rows(self._bounds.rows, k, self._parts.weights, self._rng)
                others = lambda: [self._parts.take(chosen)]  # noqa: E731
            else:
                seed = as_seed(self._name, self._rng)
                others = lambda: [self._parallel(seed)]  # noqa: E731
        elif k:
            if callable(init):
                init = init(self._parts.source, k, random_state=as_random_state(self._name, self._rng))
            given = Rows(self._name, init, "init", like=self._like)
            check_shape(self._name, given.shape, (k, self._bounds.columns))
            others = lambda: [given.array]  # noqa: E731
        return lambda: self._normalized(stacked(self._known + others()))

    def _normalized(self, start: Matrix) -> Rows:
        """Centers as a run starts from them."""
        rows = Rows(self._name, start, "init", dtype=self._bounds.dtype)
        if self._model._metric != "cosine":
            return rows
        lloyd = backend().Lloyd(call(self._name), rows.core, None, "cosine")
        lloyd.set_centers(rows.core, True)
        return Rows(self._name, from_core(lloyd.centers(), rows), "init", like=rows)

    def _beside(self, numbers: NDArray[np.int64]) -> Matrix:
        """The fixed centers, and rows by their numbers."""
        return stacked(self._known + ([self._parts.take(numbers)] if len(numbers) else []))

    def _parallel(self, seed: int) -> Matrix:
        """k-means‖, its draws keyed by the numbers of rows; what is drawn is reduced by k-means++."""
        name, parts, n, k = self._name, self._parts, self._bounds.rows, self._wanted
        first = np.random.Generator(np.random.Philox(key=seed)).integers(n, size=1)
        numbers = first[:0] if self.fixed else first
        cost = math.inf
        for step in range(1, ROUNDS + 1):
            centers = Rows(name, self._beside(numbers), dtype=self._bounds.dtype)
            if not math.isfinite(cost):
                cost = parts.draw(centers, 0.0, seed)[1]
            if cost <= 0:
                break
            drawn, cost = parts.draw(centers, OVERSAMPLING * k / cost, seed + step)
            numbers = np.union1d(numbers, drawn)
        if len(numbers) < k:
            spare = np.setdiff1d(np.arange(n), numbers)
            more = np.random.Generator(np.random.Philox(key=seed)).permutation(spare)[: k - len(numbers)]
            return parts.take(np.sort(np.concatenate([numbers, more])))
        candidates = self._beside(numbers)
        mass = parts.assign(self._normalized(candidates), self._bounds).sizes[self.fixed :].astype(float)
        parts.labels = None
        return kmeans_plusplus(
            candidates[self.fixed :], k, metric=self._model._metric, sample_weight=mass + (mass.sum() == 0),
            existing_centers=candidates[: self.fixed] if self.fixed else None,
            random_state=seed % 2**32, n_threads=self._model.n_threads,
        )[0]  # fmt: skip
