"""What numbers of components are chosen for: a matrix, or what a decomposition of several matrices takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from latom._base.backend import call
from latom._base.rows import Rows
from latom.factorize.decomposition import Decomposition
from latom.factorize.rank.replicates import Replicates, factorize_replicates, refit

Array = NDArray[Any]


class Problem(Protocol):
    """What can be factorized again and again, perturbed, with any number of components.

    Attributes
    ----------
    most : int
        Components, at most.
    norm2 : float
        The squared norm of all of X.
    """

    most: int
    norm2: float

    def replicates(self, candidates: Sequence[int]) -> dict[int, Replicates]:
        """For each number of components: its replicates."""

    def errors(self, H: Array) -> NDArray[np.float64]:
        """Squared errors of the rows of X with components H that stay, the rest fitted to them."""


class Matrix:
    """Rows of X, by an estimator with components_."""

    def __init__(
        self,
        function: str,
        rows: Rows,
        estimator: Any,
        count: int,
        noise: float,
        seed: int,
        n_threads: int | None,
    ) -> None:
        self._rest = range(count), noise, estimator, seed, n_threads
        self._function, self._rows, self._estimator, self._n_threads = function, rows, estimator, n_threads
        self.most = min(rows.shape)
        self.norm2 = float(rows.core.norm2(call(function, n_threads)).sum())

    def replicates(self, candidates: Sequence[int]) -> dict[int, Replicates]:
        return factorize_replicates(self._function, self._rows, candidates, *self._rest)

    def errors(self, H: Array) -> NDArray[np.float64]:
        return refit(self._function, self._rows, H, self._estimator, self._n_threads)[1]


class Decomposed:
    """Slices or a tensor, by a decomposition; its components are what they are in each mode, side by side."""

    def __init__(
        self,
        function: str,
        X: Any,
        estimator: Decomposition,
        count: int,
        noise: float,
        seed: int,
        n_threads: int | None,
    ) -> None:
        self._function, self._count, self._noise, self._seed = function, count, noise, seed
        self._estimator = clone(estimator)
        if n_threads is not None:
            self._estimator.set_params(n_threads=n_threads)
        self._X = estimator._prepared(function, X)
        self.most, self.norm2 = estimator._most(self._X), estimator._norm2(self._X)

    def replicates(self, candidates: Sequence[int]) -> dict[int, Replicates]:
        return {k: self._replicates(k) for k in candidates}

    def _replicates(self, k: int) -> Replicates:
        H, losses, n_iter = [], [], []
        for stream in range(self._count):
            rng = np.random.default_rng([self._seed, stream])
            X = self._estimator._perturbed(self._X, rng, self._noise)
            own = {"n_components": k, "random_state": int(rng.integers(2**31))}
            model = clone(self._estimator).set_params(**own).fit(X)
            H.append(model._side_by_side())
            losses.append(model.loss_)
            n_iter.append(model.n_iter_)
        return Replicates(np.stack(H), np.array(losses), np.array(n_iter, np.int64))

    def errors(self, H: Array) -> NDArray[np.float64]:
        errors: NDArray[np.float64] = self._estimator._errors(self._function, self._X, H)
        return errors
