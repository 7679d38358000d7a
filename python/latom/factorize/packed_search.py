"""Factors that are packed once for many searches: the best items of each user, without those that it has.

An item that a user has may be among the best, so a user with h of them is asked for at most N + h, and the
first N of the others are kept: exact, and no users x items matrix is made. Most users have enough after far
fewer, so they are asked for some N more first, and those that are short for four times as many more.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.checks import shown
from latom._base.rows import Rows

Array = NDArray[Any]

LEAST_MORE = 16  # items beyond N for any user that has some
MOST_FOUND = 4_000_000  # items of all users at a time
MOST_MARKS = 1 << 23  # bytes
NOTHING = -1  # stands where there are not N items to recommend


class Best:
    """Rows of factors, packed for the search of the best by product or by cosine.

    Parameters
    ----------
    factors : array of shape (m, k)
    metric : {"dot", "cosine"}
    """

    def __init__(self, context: Any, factors: Array, metric: str) -> None:
        self.factors = factors
        self._index = backend().AtomIndex(context, np.ascontiguousarray(factors), None, metric)

    def topk(self, context: Any, queries: Array, N: int) -> tuple[NDArray[np.int32], Array]:
        """(ids, scores) of the N best rows of factors of each query, best first, ties to the lowest id."""
        rows = Rows(context.function, queries, "factors")
        scores, ids, _, _ = self._index.topk(context, rows.core, N, "identity")
        return ids, scores

    def without(
        self, context: Any, queries: Array, N: int, have: sp.csr_array
    ) -> tuple[NDArray[np.int32], Array]:
        """:meth:`topk` of those that are not stored in have [queries, m]; -1 where there are too few."""
        m = len(self.factors)
        ids = np.full((len(queries), N), NOTHING, np.int32)
        scores = np.full((len(queries), N), -np.inf, queries.dtype)
        counts = np.diff(have.indptr).astype(np.int64)
        left, more = np.arange(len(queries)), max(LEAST_MORE, N)
        while len(left):
            asked = np.minimum(
                more, LEAST_MORE << np.ceil(np.log2(np.maximum(counts[left] / LEAST_MORE, 1))).astype(int)
            )
            asked[counts[left] == 0] = 0
            short = []
            for extra in np.unique(asked):
                users, K = left[asked == extra], min(m, N + int(extra))
                for part in np.array_split(users, max(1, len(users) * K // MOST_FOUND)):
                    found, score = self.topk(context, np.ascontiguousarray(queries[part]), K)
                    kept = ~held(have, part, found)
                    place = np.cumsum(kept, axis=1, dtype=np.int32) - 1
                    kept &= place < N
                    row = np.repeat(part, kept.sum(axis=1))
                    ids[row, place[kept]], scores[row, place[kept]] = found[kept], score[kept]
                    short.append(part[(place[:, -1] < N - 1) & (np.minimum(m, N + counts[part]) > K)])
            left, more = np.sort(np.concatenate(short)), 4 * more
        return ids, scores


def positions(chosen: Array, have: sp.csr_array) -> sp.csr_array:
    """The columns `chosen`, which rise, of have, renumbered from 0."""
    entries = sp.coo_array(have)
    at = np.minimum(np.searchsorted(chosen, entries.col), len(chosen) - 1)
    stay = chosen[at] == entries.col
    parts = (np.ones(int(stay.sum()), np.int8), (entries.row[stay], at[stay]))
    return sp.csr_array(parts, shape=(have.shape[0], len(chosen)))


def held(X: sp.csr_array, rows: Array, columns: Array) -> NDArray[np.bool_]:
    """Whether each of columns [rows, k] is stored in that row of X [n, m], by a table of some rows."""
    m, found = X.shape[1], np.empty(columns.shape, bool)
    step = max(1, MOST_MARKS // m)
    marks = np.zeros((min(step, len(rows)), m), bool)
    for first in range(0, len(rows), step):
        part = X[rows[first : first + step]]
        row = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        marks[row, part.indices] = True
        chosen = columns[first : first + step]
        found[first : first + step] = np.take_along_axis(marks[: len(chosen)], chosen, axis=1)
        marks[row, part.indices] = False
    return found


def as_ids(name: str, argument: str, ids: Any, limit: int | None) -> tuple[NDArray[np.int64], bool]:
    """Numbers of rows below a limit as an array, and whether one was given by itself."""
    scalar = isinstance(ids, Integral) and not isinstance(ids, bool)
    given = np.atleast_1d(np.asarray(ids))
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise ValueError(
            f"{name}: {argument} must be an int or a vector of ints; got {shown(ids)}. Pass numbers of rows."
        )
    given = given.astype(np.int64)
    if limit is not None and given.size and (given.min() < 0 or given.max() >= limit):
        bad = given.min() if given.min() < 0 else given.max()
        raise IndexError(
            f"{name}: {argument} must be in [0, {limit}); got {bad}. Pass numbers of rows that were fitted."
        )
    return given, scalar
