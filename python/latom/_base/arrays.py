"""Arrays on their way into the core: what is taken as it is, what is converted, what is refused."""

from __future__ import annotations

import sys
from numbers import Integral
from typing import Any, NoReturn, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.backend import backend, call

Matrix: TypeAlias = Any
"""A numpy array or a scipy.sparse matrix or array."""
CoreMatrix: TypeAlias = Any
"""What the core takes: an array [n, d], or the tuple (indptr, indices, data, (n, d))."""

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


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
    if isinstance(X, np.ndarray) and X.dtype in _FLOATS:
        return _as_dense(function, X, name, dtype), ""
    if sp.issparse(X):
        return _as_csr(function, X, name, dtype), ""
    if is_tensor(X):
        X, brain = _from_tensor(function, X, name)
        if brain:
            return _in_type(_two_dimensions(function, X, name), "bfloat16", dtype)
    elif hasattr(X, "__dlpack_device__") and not hasattr(X, "__array__"):
        X = _from_dlpack(function, X, name)
    if getattr(X, "dtype", None) == np.float16:
        return _in_type(_two_dimensions(function, np.asarray(X, np.float16), name), "float16", dtype)
    if getattr(getattr(X, "dtype", None), "name", "") == "bfloat16":
        return _in_type(_two_dimensions(function, np.asarray(X), name), "bfloat16", dtype)
    return _as_dense(function, X, name, dtype), ""


def _in_type(half: NDArray[Any], storage: str, dtype: Any) -> tuple[NDArray[Any], str]:
    if dtype is None:
        return half, storage
    return widen(half, storage).astype(dtype, copy=False), ""


def _as_csr(function: str, X: Matrix, name: str, dtype: Any) -> Matrix:
    if X.ndim != 2:
        raise ValueError(
            f"{function}: {name} must have two dimensions; got {X.ndim}. "
            f"Make it a matrix, for example with scipy.sparse.csr_matrix({name})."
        )
    rows = X if X.format == "csr" else X.tocsr()
    if rows.dtype.kind not in "fiub":
        _refuse_type(function, name, rows.dtype)
    wanted = dtype or (rows.dtype if rows.dtype in _FLOATS else np.float64)
    if rows.dtype != wanted:
        rows = rows.astype(wanted)
    return _not_empty(function, _with_native_indices(rows), name)


def _as_dense(function: str, X: Any, name: str, dtype: Any) -> NDArray[Any]:
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


def _from_dlpack(function: str, X: Any, name: str) -> NDArray[Any]:
    if X.__dlpack_device__()[0] != 1:  # kDLCPU
        raise TypeError(
            f"{function}: {name} must lie in the memory of the CPU; got a DLPack array on device "
            f"{tuple(X.__dlpack_device__())}. Copy it to the CPU first."
        )
    return np.from_dlpack(X)


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


def refuse_sparse(function: str, X: Any, name: str = "X") -> None:
    """A TypeError for who asks for dense rows and gets sparse ones."""
    if sp.issparse(X) or (is_tensor(X) and str(X.layout) != "torch.strided"):
        raise TypeError(
            f"{function}: {name} must be dense, not sparse; got {type(X).__name__}. "
            f"Densify it in blocks of rows, for example {name}[i : i + 4096].toarray()."
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
    rows = value.reshape(1, -1) if getattr(value, "ndim", 0) == 1 else np.atleast_2d(value)
    vector = np.ascontiguousarray(as_dense(function, rows, name), np.float64)
    if vector.shape != (1, size):
        raise ValueError(
            f"{function}: {name} must have shape ({size},); got {np.shape(value)}. "
            "Give one number per column."
        )
    if not np.isfinite(vector).all():
        bad = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise ValueError(
            f"{function}: {name} must be finite; got {vector[0, bad]} at {bad}. Replace it, with 0 say."
        )
    first: NDArray[np.float64] = vector[0]
    return first


def as_numpy(function: str, X: Any, name: str) -> NDArray[Any]:
    """An array or a tensor as a numpy array of any shape and type; a tensor's bfloat16 as float32."""
    if not is_tensor(X):
        return np.asarray(X)
    array, brain = _from_tensor(function, X, name)
    return widen(array.view(np.uint16), "bfloat16") if brain else array


def _from_tensor(function: str, X: Any, name: str) -> tuple[NDArray[Any], bool]:
    """A tensor's memory, and whether it is the bits of bfloat16, which numpy has not."""
    if X.device.type != "cpu":
        raise TypeError(
            f"{function}: {name} must lie in the memory of the CPU; got a tensor on {X.device}. "
            f"Pass {name}.cpu()."
        )
    refuse_sparse(function, X, name)
    torch = sys.modules["torch"]
    X = X.detach()
    brain = X.dtype == torch.bfloat16
    return (X.contiguous().view(torch.int16) if brain else X).numpy(), brain


def is_tensor(X: Any) -> bool:
    """Whether X is a torch tensor; torch itself is not imported for the question."""
    return any(c.__module__ == "torch" and c.__name__ == "Tensor" for c in type(X).__mro__)


def _two_dimensions(function: str, half: NDArray[Any], name: str) -> NDArray[np.uint16]:
    """The bits of 16-bit numbers, checked as as_rows checks others."""
    if half.ndim != 2 or 0 in half.shape:
        raise ValueError(
            f"{function}: {name} must have two dimensions, with at least one row and one column; "
            f"got shape {half.shape}. Reshape it, for example with {name}.reshape(1, -1) for a single row."
        )
    return np.require(half, requirements=["C", "A"]).view(np.uint16)


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
            f"{function}: sample_weight must have shape ({n},); got {weights.shape}. Give one weight per row."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        bad = int(np.flatnonzero(~np.isfinite(weights) | (weights < 0))[0])
        raise ValueError(
            f"{function}: sample_weight must be finite and not negative; got {weights[bad]} in row {bad}. "
            "Drop the row or set its weight to 0."
        )
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
        f"got {random_state!r}. Pass an int for results that can be repeated."
    )


def _refuse_type(function: str, name: str, dtype: Any, cause: Exception | None = None) -> NoReturn:
    raise TypeError(
        f"{function}: {name} must hold real numbers; got dtype {dtype}. Convert it to float32 or float64."
    ) from cause
