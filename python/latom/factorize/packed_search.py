"""Factors that are packed once for many searches: the best items of each user, without those that it has.

The core's screen leaves out what a user has before it raises a threshold, so the search is for N items
however many the user has, and no users x items matrix is made.
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
        rows = Rows(context.function, queries, "factors")
        have = have if have.has_sorted_indices else have.sorted_indices()
        indptr, indices = have.indptr.astype(np.int64), have.indices.astype(np.int32)
        scores, ids = self._index.topk_without(context, rows.core, N, indptr, indices)
        return ids, scores


def positions(chosen: Array, have: sp.csr_array) -> sp.csr_array:
    """The columns `chosen`, which rise, of have, renumbered from 0."""
    entries = sp.coo_array(have)
    at = np.minimum(np.searchsorted(chosen, entries.col), len(chosen) - 1)
    stay = chosen[at] == entries.col
    parts = (np.ones(int(stay.sum()), np.int8), (entries.row[stay], at[stay]))
    return sp.csr_array(parts, shape=(have.shape[0], len(chosen)))


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
