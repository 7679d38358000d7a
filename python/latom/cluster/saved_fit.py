"""The state of a fit in a file: a fit that was killed goes on from there."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.checks import shown
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
        self._name, self._rows, self._shape = name, bounds.rows, (m, bounds.columns)
        self._fit = (
            f"{bounds.rows} x {bounds.columns} {bounds.dtype} {bounds.longest!r} {m} {metric} {starts} starts"
        )

    def load(self) -> FitState | None:
        """What an earlier fit has left, or None."""
        if self._path is None or not self._path.exists():
            return None
        remedy = f"Remove {self._path.name}, or pass another path."
        state = None
        try:
            with self._path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = dict(file)
            fit = str(arrays["fit"])
            if fit == self._fit:
                state = self._state(arrays)
        except (BadZipFile, EOFError, KeyError, TypeError, ValueError, zlib.error) as error:
            raise ValueError(
                f"{self._name}: checkpoint must be a file that a fit has left; got {self._path.name}, with "
                f"{type(error).__name__}. {remedy}"
            ) from error
        if state is None:
            raise ValueError(
                f"{self._name}: checkpoint must be of the same fit ({self._fit}); got {shown(fit)}. {remedy}"
            )
        return state

    def _state(self, arrays: dict[str, Any]) -> FitState:
        """What arrays stand for; raises what numpy and scipy do, or a ValueError."""
        best = self._found(arrays, "best_") if "best_labels" in arrays else None
        return FitState(int(arrays["start"]), self._found(arrays, "now_"), bool(arrays["done"]), best)

    def _found(self, state: dict[str, Any], prefix: str) -> FoundFit:
        centers = state[prefix + "centers"]
        if prefix + "indptr" in state:
            indptr = state[prefix + "indptr"]
            centers = sp.csr_array((centers, state[prefix + "indices"], indptr), shape=self._shape)
        inertia, labels, history = (state[prefix + key] for key in ("inertia", "labels", "history"))
        if labels.shape != (self._rows,) or labels.dtype != np.int32 or centers.shape != self._shape:
            raise ValueError("labels or centers of another shape")
        states_of(history)
        return FoundFit(centers, labels, float(inertia), history)

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
