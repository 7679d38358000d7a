"""Truncated singular value decomposition of dense and sparse rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latom._base.arrays import Matrix, as_seed
from latom._base.backend import backend, call
from latom._base.checks import check_choice, check_integer, check_range
from latom._base.estimator import validated_rows
from latom._base.finite import check_held
from latom._base.rows import Rows
from latom.factorize.codes import decoded
from latom.factorize.embedding import Embedding
from latom.factorize.product_in_parts import product_in_parts
from latom.factorize.row_blocks import RowBlocks

Array = NDArray[Any]


def multiply_rows(context: Any, rows: Rows, F: Array) -> Array:
    """X F for prepared rows; F takes their dtype."""
    F = np.ascontiguousarray(F, rows.dtype)
    if rows.sparse:
        made: Array = backend().multiply(context, rows.core, F)
        return made
    return RowBlocks(context, rows).times(F) if rows.storage else product_in_parts(rows.array, F)


class TruncatedSVD(Embedding):
    """The leading singular vectors of rows, which are not centered (latent semantic analysis).

    Parameters
    ----------
    n_components : int, default 2
        Singular vectors, k; at most the rows and columns of X.
    algorithm : {"randomized"}, default "randomized"
        A random range and power iterations. scikit-learn's "arpack" is refused: raise ``n_iter`` instead.
    n_iter : int, default 5
        Power iterations. Each shrinks what is missing of a singular vector by the square of the ratio of
        the first singular value that is left out to its own. For many components of a large X, narrow blocks
        take their place (block Krylov), as many as find no less.
    n_oversamples : int, default 10
        Columns beside the k, at least; rounded up so that they fill cache lines.
    power_iteration_normalizer : {"auto", "QR"}, default "auto"
        Both are a Cholesky factor of the Gram matrix between products, two of them at the end.
    random_state : int, Generator, RandomState or None
        Seed of the range.
    tol : float, default 0.0
        Taken for scikit-learn's sake; the randomized algorithm has no use for it.
    n_threads : int, optional
        As in :class:`latom.NMF`.

    Attributes
    ----------
    components_ : array of shape (k, d)
        The right singular vectors; the largest magnitude of each is positive.
    singular_values_ : array of shape (k,)
        Falling.
    explained_variance_, explained_variance_ratio_ : array of shape (k,)
        Variance of the columns of ``fit_transform(X)``, and its share of that of X.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The cost is that of 3 + 2 n_iter products, 2 nnz (k + n_oversamples) flops each, and of 4 (n + d)
    (k + n_oversamples)^2 flops between two of them; with blocks, of 3 + 0.5 n_iter products. Extra memory:
    twice (n + d) (k + n_oversamples) numbers, with blocks 1 + 0.25 n_iter times as much of the shorter side,
    and a transposed copy of sparse X. Results for CSR do not depend on threads or processor, to the bit;
    products of dense X are numpy's.

    References
    ----------
    Halko, Martinsson & Tropp, "Finding structure with randomness", 2011.
    Musco & Musco, "Randomized block Krylov methods for stronger and faster approximate singular value
    decomposition", 2015.
    Yamamoto, Nakatsukasa, Yanagisawa & Fukaya, "Roundoff error analysis of the CholeskyQR2 algorithm", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from latom import TruncatedSVD
    >>> X = np.outer(np.arange(1.0, 9), [3.0, 0, 4]) + np.outer(np.ones(8), [0, 1.0, 0])
    >>> svd = TruncatedSVD(2, random_state=0)
    >>> codes = svd.fit_transform(X)
    >>> bool(np.abs(codes @ svd.components_ - X).max() < 1e-9)
    True
    """

    components_: Array
    singular_values_: Array
    explained_variance_: Array
    explained_variance_ratio_: Array

    def __init__(
        self,
        n_components: int = 2,
        *,
        algorithm: str = "randomized",
        n_iter: int = 5,
        n_oversamples: int = 10,
        power_iteration_normalizer: str = "auto",
        random_state: Any = None,
        tol: float = 0.0,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.algorithm = algorithm
        self.n_iter = n_iter
        self.n_oversamples = n_oversamples
        self.power_iteration_normalizer = power_iteration_normalizer
        self.random_state = random_state
        self.tol = tol
        self.n_threads = n_threads

    def fit_transform(self, X: Matrix, y: Any = None) -> Array:
        """Find the singular vectors of X and return its rows in their terms.

        Parameters
        ----------
        X : array or CSR of shape (n, d)
            float32 or float64, finite; half precision is widened a block at a time.
        y : ignored

        Returns
        -------
        codes : array of shape (n, k)
            ``X @ components_.T``.

        Raises
        ------
        ValueError
            If a parameter is out of range, or X is not finite.
        """
        return self._fit(f"{type(self).__name__}.fit_transform", X)

    def _fit(self, name: str, X: Matrix) -> Array:
        rows = validated_rows(self, name, X, reset=True)
        k = self._check_parameters(name, rows)
        context = call(name, self.n_threads, as_seed(name, self.random_state))
        norm2 = rows.core.norm2(context)
        if rows.sparse:
            U, S, V = backend().randomized_svd(context, rows.core, k, self.n_oversamples, self.n_iter)
        else:
            wide = rows.dtype == np.float64
            products = RowBlocks(context, rows)
            with np.errstate(invalid="ignore", over="ignore"):  # of numbers that are refused below
                U, S, V = backend().randomized_svd_of(
                    context, products, *rows.shape, wide, k, self.n_oversamples, self.n_iter
                )
        with np.errstate(invalid="ignore", over="ignore"):
            codes: Array = np.multiply(U, S.astype(rows.dtype), out=U)
        check_held(name, "X", "singular vectors", V, codes)
        self.components_ = np.ascontiguousarray(V.T)
        self.singular_values_ = S.astype(rows.dtype)
        n, means = len(rows), codes.mean(axis=0, dtype=np.float64)
        variance = np.maximum(S**2 / n - means**2, 0)  # U has columns of length 1
        self.explained_variance_ = variance.astype(rows.dtype)
        total = norm2.sum() / n - np.square(_column_means(context, rows)).sum()
        share = variance / total if total > 0 else np.zeros(k)
        self.explained_variance_ratio_ = share.astype(rows.dtype)
        return codes

    def transform(self, X: Matrix) -> Array:
        """Rows in terms of the singular vectors.

        Parameters
        ----------
        X : array or CSR of shape (n, d)

        Returns
        -------
        codes : array of shape (n, k)
            ``X @ components_.T``.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.transform"
        rows = validated_rows(self, name, X, reset=False)
        context = call(name, self.n_threads)
        rows.core.norm2(context)
        return multiply_rows(context, rows, self.components_.T)

    def inverse_transform(self, X: Any) -> Array:
        """Rows from their codes: ``X @ components_``.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, k)

        Returns
        -------
        rows : array of shape (n, d)
        """
        check_is_fitted(self)
        return decoded(f"{type(self).__name__}.inverse_transform", X, self.components_)

    def _check_parameters(self, name: str, rows: Rows) -> int:
        k = self._check_n_components(name, rows.shape)
        if self.algorithm != "randomized":
            raise ValueError(
                f"{name}: algorithm must be 'randomized'; got {self.algorithm!r}. Raise n_iter for singular "
                "vectors that are nearer to the exact ones."
            )
        check_integer(name, "n_iter", self.n_iter, low=0)
        check_integer(name, "n_oversamples", self.n_oversamples, low=0)
        check_choice(name, "power_iteration_normalizer", self.power_iteration_normalizer, ("auto", "QR"))
        check_range(name, "tol", self.tol)
        self._check_place(name)
        return k


def _column_means(context: Any, rows: Rows) -> NDArray[np.float64]:
    if rows.sparse:
        ones = np.ones((len(rows), 1), rows.dtype)
        sums: Array = backend().multiply_transposed(context, rows.core, ones)
        return sums[:, 0].astype(np.float64) / len(rows)
    total = np.zeros(rows.shape[1])
    for _, block in rows.blocks():
        total += block.sum(axis=0, dtype=np.float64)
    return total / len(rows)
