"""What estimators share: validation by scikit-learn's rules, and its kinds of random state."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from latom._base.arrays import Matrix, as_rows, as_seed, is_tensor


def validated_rows(
    estimator: Any, name: str, X: Matrix, reset: bool, all_finite: bool | str = False
) -> Matrix:
    """Rows of float32 or float64, dense or CSR; reset: the estimator learns the columns of X."""
    X = validate_data(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
        order="C",
        accept_large_sparse=True,
        ensure_all_finite=all_finite,
    )
    return as_rows(name, X)


def validated_stored(estimator: Any, X: Any, reset: bool) -> Any:
    """Dense rows; half precision, tensors and sparse rows as they are, for as_stored to take or to refuse."""
    half = getattr(getattr(X, "dtype", None), "name", "") in ("float16", "bfloat16")
    if half or is_tensor(X) or sp.issparse(X):  # scikit-learn would widen these
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    return validate_data(
        estimator, X, reset=reset, dtype=[np.float64, np.float32], order="C", ensure_all_finite=False
    )


def as_generator(name: str, random_state: Any) -> Any:
    """Something with permutation() that seeds can be drawn from; a given generator advances."""
    if isinstance(random_state, (np.random.Generator, np.random.RandomState)):
        return random_state
    return np.random.RandomState(as_seed(name, random_state) % 2**32)


def as_random_state(rng: Any) -> np.random.RandomState:
    """What scikit-learn's init callables expect."""
    if isinstance(rng, np.random.RandomState):
        return rng
    return np.random.RandomState(int(rng.integers(2**32)))


def seeded(random_state: Any) -> Any:
    """What scikit-learn's check_random_state takes; a Generator gives a seed and never the global state."""
    if random_state is None:
        return np.random.RandomState(np.random.default_rng().integers(2**32))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**32))
    return random_state
