"""k-means on rows that lie apart, whoever holds them: the fit of streams and of many machines."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from latom._base.checks import check_clusters
from latom._base.estimator import as_generator
from latom._base.history import Iterations, IterationState
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.cluster.centers import warn_of_empty
from latom.cluster.fixed_lloyd import put_back
from latom.cluster.part_starts import Parts, PartStarts
from latom.cluster.saved_fit import FitState, FoundFit, SavedFit, states_of
from latom.cluster.shards import Bounds, Step, relocations


def fit_parts(model: Any, name: str, parts: Parts, checkpoint: Any = None) -> Any:
    """Fits a SphericalKMeans or KMeans to rows that lie apart."""
    metric, m = model._metric, model.n_clusters
    bounds = parts.bounds(metric == "euclidean" and model.tol > 0)
    check_clusters(name, m, bounds.rows)
    model.n_features_in_ = bounds.columns
    model._warn_of_zero_rows(name, bounds.zero_rows)
    count = model._starts(name, 1)
    starts = PartStarts(model, name, parts, bounds, as_generator(name, model.random_state))
    fit = PartFit(model, name, parts, bounds, starts.fixed)
    saved = SavedFit(checkpoint, name, bounds, m, metric, count)
    state = saved.load()
    best = None if state is None else state.best
    for number in range(count):
        first = starts.next()
        if state is not None and number < state.start:
            continue
        resumed = state if state is not None and number == state.start else None
        found = fit.run(first() if resumed is None else None, saved, number, best, resumed)
        if best is None or found.inertia < best.inertia:
            best = found
    assert best is not None
    sizes = np.bincount(best.labels, minlength=m)
    warn_of_empty(name, sizes)
    kept = best.centers
    if sp.issparse(kept) and not model._keeps_sparse():
        kept = kept.toarray()
    model.cluster_centers_, model.labels_, model.inertia_ = kept, best.labels, best.inertia
    model.history_, model.n_iter_ = best.history, len(best.history)
    masses = sizes if parts.weights is None else np.bincount(best.labels, parts.weights, m)
    model._counts = masses.astype(float)
    saved.remove()
    return model


class PartFit:
    """Runs of a fit.

    Parameters
    ----------
    model : estimator
    name : str
    parts : Parts
    bounds : Bounds
    fixed : int
        Centers that stay, the first ones.
    """

    def __init__(self, model: Any, name: str, parts: Parts, bounds: Bounds, fixed: int) -> None:
        self._model, self._name, self._parts, self._bounds, self._fixed = model, name, parts, bounds, fixed
        self._limit = model._limit(bounds.variance)

    def run(
        self,
        first: Rows | None,
        saved: SavedFit,
        number: int,
        best: FoundFit | None,
        resumed: FitState | None,
    ) -> FoundFit:
        """A run from its first centers, or from where it stood."""
        model, parts = self._model, self._parts
        parts.labels, inertia = None, None
        with Progress(type(model).__name__, model.max_iter, model.verbose) as progress:
            run = Iterations(IterationState, model.max_iter, model.callback, progress)
            done = False
            if resumed is not None:
                first, parts.labels = Rows(self._name, resumed.now.centers), resumed.now.labels
                run.states, done = states_of(resumed.now.history), resumed.done
            assert first is not None
            centers = first
            while not done:
                step = parts.assign(centers, self._bounds)
                inertia = step.objective()
                settled = bool(run.states) and step.changed == 0
                objective = self._objective(step, centers, inertia)
                moved, shift = 0, 0.0
                if not settled:
                    centers, moved, shift = self._update(step, centers)
                plain = float(self._bounds.rows) * centers.shape[1] * len(centers)
                done = run.stop(
                    settled or shift <= self._limit,
                    objective=objective, moved=moved, changed=step.changed,
                    avoided=1 - step.products / plain if plain else 0.0,
                )  # fmt: skip
                now = FoundFit(centers.array, parts.labels, inertia, run.history)
                saved.save(FitState(number, now, done, best))
            if inertia is None or len(run.states) < 2 or run.states[-1].changed:
                inertia = parts.assign(centers, self._bounds).objective()
        labels, parts.labels = parts.labels, None  # what comes next writes into others
        return FoundFit(centers.array, labels, float(inertia), run.history)

    def _objective(self, step: Step, centers: Rows, inertia: float) -> float:
        model = self._model
        found = step.sums.objective(self._name, centers, model._metric, self._bounds, model.n_threads)
        return inertia if found is None else found

    def _update(self, step: Step, before: Rows) -> tuple[Rows, int, float]:
        """The next centers, how many moved, and their squared shift."""
        model, name, bounds, m = self._model, self._name, self._bounds, len(before)
        empty = int((step.sizes == 0).sum())
        if empty:
            rows, labels = relocations(step.sizes, self._parts.worst(before, bounds, m + empty))
            free = labels >= self._fixed  # what a fixed center would take goes back
            if free.any():
                step.sums.add(self._parts.correction(rows[free], labels[free], m, bounds))
        found = step.sums.centers(name, before, model._metric, bounds, model.n_threads)
        if not self._fixed:
            return found
        centers, moved, shift = put_back(before.array, found[0].array, self._fixed)
        return Rows(name, centers, "centers", like=before), moved, shift
