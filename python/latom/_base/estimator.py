"""What estimators share: validation by scikit-learn's rules, seeds, checks of common parameters, tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import validate_data

from latom._base.arrays import FLOATS, Matrix, as_numpy, as_seed
from latom._base.backend import call, check_device
from latom._base.callbacks import CallbackSupport
from latom._base.checks import check_integer, check_threads, check_tol, shown
from latom._base.csr import check_sparse
from latom._base.foreign import is_foreign, refuse_masked, refuse_sparse, refuse_stream
from latom._base.named_init import NamedInit
from latom._base.rows import Rows
from latom._base.sparse_tensor import as_scipy


class Placed(NamedInit):
    """What computes on a device and with threads that it was told."""

    _gpu: ClassVar[bool] = False  # whether a part of it runs on a GPU
    n_threads: int | None

    def _check_place(self, name: str) -> None:
        """Refuse a device or a number of threads that this build or machine does not have."""
        check_device(name, getattr(self, "device", None), self._gpu)
        check_threads(name, self.n_threads)


class Estimator(Placed, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What estimators of latom are unless they recommend: transformers with common tags and checks."""

    _takes_sparse: ClassVar[bool] = False

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._takes_sparse
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class Iterative(CallbackSupport, Placed):
    """What fits by iterations: it takes scikit-learn's callbacks where scikit-learn has them."""

    max_iter: int
    tol: float
    verbose: int
    callback: Callable[[Any], Any] | None

    def _check_iterations(self, name: str) -> None:
        """Refuse wrong values of the parameters that all iterative estimators have."""
        check_integer(name, "max_iter", self.max_iter)
        check_tol(name, self.tol)
        if not isinstance(self.verbose, (bool, np.bool_)):
            check_integer(name, "verbose", self.verbose, low=0)
        if self.callback is not None and not callable(self.callback):
            raise TypeError(
                f"{name}: callback must be callable or None; got {shown(self.callback)}. "
                "Pass a function of one argument, the state."
            )
        self._check_place(name)


class IterativeEstimator(Iterative, Estimator):
    """An estimator that fits by iterations."""


def _is_plain(X: Any) -> bool:
    """Whether X is an array in which scikit-learn's checks, which take longer than small predictions, would
    find nothing to refuse, to convert or to warn of, but for NaN, infinity and another number of columns."""
    return type(X) is np.ndarray and X.ndim == 2 and X.dtype in FLOATS and X.size > 0


def validated_rows(
    estimator: Any,
    name: str,
    X: Matrix,
    reset: bool,
    all_finite: bool | str = False,
    accept_sparse: bool = True,
    dtype: Any = None,
) -> Rows:
    """The prepared X of an estimator's method; reset: the estimator learns the columns of X.

    scikit-learn checks what it knows. Half precision, tensors and DLPack arrays it would widen, copy or
    refuse: of these it learns the number of columns alone.
    """
    refuse_masked(name, X, "X", all_finite == "allow-nan")
    refuse_stream(name, X, "X")
    if not accept_sparse:
        refuse_sparse(name, X)
    X = as_scipy(name, X)
    if sp.issparse(X):
        check_sparse(name, X, "X")
    elif isinstance(X, (list, tuple)):
        X = as_numpy(name, X, "X")
    if is_foreign(X) or (_is_plain(X) and not all_finite):
        rows = Rows(name, X, dtype=dtype)
        if reset or not _has_columns_of_fit(estimator, rows.shape[1]):
            if not reset and not all_finite:
                rows.core.norm2(call(name))  # NaN and infinity are told of first, as scikit-learn does
            validate_data(estimator, rows.array, reset=reset, skip_check_array=True)
        if all_finite is True:
            rows.core.norm2(call(name))  # refuses NaN and infinity
        return rows
    X = validate_data(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr" if accept_sparse else False,
        dtype=[np.float64, np.float32],
        order="C",
        accept_large_sparse=True,
        ensure_all_finite=all_finite,
    )
    return Rows(name, X, dtype=dtype)


def _has_columns_of_fit(estimator: Any, d: int) -> bool:
    """Whether d columns without names are those of the fit, which scikit-learn finds out more slowly."""
    return d == getattr(estimator, "n_features_in_", 0) and not hasattr(estimator, "feature_names_in_")


def as_generator(name: str, random_state: Any) -> Any:
    """Something with permutation() that seeds can be drawn from; a given generator advances.

    What may be given is what :func:`latom._base.arrays.as_seed` takes, in every estimator.
    """
    if isinstance(random_state, (np.random.Generator, np.random.RandomState)):
        return random_state
    return np.random.RandomState(as_seed(name, random_state) % 2**32)


def as_random_state(name: str, random_state: Any) -> np.random.RandomState:
    """:func:`as_generator` as a RandomState, which scikit-learn's init callables expect."""
    rng = as_generator(name, random_state)
    if isinstance(rng, np.random.RandomState):
        return rng
    return np.random.RandomState(int(rng.integers(2**32)))
