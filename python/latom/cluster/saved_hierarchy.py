"""Where a hierarchy stands after a round, in a file: a fit that was killed goes on from there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import call
from latom._base.checks import shown
from latom._base.history import HierarchyState, history_type
from latom._base.rows import Rows
from latom.cluster.state_file import Arrays, StateFile, matrix_arrays, matrix_of


class Level(NamedTuple):
    """What a level has found: its centers, and of each of its rows the cluster and the score."""

    centers: Matrix
    labels: NDArray[np.int32]
    scores: NDArray[np.float64]
    history: NDArray[Any]


@dataclass
class Standing:
    """Levels that are done; of the next one the rounds so far, and the rows that the following one takes."""

    levels: list[Level]
    history: NDArray[Any] | None = None
    taken: NDArray[np.int64] | None = None

    def draws(self) -> int:
        """Seeds drawn so far: one for each k-means, and one for the rows of each round that follows."""
        done = sum(2 * len(level.history) - 1 for level in self.levels)
        return done + (0 if self.history is None else 2 * len(self.history))


class SavedHierarchy:
    """The state of a fit after a round, in a file.

    Parameters
    ----------
    name : str
        What messages start with.
    rows : Rows
    counts : list of int
        Clusters of each level.
    about : object
        Of each level: what else a fit depends on.
    model : HierarchicalKMeans
        Whose checkpoint is the path; None keeps nothing.
    """

    def __init__(self, name: str, rows: Rows, counts: list[int], about: Any, model: Any) -> None:
        self._name, self._counts, self._rows = name, counts, [len(rows), *counts]
        self._d, self._dtype = rows.shape[1], rows.dtype
        fit = ""
        if model.checkpoint is not None:
            seed = model.random_state if isinstance(model.random_state, Integral) else "drawn"
            fit = (
                f"{len(rows)} x {self._d} {rows.dtype} {float(rows.core.norm2(call(name)).sum())!r} {counts} "
                f"{about} {model.metric} {model.strategy} {model.max_iter} {model.n_init} {model.tol} {seed}"
            )
        self._file = StateFile(model.checkpoint, name, fit)
        self.standing = self._file.load(self._read) or Standing([])

    def replay(self, rng: Any) -> None:
        """Draws the seeds anew that the fit has drawn so far."""
        for _ in range(self.standing.draws()):
            as_seed(self._name, rng)

    def resume(self) -> tuple[list[HierarchyState], NDArray[np.int64] | None]:
        """Rounds of the level that the fit stands in, and the rows that its next one takes."""
        history, taken = self.standing.history, self.standing.taken
        self.standing.history = self.standing.taken = None
        return ([] if history is None else states_of(history)), taken

    def round(self, history: NDArray[Any], taken: NDArray[np.int64]) -> None:
        """A round is done, and others of its level follow."""
        self._save(Standing(self.standing.levels, history, taken))

    def level(self, found: Level) -> None:
        """A level is done."""
        self.standing.levels.append(found)
        self._save(self.standing)

    def remove(self) -> None:
        """Forgets the state: the fit is done."""
        self._file.remove()

    def _save(self, standing: Standing) -> None:
        def arrays() -> Arrays:
            made: Arrays = {"levels": np.array(len(standing.levels))}
            for at, level in enumerate(standing.levels):
                made |= matrix_arrays(f"{at}_", level.centers)
                parts = {"labels": level.labels, "scores": level.scores, "history": level.history}
                made |= {f"{at}_{key}": value for key, value in parts.items()}
            if standing.history is not None:
                made |= {"history": standing.history, "taken": standing.taken}
            return made

        self._file.save(arrays)

    def _read(self, arrays: Arrays) -> Standing:
        done = int(arrays["levels"])
        if not 0 <= done <= len(self._counts):
            raise ValueError("another number of levels")
        levels = []
        for at in range(done):
            labels, scores, history = (arrays[f"{at}_{key}"] for key in ("labels", "scores", "history"))
            shape = (self._rows[at],)
            if labels.shape != shape or labels.dtype != np.int32 or scores.shape != shape:
                raise ValueError("labels or scores of another shape")
            if labels.min() < 0 or labels.max() >= self._counts[at]:
                raise ValueError("labels of another level")
            if not np.isfinite(scores).all() or scores.dtype != np.float64:
                raise ValueError("scores that are no numbers")
            states_of(history)
            centers = matrix_of(arrays, f"{at}_", (self._counts[at], self._d))
            if centers.dtype != self._dtype:
                raise ValueError("centers of another type")
            Rows(self._name, centers, "centers").core.norm2(call(self._name))  # refuses what is no number
            levels.append(Level(centers, labels, scores, history))
        if "history" not in arrays:
            return Standing(levels)
        taken, rows = arrays["taken"], self._rows[done]
        if done == len(self._counts) or taken.ndim != 1 or taken.dtype != np.int64:
            raise ValueError("rows of another level")
        if len(taken) < self._counts[done] or taken.min() < 0 or taken.max() >= rows:
            raise ValueError("rows beyond the level")
        states_of(arrays["history"])
        return Standing(levels, arrays["history"], taken)


def check_checkpoint(name: str, checkpoint: Any, max_leaf_size: int | None) -> None:
    """Refuse what is no path, and a path where the tree is grown from the top."""
    if checkpoint is not None and not isinstance(checkpoint, (str, os.PathLike)):
        raise TypeError(
            f"{name}: checkpoint must be a path or None; got {shown(checkpoint)}. Pass the name of a file."
        )
    if checkpoint is not None and max_leaf_size is not None:
        raise ValueError(
            f"{name}: checkpoint must be None with max_leaf_size; got {shown(checkpoint)}. Leave it out."
        )


def states_of(history: NDArray[Any]) -> list[HierarchyState]:
    """The rounds that a history tells of."""
    if history.dtype != history_type(HierarchyState) or history.ndim != 1 or not len(history):
        raise ValueError("no history of rounds")
    if not np.isfinite(history["objective"]).all():
        raise ValueError("objectives that are no numbers")
    return [HierarchyState(*entry) for entry in history.tolist()]
