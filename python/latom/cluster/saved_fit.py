"""The state of a fit in a file: a fit that was killed goes on from there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.history import IterationState
from latom.cluster.shards import Bounds


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
    """The state of a fit after an iteration, in a file that is renamed in place when it is whole.

    Parameters
    ----------
    path : path or None
        None keeps nothing.
    name, bounds, m, metric, starts
        What the fit is of: a file of another fit is refused.
    """

    def __init__(self, path: Any, name: str, bounds: Bounds, m: int, metric: str, starts: int) -> None:
        self._path = None if path is None else Path(path)
        self._name, self._columns = name, bounds.columns
        self._fit = (
            f"{bounds.rows} x {bounds.columns} {bounds.dtype} {bounds.longest!r} {m} {metric} {starts} starts"
        )

    def load(self) -> FitState | None:
        """What an earlier fit has left, or None."""
        if self._path is None or not self._path.exists():
            return None
        with np.load(self._path, allow_pickle=False) as file:
            state = dict(file)
        if str(state["fit"]) != self._fit:
            raise ValueError(
                f"{self._name}: checkpoint must be of the same fit ({self._fit}); got {state['fit']}. Remove "
                f"{self._path.name}, or pass another path."
            )
        best = self._found(state, "best_") if "best_labels" in state else None
        return FitState(int(state["start"]), self._found(state, "now_"), bool(state["done"]), best)

    def _found(self, state: dict[str, Any], prefix: str) -> FoundFit:
        centers = state[prefix + "centers"]
        if prefix + "indptr" in state:
            indptr = state[prefix + "indptr"]
            shape = (len(indptr) - 1, self._columns)
            centers = sp.csr_array((centers, state[prefix + "indices"], indptr), shape=shape)
        inertia, labels = float(state[prefix + "inertia"]), state[prefix + "labels"]
        return FoundFit(centers, labels, inertia, state[prefix + "history"])

    def save(self, state: FitState) -> None:
        """Keeps the state."""
        if self._path is None:
            return
        arrays = {
            "fit": np.array(self._fit), "start": np.array(state.start), "done": np.array(state.done),
            **_arrays("now_", state.now), **({} if state.best is None else _arrays("best_", state.best)),
        }  # fmt: skip
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


def states_of(history: NDArray[Any]) -> list[IterationState]:
    """The iterations that a history tells of."""
    return [IterationState(*entry) for entry in history.tolist()]


def _arrays(prefix: str, found: FoundFit) -> dict[str, Any]:
    arrays = {"labels": found.labels, "history": found.history, "inertia": np.array(found.inertia)}
    matrix = found.centers
    if sp.issparse(matrix):
        arrays |= {"centers": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    else:
        arrays["centers"] = matrix
    return {prefix + key: value for key, value in arrays.items()}
