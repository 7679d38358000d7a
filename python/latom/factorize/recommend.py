"""Recommendations from factors: the best items of each user, without those that the user has."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.checks import shown
from latom._base.csr import as_csr
from latom._base.rows import Rows

BLOCK_SCORES = 1 << 22  # of a block of users and their candidates


def best_items(
    context: Any, users: NDArray[Any], items: NDArray[Any], N: int, liked: Any = None
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """(ids, scores) [users, N] of the items with the highest products, ties to the lowest id.

    Exact, and without a users x items matrix: of a user who has c items the N + c best are found, among
    which N are others. Where fewer than N are left, ids end in -1 and scores in minus infinity.

    Parameters
    ----------
    users, items : arrays of shape (users, k) and (items, k)
        Of one dtype.
    liked : CSR of shape (users, items), optional
        Items that are left out.
    """
    n, m = len(users), len(items)
    ids = np.full((n, N), -1, np.int32)
    scores = np.full((n, N), -np.inf, users.dtype)
    counts = np.zeros(n, np.int64) if liked is None else np.diff(liked.indptr).astype(np.int64)
    index = backend().AtomIndex(context, np.ascontiguousarray(items), None, "dot", "auto")
    # Users with about as many items share a call, which finds as many for each.
    sizes = np.ceil(np.log2(counts + 1)).astype(np.int64)
    for size in np.unique(sizes):
        group = np.flatnonzero(sizes == size)
        k = int(min(m, N + counts[group].max()))
        step = max(1, BLOCK_SCORES // k)
        for first in range(0, len(group), step):
            part = group[first : first + step]
            rows = Rows(context.function, np.ascontiguousarray(users[part]), "users")
            values, found, _, _ = index.topk(context, rows.core, k)
            taken = np.zeros(found.shape, bool) if liked is None else held(liked[part], found)
            order = np.argsort(taken, axis=1, kind="stable")[:, :N]
            left = ~np.take_along_axis(taken, order, axis=1)
            width = order.shape[1]
            ids[part, :width] = np.where(left, np.take_along_axis(found, order, axis=1), -1)
            scores[part, :width] = np.where(left, np.take_along_axis(values, order, axis=1), -np.inf)
    return ids, scores


def held(X: Any, columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each of columns [n, k] is stored in its row of X [n, m], CSR."""
    rows = np.repeat(np.arange(X.shape[0], dtype=np.int64), np.diff(X.indptr))
    keys = np.sort(rows * X.shape[1] + X.indices)
    asked = np.arange(len(columns), dtype=np.int64)[:, None] * X.shape[1] + columns
    if not len(keys):
        return np.zeros(columns.shape, bool)
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    found: NDArray[np.bool_] = keys[at] == asked
    return found


def as_ids(name: str, argument: str, value: Any, high: int) -> NDArray[np.int64]:
    """Numbers of rows or columns [count] in [0, high)."""
    given = np.asarray(value)
    if given.dtype.kind not in "iu" or given.ndim > 1:
        raise ValueError(
            f"{name}: {argument} must be an integer or a vector of integers; got {shown(value)}. "
            "Pass numbers of rows."
        )
    ids = np.atleast_1d(given).astype(np.int64)
    if len(ids) and (ids.min() < 0 or ids.max() >= high):
        bad = int(ids.min() if ids.min() < 0 else ids.max())
        raise ValueError(
            f"{name}: {argument} must lie in [0, {high}); got {bad}. Pass numbers of rows that were fitted."
        )
    return ids


def as_liked(name: str, user_items: Any, n: int, m: int) -> Any:
    """The items that users have, as CSR of shape (n, m)."""
    if not sp.issparse(user_items):
        raise TypeError(
            f"{name}: user_items must be a sparse matrix with a row for each user; got {shown(user_items)}. "
            "Pass X[users], or filter_already_liked_items=False."
        )
    if user_items.shape != (n, m):
        raise ValueError(
            f"{name}: user_items must have shape ({n}, {m}); got {user_items.shape}. "
            "Pass the rows of the users asked for: X[users]."
        )
    liked = as_csr(name, user_items, "user_items")
    return Rows(name, liked, "user_items").array
