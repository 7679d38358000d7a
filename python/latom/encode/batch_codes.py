"""Codes of a batch in training: the best latents of each row, or of the batch as a whole."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from latom._base.rows import Rows
from latom.encode.atoms import Atoms

CodeArrays: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]
"""indptr, indices, values, as the core takes codes."""


def row_codes(values: NDArray[Any], indices: NDArray[np.int32], positive: bool = False) -> CodeArrays:
    """The entries other than 0, or above 0, of arrays (n, k); what fills short rows is 0."""
    n, k = values.shape
    kept = values > 0 if positive else values != 0
    if kept.all():
        indptr = np.arange(n + 1, dtype=np.int64) * k
        return indptr, np.ascontiguousarray(indices).reshape(-1), np.ascontiguousarray(values).reshape(-1)
    indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1, dtype=np.int64))))
    return indptr, indices[kept], values[kept]


def batch_codes(context: Any, table: Atoms, rows: Rows, k: int) -> tuple[CodeArrays, float]:
    """The n k largest positive pre-activations of n rows together, and the least of them (0: there is none).

    Equal ones at the end: those of the first rows, and of the lowest latents within a row.
    """
    n, m = len(rows), len(table.rows)
    room = min(4 * k, m)
    values, indices, _ = table.topk(context, rows, room, "relu")
    wanted = n * k
    pool = values[values > 0]
    last = len(pool) - wanted
    level = 0.0 if last < 0 else float(np.partition(pool, last)[last])
    if room < m and (values[:, -1] > level).any():  # a row may hold more than there was room for
        below = np.nextafter(values.dtype.type(level), values.dtype.type(-1)) if level > 0 else 0.0
        matches = table.above(context, rows, np.array([max(float(below), 0.0)]))
        row = np.repeat(np.arange(n), np.diff(matches.indptr))
        column, value = matches.indices.astype(np.int32), matches.data
    else:
        row, place = np.nonzero(values > 0)
        column, value = indices[row, place], values[row, place]
    order = np.lexsort((column, row, -value))[:wanted]
    order = order[np.lexsort((column[order], row[order]))]
    row, column, value = row[order], column[order], value[order]
    indptr = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=n)))).astype(np.int64)
    least = float(value.min()) if len(value) else 0.0
    return (indptr, np.ascontiguousarray(column), np.ascontiguousarray(value)), least
