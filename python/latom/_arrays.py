"""Arrays on their way into the core: what is taken as it is, what is converted, what is refused."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NoReturn, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom import _core

Matrix: TypeAlias = Any
"""A numpy array or a scipy.sparse matrix or array."""
CoreMatrix: TypeAlias = Any
"""What the core takes: an array [n, d], or the tuple (indptr, indices, data, d)."""

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def as_rows(function: str, X: Matrix, name: str = "X", dtype: Any = None) -> Matrix:
    """X as C-contiguous rows or canonical CSR of float32 or float64, without a copy where it is so.

    Other sparse formats, other number types, unsorted or duplicate entries and Fortran order are
    converted into a new array. ``dtype`` asks for one of the two types.
    """
    if sp.issparse(X):
        if X.ndim != 2:
            raise ValueError(f"{function}: {name} must have two dimensions; got {X.ndim}. Reshape it.")
        rows = X if X.format == "csr" else X.tocsr()
        if rows.dtype.kind not in "fiub":
            _refuse_type(function, name, rows.dtype)
        wanted = dtype or (rows.dtype if rows.dtype in _FLOATS else np.float64)
        if rows.dtype != wanted:
            rows = rows.astype(wanted)
        rows = _with_native_indices(rows)
        indptr, indices = to_core(rows)[:2]
        if not _core.is_canonical(indptr, indices, 0, function, name):
            rows = rows.copy()
            rows.has_canonical_format = rows.has_sorted_indices = False  # do not trust what is cached
            rows.sum_duplicates()
    else:
        rows = np.asarray(X)
        if rows.dtype.kind == "O":
            try:
                rows = rows.astype(np.float64)
            except (TypeError, ValueError) as error:
                _refuse_type(function, name, rows.dtype, error)
        if rows.dtype.kind not in "fiub":
            _refuse_type(function, name, rows.dtype)
        if rows.ndim != 2:
            raise ValueError(
                f"{function}: {name} must have two dimensions; got shape {rows.shape}. "
                f"Reshape it, for example with {name}.reshape(1, -1) for a single row."
            )
        wanted = dtype or (rows.dtype if rows.dtype in _FLOATS else np.float64)
        rows = np.require(rows, wanted, ["C", "A"])
    if rows.shape[0] < 1 or rows.shape[1] < 1:
        raise ValueError(
            f"{function}: {name} must have at least one row and one column; got shape {rows.shape}. "
            "Check how it was built."
        )
    return rows


def _with_native_indices(rows: Matrix) -> Matrix:
    """The CSR matrix with indices and indptr of one native signed width; indices are copied only if odd."""
    native = rows.indices.dtype in (np.dtype(np.int32), np.dtype(np.int64))
    if native and rows.indptr.dtype == rows.indices.dtype:
        return rows
    indices = rows.indices if native else rows.indices.astype(np.int64)
    indptr = rows.indptr.astype(indices.dtype)
    if not np.array_equal(indptr, rows.indptr):  # more entries than 32 bits count
        indices, indptr = indices.astype(np.int64), rows.indptr.astype(np.int64)
    result = type(rows)(rows.shape, dtype=rows.dtype)
    result.data, result.indices, result.indptr = rows.data, indices, indptr
    return result


def to_core(rows: Matrix, int32_columns: bool = False) -> CoreMatrix:
    """The arguments that the core takes for rows that :func:`as_rows` has returned."""
    if not sp.issparse(rows):
        return rows
    indices = rows.indices.astype(np.int32, copy=False) if int32_columns else rows.indices
    return (
        np.require(rows.indptr, np.int64, ["C", "A"]),
        np.require(indices, requirements=["C", "A"]),
        np.require(rows.data, requirements=["C", "A"]),
        int(rows.shape[1]),
    )


def common_float(*arrays: Matrix) -> Any:
    """float64 if any array needs it, else float32: no value is ever rounded on the way in."""
    return np.float32 if all(a.dtype == np.float32 for a in arrays) else np.float64


def as_weights(function: str, sample_weight: Any, n: int) -> NDArray[np.float64] | None:
    """Weights [n] as float64, None for all ones."""
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "fiub":
        try:
            weights = weights.astype(np.float64, casting="safe" if weights.dtype.kind == "c" else "unsafe")
        except (TypeError, ValueError) as error:
            _refuse_type(function, "sample_weight", weights.dtype, error)
    weights = weights.astype(np.float64, copy=False)
    weights = np.full(n, weights) if weights.ndim == 0 else np.ascontiguousarray(weights)
    if weights.shape != (n,):
        raise ValueError(
            f"{function}: sample_weight must have shape ({n},); got {weights.shape}. Give one weight a row."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        bad = int(np.flatnonzero(~np.isfinite(weights) | (weights < 0))[0])
        raise ValueError(
            f"{function}: sample_weight must be finite and not negative; got {weights[bad]} in row {bad}. "
            "Drop the row or set its weight to 0."
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
    if isinstance(random_state, Integral) and not isinstance(random_state, bool) and random_state >= 0:
        return int(random_state) % 2**64
    raise ValueError(
        f"{function}: random_state must be None, an int of at least 0, a numpy Generator or a RandomState; "
        f"got {random_state!r}. Pass an int for results that can be repeated."
    )


def _refuse_type(function: str, name: str, dtype: Any, cause: Exception | None = None) -> NoReturn:
    raise TypeError(
        f"{function}: {name} must hold real numbers; got dtype {dtype}. Convert it to float32 or float64."
    ) from cause
