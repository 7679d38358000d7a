"""Factors that are packed once for many searches: the best items of each user, without those that it has.

An item that a user has may be among the best, so a user with h of them is asked for N + h and keeps the first
N of the others: exact, and no users x items matrix is made. Users are taken together by the size of h, in
powers of 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.rows import Rows
from latom.factorize.recommend import held

Array = NDArray[Any]

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
        self._index = backend().AtomIndex(context, factors, None, metric)

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
        counts = np.diff(have.indptr)
        sizes = np.where(counts > 0, np.int64(1) << np.ceil(np.log2(np.maximum(counts, 1))).astype(int), 0)
        for size in np.unique(sizes):
            users = np.flatnonzero(sizes == size)
            for part in np.array_split(users, max(1, len(users) * int(N + size) // 4_000_000)):
                found, score = self.topk(context, np.ascontiguousarray(queries[part]), min(m, N + int(size)))
                taken = held(have[part], found)
                order = np.argsort(taken, axis=1, kind="stable")[:, :N]
                left = ~np.take_along_axis(taken, order, axis=1)
                width = order.shape[1]
                ids[part, :width] = np.where(left, np.take_along_axis(found, order, axis=1), NOTHING)
                scores[part, :width] = np.where(left, np.take_along_axis(score, order, axis=1), -np.inf)
        return ids, scores


def positions(chosen: Array, have: sp.csr_array) -> sp.csr_array:
    """The columns `chosen`, which rise, of have, renumbered from 0."""
    entries = sp.coo_array(have)
    at = np.minimum(np.searchsorted(chosen, entries.col), len(chosen) - 1)
    stay = chosen[at] == entries.col
    parts = (np.ones(int(stay.sum()), np.int8), (entries.row[stay], at[stay]))
    return sp.csr_array(parts, shape=(have.shape[0], len(chosen)))
