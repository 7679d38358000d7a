"""Distances of CSR rows to all centers."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix
from latom._base.backend import backend
from latom._base.rows import BLOCK_BYTES, Rows


def sparse_distances(context: Any, rows: Rows, centers: Matrix, metric: str) -> NDArray[Any]:
    """1 - cosine or Euclidean distances [n, m], in the wider of the two number types.

    Products are summed in that type, or in float64 where differences of squares would magnify their
    rounding. Some centers at a time: beyond the result and a copy of X in float64, memory for a block.
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
