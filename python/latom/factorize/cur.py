"""CUR: a matrix from some of its rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import as_numpy, as_seed
from latom._base.checks import check_choice, check_integer, check_range, shown
from latom._base.estimator import Placed, validated_rows
from latom._base.finite import check_finite, check_held
from latom.factorize.packed_search import as_ids
from latom.seed.kmeans_plusplus import kmeans_plusplus
from latom.seed.leverage import leverage

SELECTIONS = ("uniform", "leverage", "kmeans++")


class CUR(Placed, BaseEstimator):
    """A matrix as C U R: some of its columns C, some of its rows R, and what links them.

    U is the pseudo-inverse of the intersection of rows and columns. A matrix of rank r is recovered where
    the intersection has rank r. No entry but those of C and R is read where rows and columns are chosen
    uniformly, so the matrix may be a function whose values are costly.

    Parameters
    ----------
    n_rows, n_columns : int, default 100
        Rows and columns to keep. Twice as many rows as columns, or the other way round, give a
        pseudo-inverse that is better conditioned than a square intersection does.
    row_selection : {"uniform", "leverage", "kmeans++"}
        "uniform": without replacement. "leverage": with probabilities as the squared lengths of the rows of
        the leading singular vectors, without replacement. "kmeans++": far from one another
        (:func:`latom.kmeans_plusplus`). The latter two read the whole matrix.
    column_selection : {"uniform", "leverage", "kmeans++"}, optional
        None: as row_selection.
    rcond : float, default 1e-6
        Singular values of the intersection below it times the largest count as 0.
    ridge : float, default 0
        Adds ridge times the largest singular value to each, in quadrature: s / (s^2 + (ridge s_1)^2) in place
        of 1 / s.
    random_state : int, Generator, RandomState or None
        Seed of all draws.
    n_threads : int, optional
        Threads of "kmeans++"; products are numpy's.

    Attributes
    ----------
    row_indices_, column_indices_ : int64 arrays
        Rising.
    C_ : array of shape (n, n_columns)
    U_ : array of shape (n_columns, n_rows)
    R_ : array of shape (n_rows, m)
    calls_ : int
        Entries of the matrix that were asked for, each once; n m for a matrix.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    References
    ----------
    Mahoney & Drineas, "CUR matrix decompositions for improved data analysis", 2009. Yadav et al., "Efficient
    nearest neighbor search for cross-encoder models using matrix factorization", 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import CUR
    >>> A = np.outer([1.0, 2, 3], [1.0, 0, 4]) + np.outer([1.0, 0, 1], [0.0, 1, 1])
    >>> model = CUR(3, 2, random_state=0).fit(A)
    >>> bool(np.allclose(model.reconstruct(), A))
    True
    """

    row_indices_: NDArray[np.int64]
    column_indices_: NDArray[np.int64]
    C_: NDArray[Any]
    U_: NDArray[Any]
    R_: NDArray[Any]
    calls_: int

    def __init__(
        self,
        n_rows: int = 100,
        n_columns: int = 100,
        *,
        row_selection: str = "uniform",
        column_selection: str | None = None,
        rcond: float = 1e-6,
        ridge: float = 0.0,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_rows = n_rows
        self.n_columns = n_columns
        self.row_selection = row_selection
        self.column_selection = column_selection
        self.rcond = rcond
        self.ridge = ridge
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any = None, *, shape: tuple[int, int] | None = None) -> CUR:
        """Choose rows and columns.

        Parameters
        ----------
        X : dense array of shape (n, m), or callable
            A callable is given row indices [p] and column indices [q] and returns scores [p, q]; each entry
            is asked for at most once. float32 and float64 are computed with as they are.
        y : ignored
        shape : (n, m)
            Of a callable.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If more rows or columns are asked for than there are, X holds NaN, or shapes disagree.
        """
        name = f"{type(self).__name__}.fit"
        columns_by = self.row_selection if self.column_selection is None else self.column_selection
        check_choice(name, "row_selection", self.row_selection, SELECTIONS)
        check_choice(name, "column_selection", columns_by, SELECTIONS)
        check_range(name, "rcond", self.rcond, 1.0)
        check_range(name, "ridge", self.ridge)
        self._check_place(name)
        A, (n, m) = self._matrix(name, X, shape, columns_by)
        check_integer(name, "n_rows", self.n_rows, n)
        check_integer(name, "n_columns", self.n_columns, m)
        rng = np.random.Generator(np.random.Philox(as_seed(name, self.random_state)))
        rows = self._chosen(self.row_selection, A, n, self.n_rows, rng)
        columns = self._chosen(columns_by, None if A is None else A.T, m, self.n_columns, rng)
        if A is None:
            R = scores_of(name, X, rows, np.arange(m))
            others = np.setdiff1d(np.arange(n), rows)
            C = np.empty((n, len(columns)), R.dtype)
            C[rows] = R[:, columns]
            if len(others):
                C[others] = scores_of(name, X, others, columns)
            self.calls_ = R.size + len(others) * len(columns)
        else:
            R, C = A[rows], A[:, columns]
            self.calls_ = A.size
        self.row_indices_, self.column_indices_ = rows, columns
        self.R_, self.C_ = R, C
        self.U_ = pseudo_inverse(R[:, columns], self.rcond, self.ridge)
        check_held(name, "X", "a pseudo-inverse", self.U_)
        return self

    def reconstruct(self, rows: Any = None, columns: Any = None) -> NDArray[Any]:
        """Entries of C U R.

        Parameters
        ----------
        rows, columns : int or int array, optional
            None: all.

        Returns
        -------
        entries : array of shape (rows, columns)
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.reconstruct"
        C, R = self.C_, self.R_
        if rows is not None:
            C = C[as_ids(name, "rows", rows, len(C))[0]]
        if columns is not None:
            R = R[:, as_ids(name, "columns", columns, R.shape[1])[0]]
        left = len(C) * self.U_.shape[1] * (self.U_.shape[0] + R.shape[1])
        right = R.shape[1] * self.U_.shape[0] * (self.U_.shape[1] + len(C))
        entries: NDArray[Any] = (C @ self.U_) @ R if left <= right else C @ (self.U_ @ R)
        return entries

    def _matrix(
        self, name: str, X: Any, shape: tuple[int, int] | None, columns_by: str
    ) -> tuple[NDArray[Any] | None, tuple[int, int]]:
        if not callable(X):
            A = validated_rows(self, name, X, reset=True, accept_sparse=False).numbers
            check_finite(name, "X", A, "Replace it.", must="be finite, without NaN or infinity")
            return A, A.shape
        if shape is None or len(shape) != 2:
            raise ValueError(
                f"{name}: shape must be (rows, columns) where X is a function; got {shown(shape)}. Pass both."
            )
        if self.row_selection != "uniform" or columns_by != "uniform":
            raise ValueError(
                f"{name}: row_selection and column_selection must be 'uniform' where X is a function; got "
                f"{self.row_selection!r} and {columns_by!r}. The others read the whole matrix."
            )
        n, m = (check_integer(name, "shape", extent) for extent in shape)
        self.n_features_in_ = m
        self.__dict__.pop("feature_names_in_", None)  # a function's columns have no names
        return None, (n, m)

    def _chosen(
        self, how: str, A: NDArray[Any] | None, n: int, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        if how == "uniform" or A is None:
            found: NDArray[Any] = rng.choice(n, count, replace=False)
        elif how == "kmeans++":
            seed = int(rng.integers(2**63))
            found = kmeans_plusplus(A, count, random_state=seed, n_threads=self.n_threads)[1]
        else:
            found = rng.choice(n, count, replace=False, p=leverage(A, count))
        chosen: NDArray[np.int64] = np.sort(found).astype(np.int64)
        return chosen


def scores_of(name: str, score: Any, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[Any]:
    """score(rows, columns), checked."""
    found = as_numpy(name, score(rows, columns), "score")
    if found.shape != (len(rows), len(columns)):
        raise ValueError(
            f"{name}: score must return an array of shape {(len(rows), len(columns))} for so many rows and "
            f"columns; got {found.shape}. Return a score for each pair."
        )
    check_finite(name, "score", found, "Replace it.", must="return finite numbers", place="for row")
    return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)


def pseudo_inverse(A: NDArray[Any], rcond: float, ridge: float) -> NDArray[Any]:
    """The inverse of A by singular values: those below rcond times the first go, ridge dampens the rest."""
    left, values, right = np.linalg.svd(A.astype(np.float64), full_matrices=False)
    kept = values > rcond * values[0] if values[0] > 0 else np.zeros(len(values), bool)
    damped = np.divide(values, values**2 + (ridge * values[0]) ** 2, out=np.zeros_like(values), where=kept)
    with np.errstate(over="ignore"):
        inverse: NDArray[Any] = ((right.T * damped) @ left.T).astype(A.dtype)
    return inverse
