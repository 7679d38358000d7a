"""What the factors of a completed matrix say: entries, other rows, and how well these are predicted."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix
from latom._base.backend import backend, call
from latom._base.estimator import IterativeEstimator, validated_rows
from latom._base.foreign import refuse_masked
from latom._base.rows import Rows
from latom._base.sparse_tensor import as_scipy
from latom.factorize.codes import checked_codes
from latom.factorize.observed import Side, as_csr_rows, folds, observed_entries
from latom.factorize.packed_search import as_ids

Array = NDArray[Any]
SWEEPS = 30  # of coordinates, for factors of at least 0
FOLDS = 5  # of a row's entries, to score by


class CompletedRows(IterativeEstimator):
    """Answers of X[i, j], about mean + row bias + column bias + <u_i, v_j>."""

    _takes_sparse: ClassVar[bool] = True

    alpha: float
    weighted_alpha: bool
    fit_bias: bool
    nonnegative: bool
    components_: Array
    row_factors_: Array
    row_bias_: Array
    column_bias_: Array
    mean_: float

    def predict(self, rows: Any, columns: Any) -> Array:
        """What the model says of entries of X.

        Parameters
        ----------
        rows, columns : int arrays of one shape
            Places of entries.

        Returns
        -------
        values : array of that shape

        Raises
        ------
        IndexError
            If a place is not one of the fitted X.
        """
        name = f"{type(self).__name__}.predict"
        check_is_fitted(self)
        i, j = np.asarray(rows), np.asarray(columns)
        for argument, places in (("rows", i), ("columns", j)):
            if places.size and places.dtype.kind not in "iu":
                raise ValueError(
                    f"{name}: {argument} must hold ints; got dtype {places.dtype}. Use .astype(int)."
                )
        try:
            i, j = np.broadcast_arrays(i, j)
        except ValueError as error:
            raise ValueError(
                f"{name}: rows and columns must be of one shape; got {i.shape} and {j.shape}. Pass one "
                "of each per entry."
            ) from error
        U, V = self._bordered(self.row_factors_, self.row_bias_), self._bordered(self.components_.T, None)
        flat = [
            as_ids(name, argument, places.ravel(), size)[0]
            for argument, places, size in (("rows", i, len(U)), ("columns", j, len(V)))
        ]
        values = backend().predict_pairs(call(name, self.n_threads), U, V, *flat)
        total: Array = (values + (self.mean_ + self.column_bias_[flat[1]])).astype(U.dtype).reshape(i.shape)
        return total

    def transform(self, X: Matrix) -> Array:
        """Factors of rows, solved for exactly from their observed entries.

        Parameters
        ----------
        X : CSR or array of shape (n, d)
            As in :meth:`fit`.

        Returns
        -------
        factors : array of shape (n, k), or (n, k + 1) with ``fit_bias``
            The last column is then the row's bias.
        """
        name = f"{type(self).__name__}.transform"
        check_is_fitted(self)
        self._check_parameters(name)
        return self._folded(name, self._observed(name, X, reset=False))

    def inverse_transform(self, X: Any) -> Array:
        """Whole rows from what :meth:`transform` gives.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, k), or (n, k + 1) with ``fit_bias``

        Returns
        -------
        rows : array of shape (n, d)
        """
        check_is_fitted(self)
        k = len(self.components_)
        codes = checked_codes(f"{type(self).__name__}.inverse_transform", X, k, bool(self.fit_bias))
        if sp.issparse(codes):
            codes = codes.toarray()
        rows: Array = codes[:, :k] @ self.components_
        if self.fit_bias:
            rows = rows + codes[:, k:] + (self.mean_ + self.column_bias_).astype(rows.dtype)
        return rows

    def score(self, X: Matrix, y: Any = None) -> float:
        """Minus the root mean squared error of entries of rows that the rest of the row predicts.

        Each row's observed entries are held out by turns, a fifth at a time, and factors are solved for from
        the others, so that a higher rank does not win by having fitted what it is asked: made for
        ``GridSearchCV``.

        Parameters
        ----------
        X : CSR or array of shape (m, d)
            As in :meth:`fit`.
        y : ignored

        Returns
        -------
        score : float
            0 where nothing is observed.
        """
        name = f"{type(self).__name__}.score"
        check_is_fitted(self)
        self._check_parameters(name)
        rows = self._observed(name, X, reset=False).as_type(name, self.components_.dtype)
        if not rows.entries:
            return 0.0
        V, errors = self._bordered(self.components_.T, None), 0.0
        for kept, held_out in folds(name, rows, FOLDS):
            codes = self._folded(name, kept)
            U = codes if self.fit_bias else self._bordered(codes, np.zeros(len(codes), codes.dtype))
            errors += self._squared_error(call(name, self.n_threads), held_out, U, V)
        return -float(np.sqrt(errors / rows.entries))

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0]) + bool(self.fit_bias)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # ---- parts

    def _check_parameters(self, name: str) -> None:
        raise NotImplementedError

    def _observed(self, name: str, X: Matrix, reset: bool) -> Rows:
        """The observed entries as CSR rows."""
        X = as_scipy(name, X)
        if sp.issparse(X):
            stored = as_csr_rows(name, validated_rows(self, name, X, reset).array, None)
            stored.core.norm2(call(name))  # refuses NaN and infinity
            return stored
        rows = validated_rows(self, name, X, reset, "allow-nan")
        return observed_entries(name, rows[:])

    def _held_out(self, name: str, validation: Any, rows: Rows) -> Rows:
        """Entries to validate with, as CSR rows of the shape and type of those that are fitted."""
        validation = as_scipy(name, validation, "validation")
        if sp.issparse(validation):
            held_out = as_csr_rows(name, validation, rows.dtype, "validation")
            held_out.core.norm2(call(name))
        else:
            refuse_masked(name, validation, "validation", True)
            table = Rows(name, validation, "validation").numbers
            held_out = observed_entries(name, table.astype(rows.dtype, copy=False))
        if held_out.shape != rows.shape:
            raise ValueError(
                f"{name}: validation must have the shape of X, {rows.shape}; got {held_out.shape}. Leave its "
                "entries at the places that they have in X."
            )
        return held_out

    def _side(self, rows: Rows) -> Side:
        return Side(rows, "observed", 1.0, self.alpha, float(self.weighted_alpha))

    def _folded(self, name: str, rows: Rows) -> Array:
        dtype = self.components_.dtype
        rows = rows.as_type(name, dtype)
        V = np.ascontiguousarray(self.components_.T)
        offsets = None
        if self.fit_bias:
            V = np.column_stack((V, np.ones(len(V), dtype)))
            offsets = np.ascontiguousarray((self.column_bias_ + self.mean_).astype(dtype))
        out = np.zeros((rows.shape[0], V.shape[1]), dtype)
        self._side(rows).solve(
            call(name, self.n_threads),
            V,
            out,
            solver="nonnegative" if self.nonnegative else "cholesky",
            steps=10 * SWEEPS,
            offsets=offsets,
            any_sign=int(self.fit_bias),
        )
        return out

    def _bordered(self, factors: Array, bias: Array | None) -> Array:
        """Factors with a column of biases, or of ones where there is none."""
        border = np.ones(len(factors), factors.dtype) if bias is None else bias
        return np.ascontiguousarray(np.column_stack((factors, border)))

    def _rmse(self, context: Any, rows: Rows) -> float:
        """Root of the mean squared error of stored entries."""
        if not rows.entries:
            return 0.0
        U, V = self._bordered(self.row_factors_, self.row_bias_), self._bordered(self.components_.T, None)
        return float(np.sqrt(self._squared_error(context, rows, U, V) / rows.entries))

    def _squared_error(self, context: Any, rows: Rows, U: Array, V: Array) -> float:
        """Over stored entries, of bordered factors of their rows and columns."""
        said = backend().predict_stored(context, rows.core, V, U).astype(np.float64)
        errors = rows.array.data - (said + self.mean_ + self.column_bias_[rows.array.indices])
        return float((errors**2).sum())
