"""scikit-learn's truncated SVD and sparse coder, computed by latom; what it has not stays scikit-learn's."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import decomposition
from sklearn.utils.validation import validate_data

from latom._base.arrays import Matrix
from latom._base.checks import check_integer
from latom.encode.pursuit_encoder import MatchingPursuit
from latom.factorize import truncated_svd


class TruncatedSVD(decomposition.TruncatedSVD):
    """``sklearn.decomposition.TruncatedSVD``, with the randomized algorithm of :class:`latom.TruncatedSVD`.

    It draws other numbers than scikit-learn's. ``algorithm="arpack"``,
    ``power_iteration_normalizer="none"`` and more components than rows run in scikit-learn's own code.

    Parameters
    ----------
    n_components, algorithm, n_iter, n_oversamples, power_iteration_normalizer, random_state, tol
        As in scikit-learn.

    Attributes
    ----------
    components_, explained_variance_, explained_variance_ratio_, singular_values_, n_features_in_
        As in scikit-learn.
    feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import TruncatedSVD
    >>> X = np.outer(np.arange(1.0, 9), [3.0, 4.0])
    >>> svd = TruncatedSVD(1, random_state=0).fit(X)
    >>> svd.components_.round(6).tolist()
    [[0.6, 0.8]]
    """

    def fit_transform(self, X: Matrix, y: Any = None) -> NDArray[Any]:
        """Fit to X and return its rows in terms of the singular vectors.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
        y : ignored

        Returns
        -------
        codes : array of shape (n, n_components)
        """
        if self.algorithm != "randomized" or self.power_iteration_normalizer == "none":
            return super().fit_transform(X, y)  # type: ignore[no-any-return]
        self._validate_params()
        rows = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=[np.float64, np.float32], ensure_min_features=2
        )
        if self.n_components > rows.shape[1]:
            raise ValueError(f"n_components({self.n_components}) must be <= n_features({rows.shape[1]}).")
        if self.n_components > rows.shape[0]:
            return super().fit_transform(rows)  # type: ignore[no-any-return]
        own = truncated_svd.TruncatedSVD(
            self.n_components,
            n_iter=self.n_iter,
            n_oversamples=self.n_oversamples,
            random_state=self.random_state,
        )
        codes = own.fit_transform(rows)
        for learned in (
            "components_",
            "explained_variance_",
            "explained_variance_ratio_",
            "singular_values_",
        ):
            setattr(self, learned, getattr(own, learned))
        return codes


class _OwnCoder(MatchingPursuit):
    """latom's estimator, whose messages name the class that users know."""


_OwnCoder.__name__ = "SparseCoder"


class SparseCoder(decomposition.SparseCoder):
    """``sklearn.decomposition.SparseCoder``, with the codes of :class:`latom.MatchingPursuit`.

    For "omp" and "threshold"; the others, and ``positive_code`` with "omp", are scikit-learn's own. As there,
    "omp" takes no heed of ``transform_alpha``.

    Parameters
    ----------
    dictionary, transform_algorithm, transform_n_nonzero_coefs, transform_alpha, split_sign, positive_code
        As in scikit-learn.
    transform_max_iter
        As in scikit-learn.
    n_jobs : int, optional
        Threads; None and -1 take all, and no processes are started.

    Attributes
    ----------
    n_components_, n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.compat.sklearn import SparseCoder
    >>> coder = SparseCoder(np.eye(3), transform_n_nonzero_coefs=1)
    >>> coder.fit_transform(np.array([[1.0, -3, 2]])).tolist()
    [[0.0, -3.0, 0.0]]
    """

    def transform(self, X: Matrix, y: Any = None) -> NDArray[Any]:
        """Codes of the rows of X.

        Parameters
        ----------
        X : array of shape (n, d)
        y : ignored

        Returns
        -------
        codes : array of shape (n, m), or (n, 2 m) with ``split_sign``
        """
        omp = self.transform_algorithm == "omp"
        if self.transform_algorithm not in ("omp", "threshold") or (omp and self.positive_code):
            return super().transform(X)  # type: ignore[no-any-return]
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        m, d = np.shape(self.dictionary)
        count, threads = self.transform_n_nonzero_coefs, self.n_jobs
        if threads is not None and not (isinstance(threads, Integral) and threads < 0):
            check_integer("SparseCoder.transform", "n_jobs", threads)
        own = _OwnCoder(
            self.dictionary,
            transform_algorithm=self.transform_algorithm,
            transform_n_nonzero_coefs=(min(max(d // 10, 1), m) if count is None else count) if omp else None,
            transform_alpha=None if omp else self.transform_alpha,
            split_sign=self.split_sign,
            positive_code=self.positive_code,
            sparse_output=False,
            n_threads=None if threads is None or threads < 0 else threads,
        )
        codes: NDArray[Any] = own.transform(rows)
        return codes
