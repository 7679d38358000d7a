"""What RESCAL and NonNegativeCP share: checks, the run of iterations, and what a fit leaves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from latom._base.callbacks import FitTasks
from latom._base.checks import check_integer
from latom._base.estimator import Iterative
from latom._base.history import Descent
from latom._base.progress import Progress

Factors = TypeVar("Factors")


class Decomposition(Iterative, BaseEstimator):
    """A decomposition of several matrices at once, or of a tensor, by steps that lower the squared error."""

    n_components: int
    n_init: int
    random_state: Any
    loss_: float
    reconstruction_err_: float
    n_iter_: int
    history_: NDArray[Any]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _check_parameters(self, name: str) -> None:
        check_integer(name, "n_components", self.n_components)
        check_integer(name, "n_init", self.n_init)
        self._check_iterations(name)

    def _fit(
        self,
        name: str,
        X: Any,
        start: Callable[[], Factors],
        descend: Callable[[Factors, Descent], None],
        given: bool = False,
    ) -> None:
        """Sets what is learned from the best of the starts; of one where the start is given.

        descend hands its factors to each ``run.reached``, and the last are kept.
        """
        n_init = 1 if given else self.n_init
        tasks = FitTasks(self, n_init, X)
        best: Descent | None = None
        for place in range(n_init):
            task = tasks.start(self.max_iter)
            own = name if n_init == 1 else f"{name}, start {place + 1}"
            with Progress(own, self.max_iter, self.verbose) as progress:
                run = Descent(self.max_iter, self.tol, self.callback, progress, task, self._learned)
                descend(start(), run)
            stopped = task.end(run.attributes)
            if best is None or run.states[-1].objective < best.states[-1].objective:
                best = run
            if stopped:
                break
        assert best is not None
        self.n_iter_ = len(best.states)
        if self.tol > 0 and not best.converged and self.n_iter_ == self.max_iter:
            warnings.warn(
                f"{name}: the loss was still falling after max_iter={self.max_iter} iterations. Raise "
                "max_iter or tol.",
                ConvergenceWarning,
                stacklevel=4,
            )
        for attribute, value in self._learned(best.factor).items():
            setattr(self, attribute, value)
        self.history_ = best.history
        self.loss_ = max(best.states[-1].objective, 0.0)
        self.reconstruction_err_ = float(np.sqrt(2 * self.loss_))
        tasks.end()

    def _learned(self, factors: Any) -> dict[str, Any]:
        """The attributes that these factors make."""
        raise NotImplementedError

    # ---- what the choice of a number of components asks for

    def _prepared(self, name: str, X: Any) -> Any:
        """X as a fit computes with it."""
        raise NotImplementedError

    def _most(self, X: Any) -> int:
        """The most components that are of use for a prepared X."""
        raise NotImplementedError

    def _norm2(self, X: Any) -> float:
        """The squared norm of a prepared X."""
        raise NotImplementedError

    def _perturbed(self, X: Any, rng: np.random.Generator, noise: float) -> Any:
        """What ``fit`` takes: X with entries multiplied by uniform numbers of [1 - noise, 1 + noise]."""
        raise NotImplementedError

    def _side_by_side(self) -> NDArray[Any]:
        """Components as rows: what they are in each mode, side by side, each part of length 1."""
        raise NotImplementedError

    def _errors(self, name: str, X: Any, H: NDArray[Any]) -> NDArray[np.float64]:
        """Squared errors of the rows of the first mode of a prepared X, with such components refitted."""
        raise NotImplementedError
