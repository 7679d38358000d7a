"""Arrays on their way into the core: what is taken as it is, what is converted, what is refused."""

from __future__ import annotations

from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.backend import backend, call
from latom._base.checks import shown
from latom._base.csr import as_csr
from latom._base.finite import check_finite
from latom._base.foreign import as_array
from latom._base.foreign import is_tensor as is_tensor  # families find here all that they need of arrays
from latom._base.foreign import refuse_sparse as refuse_sparse
from latom._base.sparse_tensor import as_scipy

Matrix: TypeAlias = Any
"""A numpy array or a scipy.sparse matrix or array."""
CoreMatrix: TypeAlias = Any
"""What the core takes: an array [n, d], or the tuple (indptr, indices, data, (n, d))."""

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def as_rows(function: str, X: Matrix, name: str = "X", dtype: Any = None) -> Matrix:
    """X as C-contiguous rows or CSR of float32 or float64, without a copy where it is so.

    Other sparse formats, other number types, half precision and Fortran order are converted into a new
    array; tensors and DLPack arrays on the CPU are taken. ``dtype`` asks for one of the two types.
    """
    rows, storage = as_container(function, X, name, dtype)
    return widen(rows, storage) if storage else rows


def as_container(function: str, X: Matrix, name: str = "X", dtype: Any = None) -> tuple[Matrix, str]:
    """:func:`as_rows`, but half precision stays: then the rows are 16-bit patterns (uint16), and "float16" or
    "bfloat16" says of what. A ``dtype`` asked for is made of it, though.
    """
    if type(X) is np.ndarray and X.dtype in FLOATS:
        return _as_dense(function, X, X, name, dtype), ""
    X = as_scipy(function, X, name)
    if sp.issparse(X):
        return _not_empty(function, as_csr(function, X, name, dtype), name), ""
    array, storage = as_array(function, X, name)
    if storage:
        half = _as_dense(function, array, X, name, np.uint16)
        return (half, storage) if dtype is None else (widen(half, storage).astype(dtype, copy=False), "")
    return _as_dense(function, array, X, name, dtype), ""


def _as_dense(function: str, rows: NDArray[Any], X: Any, name: str, dtype: Any) -> NDArray[Any]:
    """The array that X has become, as rows of the type asked for, else of float32 or float64."""
    if rows.ndim != 2:
        got = f"shape {rows.shape}" if rows.ndim else shown(X)
        raise ValueError(
            f"{function}: {name} must have two dimensions; got {got}. "
            f"Reshape it, for example with {name}.reshape(1, -1) for a single row."
        )
    wanted = dtype or (rows.dtype if rows.dtype in FLOATS else np.float64)
    if rows.dtype != wanted or not (rows.flags.c_contiguous and rows.flags.aligned):
        rows = np.require(rows, wanted, ["C", "A"])  # slow even where nothing is to do
    dense: NDArray[Any] = _not_empty(function, rows, name)
    return dense


def _not_empty(function: str, rows: Matrix, name: str) -> Matrix:
    if rows.shape[0] < 1 or rows.shape[1] < 1:
        raise ValueError(
            f"{function}: {name} must have at least one row and one column; got shape {rows.shape}. "
            "Leave out what is empty."
        )
    return rows


def to_core(rows: Matrix) -> CoreMatrix:
    """The arrays of rows that :func:`as_container` has returned, as the core takes them."""
    if not sp.issparse(rows):
        return rows
    return (
        np.require(rows.indptr, np.int64, ["C", "A"]),
        np.require(rows.indices, requirements=["C", "A"]),
        np.require(rows.data, requirements=["C", "A"]),
        (int(rows.shape[0]), int(rows.shape[1])),
    )


def as_dense(function: str, X: Any, name: str) -> NDArray[Any]:
    """X as dense rows of float32 or float64."""
    refuse_sparse(function, X, name)
    rows: NDArray[Any] = as_rows(function, X, name)
    return rows


def as_vector(function: str, name: str, value: Any, size: int) -> NDArray[np.float64] | None:
    """Finite numbers [size] as float64; None stays None."""
    if value is None:
        return None
    given = as_numpy(function, value, name)
    if given.shape not in ((size,), (1, size)):
        raise ValueError(
            f"{function}: {name} must have shape ({size},); got {given.shape}. "
            f"Pass a vector of {size} numbers."
        )
    vector = np.ascontiguousarray(given, np.float64).reshape(size)
    check_finite(function, name, vector, "Replace it, with 0 say.")
    return vector


def as_numpy(function: str, X: Any, name: str) -> NDArray[Any]:
    """Real numbers of any shape as a numpy array; half precision as float32."""
    array, storage = as_array(function, X, name)
    return widen(array, storage)


def label_numbers(function: str, name: str, labels: Any, n: int) -> tuple[NDArray[np.int32], int]:
    """Labels [n] of any kind, text too, as numbers from 0; and how many kinds there are."""
    given = np.asarray(labels) if _is_text(labels) else as_numpy(function, labels, name)
    if given.shape != (n,):
        raise ValueError(
            f"{function}: {name} must have shape ({n},); got {given.shape}. Give one label per row."
        )
    kinds, numbers = np.unique(given, return_inverse=True)
    return np.ascontiguousarray(numbers.reshape(n), np.int32), len(kinds)


def _is_text(labels: Any) -> bool:
    kind = getattr(getattr(labels, "dtype", None), "kind", None)
    if kind is not None:
        return kind in ("U", "S", "O")
    return isinstance(labels, (list, tuple)) and any(isinstance(label, str) for label in labels)


def widen(rows: NDArray[Any], storage: str, n_threads: int | None = None) -> NDArray[Any]:
    """What :func:`as_container` has returned, as float32 or float64."""
    if not storage:
        return rows
    bits = np.require(rows.view(np.uint16), requirements=["C", "A"])
    wide: NDArray[Any] = backend().widen(call("widen", n_threads), bits, storage)
    return wide


def as_weights(function: str, sample_weight: Any, n: int) -> NDArray[np.float64] | None:
    """Weights [n] as float64, None for all ones."""
    if sample_weight is None:
        return None
    weights = as_numpy(function, sample_weight, "sample_weight").astype(np.float64, copy=False)
    weights = np.full(n, weights) if weights.ndim == 0 else np.ascontiguousarray(weights)
    if weights.shape != (n,):
        raise ValueError(
            f"{function}: sample_weight must have shape ({n},); got {weights.shape}. Give one weight per row."
        )
    remedy = "Drop the row or set its weight to 0."
    check_finite(function, "sample_weight", weights, remedy, negative=False, place="in row")
    if weights.max() > 1e100 or (weights[weights > 0] < 1e-100).any():
        bad = int(np.flatnonzero((weights > 1e100) | ((weights > 0) & (weights < 1e-100)))[0])
        raise ValueError(
            f"{function}: sample_weight must be 0 or between 1e-100 and 1e100; got {weights[bad]} in "
            f"row {bad}. Scale the weights."
        )
    if not weights.any():
        raise ValueError(
            f"{function}: sample_weight must have a positive entry; got zeros only. "
            "Leave it out for equal weights."
        )
    return None if (weights == 1).all() else weights


def as_seed(function: str, random_state: Any) -> int:
    """A 64-bit seed from None, an int, a Generator or a RandomState. The global generator is not touched."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**63))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**62, dtype=np.int64))
    if isinstance(random_state, Integral) and not isinstance(random_state, bool) and int(random_state) >= 0:
        return int(random_state) % 2**64
    raise ValueError(
        f"{function}: random_state must be None, an int of at least 0, a numpy Generator or a RandomState; "
        f"got {shown(random_state)}. Pass an int for results that can be repeated."
    )
