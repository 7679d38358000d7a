"""What factorizations by positives share: positives of X, the loop over epochs, steps on pairs, new users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latom._base.backend import backend, call
from latom._base.callbacks import FitTasks
from latom._base.estimator import Iterative, validated_rows
from latom._base.history import FactorizationState, Iterations
from latom._base.progress import Progress
from latom._base.rows import Rows
from latom.factorize.als_parts import FACTORS, load_model, save_model
from latom.factorize.factor_recommender import FactorRecommender
from latom.factorize.packed_search import as_ids

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
            f"{name}: X must not be negative (Negative values in data); got {values[values < 0][0]} in row "
            f"{row}. Leave out what is no positive."
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


class Recommender(FactorRecommender, Iterative, BaseEstimator):
    """An estimator whose rows are users and whose columns are items, with a vector for each."""

    n_components: int
    learning_rate: float
    learning_decay: float
    item_bias = False
    _learned: ClassVar[tuple[str, ...]] = (*FACTORS, "n_iter_", "_seed", "_popularity")
    n_iter_: int
    history_: NDArray[Any]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags

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

    def decision_function(self, rows: Any, columns: Any) -> NDArray[np.float64]:
        """Scores of pairs: the product of the factors of rows[i] and columns[i].

        Parameters
        ----------
        rows, columns : int arrays of one length

        Returns
        -------
        scores : float64 array of that length
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.decision_function"
        users, _ = as_ids(name, "rows", rows, len(self.user_factors))
        items, _ = as_ids(name, "columns", columns, len(self.item_factors))
        if len(users) != len(items):
            raise ValueError(
                f"{name}: columns must have as many numbers as rows, {len(users)}; got {len(items)}. "
                "Pass one of each per pair."
            )
        scores: NDArray[np.float64] = np.einsum(
            "ij,ij->i", self.user_factors[users], self.item_factors[items], dtype=np.float64
        )
        return scores

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        filter_items: Any = None,
        items: Any = None,
    ) -> Any:
        """The items whose factors have the highest cosine with those of given items, themselves first.

        Parameters
        ----------
        itemid : int or array of int
        N : int, default 10
        filter_items, items : array of int, optional
            Items to leave out, or to choose among.

        Returns
        -------
        ids, scores : arrays of shape (N,) or (items, N)
            As in :meth:`recommend`.
        """
        name = f"{type(self).__name__}.similar_items"
        check_is_fitted(self)
        asked, scalar = as_ids(name, "itemid", itemid, len(self.item_factors))
        return self._similar_items(name, self.item_factors[asked], N, filter_items, items, scalar)

    def recalculate_user(self, userid: Any, user_items: Any) -> NDArray[Any]:
        """Factors of users from their items alone, with items' factors as they are; nothing is stored.

        Parameters
        ----------
        userid : int or array of int
        user_items : CSR of shape (users, m)
            A row for each id; entries above 0 count.

        Returns
        -------
        factors : array of shape (k,) or (users, k)
            By steps on pairs, draws depend on which users are asked for together.
        """
        name = f"{type(self).__name__}.recalculate_user"
        check_is_fitted(self)
        given, scalar = as_ids(name, "userid", userid, None)
        have = self._rows_of(name, "user_items", user_items, len(given), len(self.item_factors))
        have.eliminate_zeros()
        out = np.zeros((len(given), self.item_factors.shape[1]), self.item_factors.dtype)
        if self.item_bias:
            out[:, -1] = 1
        some = np.flatnonzero(np.diff(have.indptr))
        if len(some):
            out[some] = self._folded(name, positives_of(name, Rows(name, have[some], "user_items")))
        return out[0] if scalar else out

    def save(self, file: Any) -> None:
        """Write factors and parameters in numpy's npz format; no callback.

        Parameters
        ----------
        file : path or file object
            A path without ".npz" gets it.

        Raises
        ------
        ValueError
            If a propensity is given as a sparse matrix, which belongs to the X of the fit.
        """
        check_is_fitted(self)
        if sp.issparse(getattr(self, "propensity", None)):
            raise ValueError(
                f"{type(self).__name__}.save: propensity must not be sparse; got that of the pairs of one X. "
                "Pickle the model, or set propensity to one number per item."
            )
        save_model(self, file, self._parameters(), self._learned)

    @classmethod
    def load(cls, file: Any) -> Any:
        """The model that :meth:`save` has written.

        Parameters
        ----------
        file : path or file object
            A path without ".npz" gets it.

        Returns
        -------
        model : of this class
        """
        model = load_model(cls, file, cls._parameters(), cls._learned)
        model._check_parameters(f"{cls.__name__}.load")
        return model

    @classmethod
    def _parameters(cls) -> tuple[str, ...]:
        return tuple(name for name in cls._get_param_names() if name != "callback")

    def _check_parameters(self, name: str) -> None:
        raise NotImplementedError

    def _folded(self, name: str, positives: Positives) -> NDArray[Any]:
        raise NotImplementedError

    def _steps(self, name: str, positives: Positives, factors: list[NDArray[np.float32]]) -> PairSteps:
        """Steps by this model's rule, from these factors."""
        raise NotImplementedError

    def _keep(self, factors: list[NDArray[np.float32]]) -> None:
        """Sets attributes from factors with zeros behind them."""
        self.user_factors, self.item_factors = (factor[:, : self.n_components] for factor in factors[:2])

    def _run_steps(self, X: Any, steps: PairSteps) -> None:
        def epoch(number: int) -> float:
            loss = steps.epoch(number, self.learning_rate * self.learning_decay**number)
            self._keep(steps.factors)
            return loss

        self._keep(steps.factors)
        self._run(X, epoch)

    def _folded_by_steps(self, steps: PairSteps) -> NDArray[np.float32]:
        """Rows after as many epochs as a fit has at most; columns stay."""
        steps.fixed_columns = True
        for number in range(self.max_iter):
            steps.epoch(number, self.learning_rate * self.learning_decay**number)
        return steps.factors[0][:, : self.item_factors.shape[1]]


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
    ones: int = -1  # the column in which rows keep 1
    fixed_columns: bool = False

    def epoch(self, number: int, rate: float) -> float:
        """One epoch; the factors are replaced once it has ended, and the mean loss is returned."""
        fixed = self.fixed_columns
        moved = self.factors if fixed else [factor.copy() for factor in self.factors]  # for an interrupt
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
            self.ones,
            fixed,
        )
        if not all(np.isfinite(factor).all() for factor in (moved[:1] if fixed else moved)):
            raise ValueError(
                f"{self.name}: learning_rate must be small enough for factors to stay finite; got {rate:.3g} "
                f"in epoch {number + 1}. Lower it, or raise regularization."
            )
        self.factors = moved
        return loss
