"""Sparse matrices on their way into the core: any format as CSR of float32 or float64 with native indices.

Attributes of a scipy matrix can be set to anything, and scipy's own conversions trust them. What could lead
past an array is looked at before scipy reads it; CSR itself is checked by the core.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.foreign import refuse_type

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_INDICES = (np.dtype(np.int32), np.dtype(np.int64))
_PARTS = {"csr": ("indptr", "indices"), "csc": ("indptr", "indices"), "bsr": ("indptr", "indices")}


def as_csr(function: str, X: Any, name: str, dtype: Any = None) -> Any:
    """A scipy.sparse matrix as CSR of float32 or float64, not copied where it is so."""
    check_sparse(function, X, name)
    rows = X if X.format == "csr" else X.tocsr()
    wanted = np.dtype(dtype or (rows.data.dtype if rows.data.dtype in _FLOATS else np.float64))
    indices, indptr = _native(rows.indices, rows.indptr)
    plain = type(rows) in (sp.csr_array, sp.csr_matrix)  # scipy cannot make every subclass again
    if plain and indices is rows.indices and indptr is rows.indptr and rows.data.dtype == wanted:
        return rows
    return csr_of(rows, rows.data.astype(wanted, copy=False), indices, indptr)


def csr_of(like: Any, data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any]) -> Any:
    """Arrays, unchecked, as CSR of the shape of another matrix, and as array or matrix as that is."""
    container = sp.csr_array if isinstance(like, sp.sparray) else sp.csr_matrix
    result = container(like.shape, dtype=data.dtype)
    result.data, result.indices, result.indptr = data, indices, indptr
    return result


def csr_of_parts(
    values: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], shape: tuple[int, int]
) -> Any:
    """CSR from the parts that the core returns, its indices in 64 bits only where 32 cannot count entries."""
    width = np.int32 if max(int(indptr[-1]), shape[1]) < 2**31 else np.int64
    return sp.csr_array(
        (values, indices.astype(width, copy=False), indptr.astype(width, copy=False)), shape=shape
    )


def checked_csr(function: str, X: Any, name: str) -> Any:
    """A scipy.sparse matrix as CSR of its number type, in which nothing leads past an array."""
    check_sparse(function, X, name)
    rows = X if X.format == "csr" else X.tocsr()
    _check_compressed(function, rows, name)
    return rows


def narrow_csr(function: str, X: Any, name: str) -> Any:
    """A scipy.sparse matrix as CSR with indices in 32 bits; numbers that these cannot hold are refused."""
    rows = as_csr(function, X, name)
    if rows.indices.dtype == np.int32:
        return rows
    entries = int(rows.indptr[-1]) if len(rows.indptr) else 0
    if entries >= 2**31:
        raise ValueError(
            f"{function}: {name} must have fewer than 2^31 stored entries; got {entries}. "
            "Pass it in blocks of fewer rows."
        )
    indices, indptr = rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
    if not (np.array_equal(indices, rows.indices) and np.array_equal(indptr, rows.indptr)):
        return rows  # of more columns than there may be, or broken: the core says so
    return csr_of(rows, rows.data, indices, indptr)


def check_sparse(function: str, X: Any, name: str) -> None:
    """Refuse a sparse matrix that does not hold real numbers, or is not what its format says."""
    if X.ndim != 2:
        raise ValueError(
            f"{function}: {name} must have two dimensions; got {X.ndim}. "
            f"Make it a matrix, for example with scipy.sparse.csr_matrix({name})."
        )
    if X.dtype.kind not in "fiub":
        refuse_type(function, name, f"dtype {X.dtype}")
    for part in _PARTS.get(X.format, ()):
        _check_vector(function, f"{name}.{part}", getattr(X, part), "integers", "iu")
    if X.format in ("csr", "csc", "coo"):
        _check_vector(function, f"{name}.data", X.data, "numbers", "fiub")
    if X.format == "coo":
        for part, extent in zip(("row", "col"), X.shape, strict=True):
            indices = getattr(X, part)
            _check_vector(function, f"{name}.{part}", indices, "integers", "iu")
            _check_range(function, f"{name}.{part}", indices, extent)
            if len(indices) != len(X.data):
                _refuse(function, f"{name}.{part}", f"have {len(X.data)} entries, as data", len(indices))
    elif X.format in ("csc", "bsr"):
        _check_compressed(function, X, name)


def _check_compressed(function: str, X: Any, name: str) -> None:
    """CSC and BSR, which scipy turns into CSR and believes, or CSR that it cuts."""
    height, width = X.blocksize if X.format == "bsr" else (1, 1)
    many, few = X.shape[0] // height, X.shape[1] // width
    if X.format == "csc":
        many, few = few, many
    indptr, stored = X.indptr, min(len(X.indices), len(X.data))
    if len(indptr) != many + 1:
        _refuse(function, f"{name}.indptr", f"have {many + 1} entries, for shape {X.shape}", len(indptr))
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any() or indptr[-1] > stored:
        got = f"{indptr[0]} to {indptr[-1]}"
        _refuse(function, f"{name}.indptr", f"rise from 0 to at most {stored}, the entries stored", got)
    _check_range(function, f"{name}.indices", X.indices[: indptr[-1]], few)


def _check_vector(function: str, name: str, array: Any, what: str, kinds: str) -> None:
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in kinds:
        got = (
            f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        )
        raise TypeError(
            f"{function}: {name} must be a vector of {what}; got {got}. "
            "Rebuild the matrix, for example with scipy.sparse.csr_array((data, indices, indptr))."
        )


def _check_range(function: str, name: str, indices: NDArray[Any], extent: int) -> None:
    if len(indices) and (indices.min() < 0 or indices.max() >= extent):
        bad = indices.min() if indices.min() < 0 else indices.max()
        _refuse(function, name, f"lie in [0, {extent})", bad)


def _refuse(function: str, name: str, constraint: str, got: Any) -> NoReturn:
    raise ValueError(
        f"{function}: {name} must {constraint}; got {got}. "
        "Rebuild the matrix from the entries that it should have."
    )


def _native(indices: NDArray[Any], indptr: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Indices and indptr of one native signed width; these themselves unless odd."""
    native = indices.dtype in _INDICES
    if native and indptr.dtype == indices.dtype:
        return indices, indptr
    wide = indices if native else indices.astype(np.int64)
    starts = indptr.astype(wide.dtype)
    if not np.array_equal(starts, indptr):  # more entries than 32 bits count
        return wide.astype(np.int64), indptr.astype(np.int64)
    return wide, starts
