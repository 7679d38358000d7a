"""What RESCAL and NonNegativeCP share: checks, the run of iterations, and what a fit leaves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from latom._base.callbacks import FitTasks
from latom._base.checks import check_integer
from latom._base.estimator import Iterative
from latom._base.history import Descent
from latom._base.progress import Progress


class Decomposition(Iterative, BaseEstimator):
    """A decomposition of several matrices at once, or of a tensor, by steps that lower the squared error."""

    n_components: int
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
        self._check_iterations(name)

    def _fit(self, name: str, X: Any, descend: Callable[[Descent], Any]) -> None:
        """Sets what is learned: descend hands its factors to each ``run.reached``, and the last are kept."""
        tasks = FitTasks(self, 1, X)
        task = tasks.start(self.max_iter)
        with Progress(name, self.max_iter, self.verbose) as progress:
            run = Descent(self.max_iter, self.tol, self.callback, progress, task, self._learned)
            descend(run)
        task.end(run.attributes)
        self.n_iter_ = len(run.states)
        if self.tol > 0 and not run.converged and self.n_iter_ == self.max_iter:
            warnings.warn(
                f"{name}: the loss was still falling after max_iter={self.max_iter} iterations. Raise "
                "max_iter or tol.",
                ConvergenceWarning,
                stacklevel=4,
            )
        for attribute, value in self._learned(run.factor).items():
            setattr(self, attribute, value)
        self.history_ = run.history
        self.loss_ = max(run.states[-1].objective, 0.0)
        self.reconstruction_err_ = float(np.sqrt(2 * self.loss_))
        tasks.end()

    def _learned(self, factors: Any) -> dict[str, Any]:
        """The attributes that these factors make."""
        raise NotImplementedError
