"""Missing values of a table, filled in by low-rank completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix
from latom._base.checks import check_flag
from latom._base.estimator import Estimator, validated_rows
from latom._base.finite import check_held
from latom._base.history import CompletionState
from latom.factorize.matrix_completion import MatrixCompletion
from latom.factorize.observed import observed_entries

Array = NDArray[Any]


class LowRankImputer(OneToOneFeatureMixin, Estimator):
    """Fill in the missing values of a table: :class:`MatrixCompletion` as an imputer.

    Columns are centered and scaled to unit variance over their observed values, so that none rules the
    others.

    Parameters
    ----------
    n_components : int, default 10
        Rank; at most the number of columns is of use.
    alpha : float, default 0.1
        Penalty, as in :class:`MatrixCompletion` with ``weighted_alpha``.
    scale : bool, default True
        Whether to scale columns.
    clip : bool, default True
        Whether to keep what is filled in between the lowest and the highest observed value of a column.
    solver : {"auto", "cholesky", "cg", "sketch"}, default "auto"
        As in :class:`MatrixCompletion`.
    fit_bias : bool, default True
        Fit a bias per row, and an offset from the mean per column.
    max_iter : int, default 50
        Most iterations.
    tol : float, default 1e-4
        Stop once the objective falls by at most tol times itself.
    random_state : int, Generator, RandomState or None
        Seed of the start.
    n_threads : int, optional
        As in :class:`MatrixCompletion`.
    verbose : int, default 0
        1 shows a progress bar on a terminal, a line per iteration elsewhere.
    callback : callable, optional
        Called with a :class:`latom.CompletionState` after each iteration; a true result stops.

    Attributes
    ----------
    completion_ : MatrixCompletion
        Of the scaled table.
    mean_, scale_ : arrays of shape (d,)
        Of the columns. A column without an observed value counts as 0 with scale 1.
    n_iter_ : int
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    Observed values come back as they are. Cost per iteration: (n + d) k^3 / 3 flops and k^2 per observed
    value. Memory: three times the table.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import LowRankImputer
    >>> X = np.array([[1.0, 2, 3], [2, 4, 6], [3, 6, 9], [4, 8, np.nan]])
    >>> filled = LowRankImputer(1, random_state=0).fit_transform(X)
    >>> filled[3, :2].tolist(), bool(6 < filled[3, 2] <= 9)
    ([4.0, 8.0], True)
    """

    def __init__(
        self,
        n_components: int = 10,
        *,
        alpha: float = 0.1,
        scale: bool = True,
        clip: bool = True,
        solver: str = "auto",
        fit_bias: bool = True,
        max_iter: int = 50,
        tol: float = 1e-4,
        random_state: Any = None,
        n_threads: int | None = None,
        verbose: int = 0,
        callback: Callable[[CompletionState], Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.alpha = alpha
        self.scale = scale
        self.clip = clip
        self.solver = solver
        self.fit_bias = fit_bias
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_threads = n_threads
        self.verbose = verbose
        self.callback = callback

    def fit(self, X: Matrix, y: Any = None) -> LowRankImputer:
        """Learn the factors of a table.

        Parameters
        ----------
        X : array of shape (n, d)
            NaN is missing.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, or X is sparse or holds infinity.
        """
        name = f"{type(self).__name__}.fit"
        self._learn(name, self._table(name, X, reset=True))
        return self

    def fit_transform(self, X: Matrix, y: Any = None, **params: Any) -> Array:
        """Learn the factors and return the table with its missing values filled in.

        Parameters
        ----------
        X : array of shape (n, d)
        y : ignored
        **params : ignored

        Returns
        -------
        filled : array of shape (n, d)
        """
        name = f"{type(self).__name__}.fit_transform"
        table = self._table(name, X, reset=True)
        self._learn(name, table)
        filled = self._filled(name, table)
        check_held(name, "X", "missing values", np.where(np.isnan(table), filled, 0))
        return filled

    def transform(self, X: Matrix) -> Array:
        """Fill in the missing values of rows, whose factors are solved for from what they have.

        Parameters
        ----------
        X : array of shape (n, d)

        Returns
        -------
        filled : array of shape (n, d)
        """
        name = f"{type(self).__name__}.transform"
        check_is_fitted(self)
        return self._filled(name, self._table(name, X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # ---- parts

    def _table(self, name: str, X: Matrix, reset: bool) -> Array:
        for flag in ("scale", "clip"):
            check_flag(name, flag, getattr(self, flag))
        self._check_place(name)
        table: Array = validated_rows(self, name, X, reset, "allow-nan", accept_sparse=False)[:]
        return table

    def _learn(self, name: str, X: Array) -> None:
        seen = ~np.isnan(X)
        counts = np.maximum(seen.sum(axis=0), 1)
        with np.errstate(over="ignore", invalid="ignore"):
            total = np.where(seen, X, 0).sum(axis=0, dtype=np.float64)
            self.mean_ = total / counts
            squares = (np.where(seen, X - self.mean_, 0) ** 2).sum(axis=0, dtype=np.float64)
        spread = np.sqrt(squares / counts)
        check_held(name, "X", "means and variances", total, squares)
        self.scale_ = np.where(spread > 0, spread, 1.0) if self.scale else np.ones(X.shape[1])
        bounds = np.where(seen, X, np.inf).min(axis=0), np.where(seen, X, -np.inf).max(axis=0)
        empty = ~seen.any(axis=0)
        self._low, self._high = (np.where(empty, 0, bound) for bound in bounds)
        model = MatrixCompletion(
            self.n_components,
            solver=self.solver,
            alpha=self.alpha,
            fit_bias=self.fit_bias,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=self.random_state,
            n_threads=self.n_threads,
            verbose=self.verbose,
            callback=self.callback,
        )
        self.completion_ = model.fit(self._scaled(X))
        self.n_iter_ = model.n_iter_

    def _scaled(self, X: Array) -> Array:
        scaled: Array = ((X - self.mean_) / self.scale_).astype(X.dtype)
        return scaled

    def _filled(self, name: str, X: Array) -> Array:
        model = self.completion_
        codes = model._folded(name, observed_entries(name, self._scaled(X)))
        said = model.inverse_transform(codes) * self.scale_ + self.mean_
        if self.clip:
            said = np.clip(said, self._low, self._high)
        filled: Array = np.where(np.isnan(X), said, X).astype(X.dtype)
        return filled
