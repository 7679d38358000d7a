"""What factorizations of users and items share: positives of X, the loop over epochs, recommendations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latom._base.backend import backend, call
from latom._base.callbacks import FitTasks
from latom._base.checks import check_flag, check_integer
from latom._base.estimator import Iterative, validated_rows
from latom._base.history import FactorizationState, Iterations
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.factorize.recommend import as_ids, as_liked, best_items

LINE = 16  # numbers of float32 in a cache line, which the core wants whole


@dataclass
class Positives:
    """The entries of X above 0, by rows.

    Attributes
    ----------
    indptr : int64 array
    indices : int32 array
        Rising within a row.
    shape : tuple of int
    dtype : dtype
        Of X as it is computed with.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))


def positives_of(name: str, rows: Rows) -> Positives:
    """The entries of X that are not 0; refuses entries below 0."""
    rows.core.zero_rows(call(name))  # measures, and so refuses NaN
    matrix = sp.csr_array(rows[:] if rows.storage else rows.array)
    values = matrix.data.astype(np.float64)
    if (values < 0).any():
        row = int(np.searchsorted(matrix.indptr, np.flatnonzero(values < 0)[0], side="right")) - 1
        raise ValueError(
            f"{name}: X must not be negative; got {values[values < 0][0]} in row {row}. "
            "Leave out what is no positive."
        )
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    if not values.all():
        kept = values > 0
        indptr = np.concatenate(([0], np.cumsum(kept)))[indptr]
        indices, values = indices[kept], values[kept]
    if not len(values):
        raise ValueError(
            f"{name}: X must have an entry above 0; got none. Pass the pairs of users and items that met."
        )
    return Positives(indptr, np.ascontiguousarray(indices), rows.shape, rows.dtype)


def padded(factors: NDArray[Any]) -> NDArray[np.float32]:
    """float32 rows at whole cache lines, zeros behind them."""
    n, k = factors.shape
    rows = np.zeros((n, -(-k // LINE) * LINE), np.float32)
    rows[:, :k] = factors
    return rows


class Recommender(Iterative, BaseEstimator):
    """An estimator whose rows are users and whose columns are items, with a vector for each."""

    n_components: int
    user_factors: NDArray[Any]
    item_factors: NDArray[Any]
    n_iter_: int
    history_: NDArray[Any]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags

    @property
    def components_(self) -> NDArray[Any]:
        """The factors of items as components, of shape (k, m)."""
        return self.item_factors.T

    def _positives(self, name: str, X: Any) -> Positives:
        return positives_of(name, validated_rows(self, name, X, reset=True))

    def _run(self, X: Any, epoch: Callable[[int], float]) -> None:
        """Epochs until max_iter, tol or a callback end the fit; epoch gives the objective.

        tol: the objective must fall by more than that share of it.
        """
        tasks = FitTasks(self, 1, X)
        task = tasks.start(self.max_iter)
        with Progress(type(self).__name__, self.max_iter, self.verbose) as progress:
            run: Iterations[FactorizationState] = Iterations(
                FactorizationState, self.max_iter, self.callback, progress, task, self._made
            )
            before, last = np.inf, False
            try:
                while not last:
                    objective = epoch(len(run.states))
                    settled = self.tol > 0 and before - objective <= self.tol * abs(objective)
                    before = objective
                    last = run.stop(settled, objective=objective, violation=np.nan)
            finally:  # an interrupt leaves what belongs to the last whole epoch
                self.n_iter_, self.history_ = len(run.states), run.history
                self.user_factors = np.ascontiguousarray(self.user_factors)
                self.item_factors = np.ascontiguousarray(self.item_factors)
        task.end(run.attributes)
        tasks.end()

    def _made(self) -> dict[str, Any]:
        return {"user_factors": self.user_factors, "item_factors": self.item_factors}

    def recommend(
        self,
        users: Any,
        user_items: Any = None,
        N: int = 10,
        filter_already_liked_items: bool = True,
    ) -> tuple[NDArray[np.int32], NDArray[Any]]:
        """The N best items of users, exactly, highest score first; ties go to the lowest item.

        Parameters
        ----------
        users : int or int array of shape (u,)
            Rows of X in fit.
        user_items : sparse matrix of shape (u, m), optional
            What these users have; a row for each of ``users``. Not needed, and not looked at, without the
            filter.
        N : int, default 10
        filter_already_liked_items : bool, default True
            Leave out what is stored in user_items, whatever its value.

        Returns
        -------
        ids : int32 array of shape (u, N), or (N,) for one user
            -1 where a user has fewer than N items left.
        scores : array of the same shape
            Products of the factors; minus infinity beside -1.

        Notes
        -----
        2 u m k flops at worst, as of :func:`latom.topk`; no u x m array is made.
        """
        check_is_fitted(self, "item_factors")
        name = f"{type(self).__name__}.recommend"
        ids = as_ids(name, "users", users, len(self.user_factors))
        m = len(self.item_factors)
        N = check_integer(name, "N", N)
        liked = None
        if check_flag(name, "filter_already_liked_items", filter_already_liked_items):
            liked = as_liked(name, user_items, len(ids), m)
        context = call(name, self.n_threads)
        found, scores = best_items(context, self.user_factors[ids], self.item_factors, N, liked)
        return (found[0], scores[0]) if np.ndim(users) == 0 else (found, scores)

    def decision_function(self, rows: Any, columns: Any) -> NDArray[np.float64]:
        """Scores of pairs: the product of the factors of rows[i] and columns[i].

        Parameters
        ----------
        rows, columns : int arrays of one length

        Returns
        -------
        scores : float64 array of that length
        """
        check_is_fitted(self, "item_factors")
        name = f"{type(self).__name__}.decision_function"
        users = as_ids(name, "rows", rows, len(self.user_factors))
        items = as_ids(name, "columns", columns, len(self.item_factors))
        if len(users) != len(items):
            raise ValueError(
                f"{name}: columns must have as many numbers as rows, {len(users)}; got {len(items)}. "
                "Pass one of each per pair."
            )
        scores: NDArray[np.float64] = np.einsum(
            "ij,ij->i", self.user_factors[users], self.item_factors[items], dtype=np.float64
        )
        return scores


@dataclass
class PairSteps:
    """Epochs of gradient steps on the pairs of X (csrc/include/latom/pointwise.h)."""

    name: str
    seed: int
    n_threads: int | None
    positives: Positives
    weights: NDArray[np.float32] | None
    loss: str
    n_negatives: int
    unlabelled: float
    regularization: float
    noise_regularization: float
    factors: list[NDArray[np.float32]]  # of rows, of columns; then of noise, where a loss has it

    def epoch(self, number: int, rate: float) -> float:
        """One epoch; the factors are replaced once it has ended, and the mean loss is returned."""
        moved = [factor.copy() for factor in self.factors]  # an interrupt leaves the last whole epoch
        loss: float = backend().pair_epoch(
            call(self.name, self.n_threads, self.seed),
            self.positives.indptr,
            self.positives.indices,
            self.weights,
            self.loss,
            self.n_negatives,
            self.unlabelled,
            number,
            moved[0],
            moved[1],
            rate,
            self.regularization,
            *(moved[2:] or (None, None)),
            self.noise_regularization,
        )
        if not all(np.isfinite(factor).all() for factor in moved):
            raise ValueError(
                f"{self.name}: learning_rate must be small enough for factors to stay finite; got {rate:.3g} "
                f"in epoch {number + 1}. Lower it, or raise regularization."
            )
        self.factors = moved
        return loss
