"""Distances of rows to all centers."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend
from latom._base.rows import BLOCK_BYTES, Rows


def all_distances(context: Any, rows: Rows, centers: Matrix, metric: str) -> NDArray[Any]:
    """1 - cosine or Euclidean distances [n, m], in the wider of the two number types.

    Raises
    ------
    ValueError
        If a distance exceeds float32 where that is the type.
    """
    find = _sparse_distances if rows.sparse else _dense_distances
    with np.errstate(over="ignore"):
        found = find(context, rows, centers, metric)
    if found.dtype == np.float32 and np.isinf(found.max()):
        raise ValueError(
            f"{context.function}: X must have distances to the centers that float32 holds; got one beyond "
            "3.4e38. Pass X as float64."
        )
    return found


def _dense_distances(context: Any, rows: Rows, centers: Matrix, metric: str) -> NDArray[Any]:
    """Products by BLAS, a block of rows at a time: in float64 where differences of squares would magnify
    their rounding, else in the type of the result, of rows divided by their lengths in float64.
    """
    known = Rows(context.function, centers.toarray() if sp.issparse(centers) else centers, "centers")
    dtype = np.result_type(rows.dtype, known.dtype)
    x2, c2 = rows.core.norm2(context), known.core.norm2(context)
    C = known.array.astype(np.float64)
    if metric == "cosine":
        C *= _inverse(c2)[:, None]
    factor = np.ascontiguousarray(C.T, np.float64 if metric == "euclidean" else dtype)
    out = np.empty((len(rows), len(known)), dtype)
    for part, block in rows.blocks():
        if metric == "cosine":
            unit = (block * _inverse(x2[part])[:, None]).astype(dtype, copy=False)
            out[part] = np.clip(1 - unit @ factor, 0, 2)
        else:
            squares = block.astype(np.float64) @ factor
            squares *= -2
            squares += x2[part, None]
            squares += c2
            _subtract_where_near(squares, block, C, np.add.outer(x2[part], c2))
            out[part] = np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
    return out


def _subtract_where_near(
    squares: NDArray[np.float64], X: NDArray[Any], C: NDArray[np.float64], scale: NDArray[np.float64]
) -> None:
    """Squared distances that lost most of their bits to cancellation, again by differences of the numbers."""
    rows, columns = np.nonzero(squares <= 1e-6 * scale)
    step = max(1, BLOCK_BYTES // (8 * C.shape[1]))
    for first in range(0, len(rows), step):
        i, j = rows[first : first + step], columns[first : first + step]
        apart = X[i] - C[j]
        squares[i, j] = np.einsum("ij,ij->i", apart, apart)


def _sparse_distances(context: Any, rows: Rows, centers: Matrix, metric: str) -> NDArray[Any]:
    """Products are summed in the type of the result, or in float64 as for dense rows.

    Some centers at a time: beyond the result and a copy of X in float64, memory for a block.
    """
    n, m = len(rows), centers.shape[0]
    dtype = np.result_type(rows.dtype, centers.dtype)
    work = np.dtype(np.float64) if metric == "euclidean" else dtype
    X = rows.as_type(context.function, work)
    x2 = rows.core.norm2(context)
    known = Rows(context.function, centers, "centers", work)
    c2 = known.core.norm2(context)
    out = np.empty((n, m), dtype)
    step = max(16, 4 * BLOCK_BYTES // (n * work.itemsize) // 16 * 16)
    for first in range(0, m, step):
        part = slice(first, min(first + step, m))
        some = known.array[part]
        factor = np.ascontiguousarray((some.toarray() if sp.issparse(some) else some).T)
        products = backend().multiply(context, X.core, factor)
        if metric == "cosine":
            scale = np.outer(_inverse(x2), _inverse(c2[part])).astype(work)
            out[:, part] = np.clip(1 - products * scale, 0, 2)
        else:
            squares = np.add.outer(x2, c2[part])
            squares -= 2 * products
            out[:, part] = np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
    return out


def _inverse(norm2: NDArray[np.float64]) -> NDArray[np.float64]:
    """The reciprocals of lengths; 0 for 0."""
    length = np.sqrt(norm2)
    return np.divide(1, length, out=np.zeros_like(length), where=length > 0)
