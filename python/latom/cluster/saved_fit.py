"""The state of a fit in a file: a fit that was killed goes on from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.history import IterationState
from latom.cluster.shards import Bounds
from latom.cluster.state_file import Arrays, StateFile, matrix_arrays, matrix_of


@dataclass
class FoundFit:
    """What a run has found, or has so far."""

    centers: Matrix
    labels: NDArray[np.int32]
    inertia: float
    history: NDArray[Any]


@dataclass
class FitState:
    """Where a fit stands after an iteration."""

    start: int  # runs that are over
    now: FoundFit
    done: bool  # the run is over, but for its last labels
    best: FoundFit | None  # of the runs before


class SavedFit:
    """The state of a fit after an iteration, in a file.

    Parameters
    ----------
    path : path or None
        None keeps nothing.
    name, bounds, m, metric, starts
        What the fit is of: a file of another fit is refused.
    """

    def __init__(self, path: Any, name: str, bounds: Bounds, m: int, metric: str, starts: int) -> None:
        self._rows, self._shape = bounds.rows, (m, bounds.columns)
        fit = (
            f"{bounds.rows} x {bounds.columns} {bounds.dtype} {bounds.longest!r} {m} {metric} {starts} starts"
        )
        self._file = StateFile(path, name, fit)

    def load(self) -> FitState | None:
        """What an earlier fit has left, or None."""
        return self._file.load(self._state)

    def _state(self, arrays: Arrays) -> FitState:
        best = self._found(arrays, "best_") if "best_labels" in arrays else None
        return FitState(int(arrays["start"]), self._found(arrays, "now_"), bool(arrays["done"]), best)

    def _found(self, state: Arrays, prefix: str) -> FoundFit:
        centers = matrix_of(state, prefix, self._shape)
        inertia, labels, history = (state[prefix + key] for key in ("inertia", "labels", "history"))
        if labels.shape != (self._rows,) or labels.dtype != np.int32:
            raise ValueError("labels of another shape")
        states_of(history)
        return FoundFit(centers, labels, float(inertia), history)

    def save(self, state: FitState) -> None:
        """Keeps the state."""
        self._file.save(
            lambda: {
                "start": np.array(state.start), "done": np.array(state.done),
                **_arrays("now_", state.now), **({} if state.best is None else _arrays("best_", state.best)),
            }
        )  # fmt: skip

    def remove(self) -> None:
        """Forgets the state: the fit is done."""
        self._file.remove()


def states_of(history: NDArray[Any]) -> list[IterationState]:
    """The iterations that a history tells of."""
    return [IterationState(*entry) for entry in history.tolist()]


def _arrays(prefix: str, found: FoundFit) -> Arrays:
    arrays = {"labels": found.labels, "history": found.history, "inertia": np.array(found.inertia)}
    return {prefix + key: value for key, value in arrays.items()} | matrix_arrays(prefix, found.centers)
