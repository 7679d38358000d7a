"""The record of a fit: the state of each iteration, and what counts iterations and says when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from latom._base.callbacks import Attributes, StartTask
from latom._base.checks import shown
from latom._base.progress import Progress


@dataclass(frozen=True)
class IterationState:
    """One iteration of Lloyd's algorithm, as callbacks see it and ``history_`` keeps it.

    Attributes
    ----------
    iteration : int
        1 for the first.
    objective : float
        Sum over rows of weight times cost, with the centers that the iteration started from; of dense rows of
        few columns or in few clusters from the sums of clusters, and so up to rounding.
    moved : int
        Centers that the iteration changed.
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


@dataclass(frozen=True)
class FactorizationState:
    """One iteration of a factorization, as callbacks see it and ``history_`` keeps it.

    Attributes
    ----------
    iteration : int
        1 for the first.
    objective : float
        Loss (half the squared error, or the divergence) and penalties of the factors kept so far.
    violation : float
        What the coordinates lacked of optimality when they were met, relative to the first iteration; NaN
        for the multiplicative solver.
    seconds : float
        Time of the iteration; of starts that advance side by side, of an iteration of all.
    """

    iteration: int
    objective: float
    violation: float
    seconds: float

    @property
    def note(self) -> str:
        """For progress reports."""
        return f"violation {self.violation:.3g}"


@dataclass(frozen=True)
class CompletionState(FactorizationState):
    """One iteration of the completion of a matrix, as callbacks see it and ``history_`` keeps it.

    Attributes
    ----------
    iteration, objective, seconds
        As in :class:`FactorizationState`.
    violation : float
        The relative fall of the objective.
    rmse : float
        Root mean squared error of the observed entries; computed from the objective, so only up to rounding.
    validation_rmse : float
        That of the entries held out; NaN without them.
    """

    rmse: float
    validation_rmse: float

    @property
    def note(self) -> str:
        """For progress reports."""
        held_out = "" if np.isnan(self.validation_rmse) else f", {self.validation_rmse:.4g} of those held out"
        return f"RMSE {self.rmse:.4g}{held_out}"


@dataclass(frozen=True)
class MiniBatchState:
    """One step of mini-batch k-means, as callbacks see it and ``history_`` keeps it.

    Attributes
    ----------
    iteration : int
        1 for the first step.
    objective : float
        Mean cost per row of the batch, with the centers that the step started from; smoothed over steps from
        the second on.
    replaced : int
        Centers that the step replaced by rows of the batch, as few rows were theirs.
    seconds : float
        Time of the step.
    """

    iteration: int
    objective: float
    replaced: int
    seconds: float

    @property
    def note(self) -> str:
        """For progress reports."""
        return f"{self.replaced} centers replaced"


@dataclass(frozen=True)
class HierarchyState:
    """One round of a level of hierarchical k-means, as callbacks see it and ``history_`` keeps it.

    Attributes
    ----------
    iteration : int
        1 for the first round of the level.
    objective : float
        Sum of 1 - cosine, or of squared distances, of all rows of the level to their centers.
    level : int
        0 is the finest.
    largest : int
        Rows of the largest cluster.
    empty : int
        Clusters without a row.
    seconds : float
        Time of the round.
    """

    iteration: int
    objective: float
    level: int
    largest: int
    empty: int
    seconds: float

    @property
    def note(self) -> str:
        """For progress reports."""
        return f"level {self.level}, {self.largest} rows in the largest cluster"


@dataclass(frozen=True)
class DictionaryState:
    """One batch of a growing dictionary, as callbacks see it and ``history_`` keeps it.

    Attributes
    ----------
    iteration : int
        1 for the first batch.
    objective : float
        Mean squared error of the batch's rows, each scaled to length 1, with the atoms that they met.
    added : int
        Rows of the batch that became atoms.
    n_atoms : int
        Atoms after the batch.
    seconds : float
        Time of the batch.
    """

    iteration: int
    objective: float
    added: int
    n_atoms: int
    seconds: float

    @property
    def note(self) -> str:
        """For progress reports."""
        return f"{self.n_atoms} atoms, {self.added} of them new"


@dataclass(frozen=True)
class AutoencoderState:
    """One epoch of a sparse autoencoder's training, as callbacks see it and ``history_`` keeps it.

    Attributes
    ----------
    iteration : int
        1 for the first epoch.
    objective : float
        Mean loss of its batches, each with the weights that its step started from.
    fvu : float
        Squared error of the reconstructions, relative to that of the rows' mean.
    l0 : float
        Entries of the codes per row.
    dead : float
        Share of the latents that had been silent for too long at its end.
    seconds : float
        Time of the epoch.
    """

    iteration: int
    objective: float
    fvu: float
    l0: float
    dead: float
    seconds: float

    @property
    def note(self) -> str:
        """For progress reports."""
        return f"FVU {self.fvu:.4f}, {self.dead:.1%} dead"


State = TypeVar(
    "State",
    IterationState,
    FactorizationState,
    MiniBatchState,
    HierarchyState,
    DictionaryState,
    AutoencoderState,
)


def history_type(kind: type) -> np.dtype[Any]:
    """What a history of such states is an array of."""
    return np.dtype([(f.name, np.int64 if f.type == "int" else np.float64) for f in fields(kind)])


class Iterations(Generic[State]):
    """Counts the iterations of one run, keeps their states, reports them, and says when to stop.

    Parameters
    ----------
    kind : type
        One of the classes above.
    max_iter : int
        Most iterations.
    callback : callable, optional
        Called with each state; a true result stops the run.
    progress : Progress
    task : StartTask, optional
        Where scikit-learn's callbacks hear of iterations; they, too, may stop the run.
    attributes : callable, optional
        Makes the attributes that an estimator fitted so far has, for callbacks that ask for them.
    before : int, default 0
        Iterations of earlier runs, from which the numbers of this one go on.

    Attributes
    ----------
    states : list
    converged : bool
        Whether the last iteration met the run's own rule to stop.
    """

    def __init__(
        self,
        kind: type[State],
        max_iter: int,
        callback: Callable[[State], Any] | None,
        progress: Progress,
        task: StartTask | None = None,
        attributes: Attributes = dict,
        before: int = 0,
    ) -> None:
        self.max_iter = max_iter
        self.states: list[State] = []
        self.converged = False
        self._kind: type[State] = kind
        self._callback: Callable[[State], Any] | None = callback
        self._progress = progress
        self._task, self._made, self._before = task, attributes, before
        if task is not None:
            task.begin_iteration()
        self._start = time.perf_counter()

    def stop(self, converged: bool, **numbers: Any) -> bool:
        """Records an iteration, whose state has these numbers; says whether it was the last."""
        seconds = time.perf_counter() - self._start
        state = self._kind(iteration=self._before + len(self.states) + 1, seconds=seconds, **numbers)
        self.states.append(state)
        self.converged = converged
        self._progress.show(state)
        last = converged or len(self.states) >= self.max_iter
        if self._callback is not None and self._asked_to_stop(self._callback(state)):
            last = True
        if self._task is not None:
            last = self._task.end_iteration(self.attributes) or last
            if not last:
                self._task.begin_iteration()
        self._start = time.perf_counter()
        return last

    def _asked_to_stop(self, answer: Any) -> bool:
        try:
            return bool(answer)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{self._progress.name}: callback must return something true or false; got {shown(answer)}. "
                "Return True to stop, None to go on."
            ) from error

    def attributes(self) -> dict[str, Any]:
        """What the estimator would have learned if the run ended now."""
        return {"n_iter_": len(self.states), **self._learned()}

    def _learned(self) -> dict[str, Any]:
        return self._made()

    @property
    def history(self) -> NDArray[Any]:
        """The states as a structured array."""
        dtype = history_type(self._kind)
        names: Any = dtype.names
        values = [tuple(getattr(state, name) for name in names) for state in self.states]
        return np.array(values, dtype=dtype)


class Descent(Iterations[FactorizationState]):
    """Iterations of a factorization: converged once the violation is tol times that of the first.

    Attributes
    ----------
    factor : object
        What the run would return if it ended now: of NMF, H or its transpose.
    """

    def __init__(
        self,
        max_iter: int,
        tol: float,
        callback: Callable[[Any], Any] | None,
        progress: Progress,
        task: StartTask | None = None,
        attributes: Callable[[Any], dict[str, Any]] | None = None,
        kind: type[FactorizationState] = FactorizationState,
    ) -> None:
        self.factor: Any = None
        super().__init__(kind, max_iter, callback, progress, task)
        self._of = attributes  # called by a method: what held this run as well would outlive the fit
        self.tol = tol
        self._first = 0.0

    def _learned(self) -> dict[str, Any]:
        return {} if self._of is None else self._of(self.factor)

    def reached(
        self,
        objective: float,
        violation: float,
        settled: bool | None = None,
        factor: Any = None,
    ) -> bool:
        """Records an iteration; says whether it was the last. settled takes the place of the rule."""
        self.factor = factor
        if not self.states:
            self._first = violation
        relative = violation / self._first if self._first > 0 else violation
        if settled is None:
            settled = relative <= self.tol if self._first > 0 else True
        return self.stop(settled, objective=objective, violation=relative)
