"""What estimators share: validation by scikit-learn's rules, and its kinds of random state."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from latom._base.arrays import Matrix, as_seed, is_tensor, refuse_sparse
from latom._base.rows import Rows


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
    if not accept_sparse:
        refuse_sparse(name, X)
    if _is_foreign(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
    else:
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


def _is_foreign(X: Any) -> bool:
    half = getattr(getattr(X, "dtype", None), "name", "") in ("float16", "bfloat16")
    return half or is_tensor(X) or (hasattr(X, "__dlpack_device__") and not hasattr(X, "__array__"))


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
