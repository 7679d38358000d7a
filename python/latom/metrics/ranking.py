"""Recall and NDCG of recommendations against what was held out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import as_rows
from latom._base.backend import call
from latom._base.checks import check_choice, check_flag, check_integer, shown
from latom._base.rows import Rows

GAINS = ("binary", "linear", "exponential")


def recall(
    recommended: Any, held_out: Any, N: int | None = None, *, capped: bool = False, average: bool = True
) -> Any:
    """The share of what was held out that is among the first N recommendations.

    Parameters
    ----------
    recommended : int array of shape (n, >= N)
        Columns of held_out, best first, as :meth:`latom.PointwiseFactorization.recommend` gives them. -1
        stands for none and counts as a miss.
    held_out : sparse matrix or dense array of shape (n, m)
        Stored entries above 0 are what was held out; a row for each row of recommended.
    N : int, optional
        Columns of recommended that count. None: all.
    capped : bool, default False
        Divide by min(N, entries held out), so that 1 can be reached in every row.
    average : bool, default True
        Return the mean over rows that have something held out; else the values, NaN for other rows.

    Returns
    -------
    recall : float, or float64 array of shape (n,)
        NaN where no row has anything held out.

    Raises
    ------
    ValueError
        If shapes disagree, N is out of range, recommended has a column outside [-1, m) or one twice in a
        row, or held_out has negative entries or NaN.
    TypeError
        If recommended does not hold integers.

    Notes
    -----
    Exact; a sort of the entries held out and n N binary searches.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.metrics import recall
    >>> recall(np.array([[2, 0]]), np.array([[1, 1, 0, 1]]))
    0.3333333333333333
    """
    gains, kept, entries, _ = _hits("recall", recommended, held_out, N)
    found = (gains > 0).sum(axis=1)
    possible = np.minimum(entries, kept) if check_flag("recall", "capped", capped) else entries
    return _averaged("recall", found, possible, average)


def ndcg(
    recommended: Any, held_out: Any, N: int | None = None, *, gain: str = "binary", average: bool = True
) -> Any:
    """Normalized discounted cumulative gain of the first N recommendations.

    The gains of what was held out, each divided by log2(1 + rank), over the largest sum that any N items
    could have (Jarvelin & Kekalainen 2002).

    Parameters
    ----------
    recommended, held_out, N, average
        As in :func:`recall`.
    gain : {"binary", "linear", "exponential"}
        Of an entry of value v: 1, v, or 2^v - 1.

    Returns
    -------
    ndcg : float, or float64 array of shape (n,)
        NaN where no row has anything held out.

    Raises
    ------
    ValueError, TypeError
        As in :func:`recall`.

    Examples
    --------
    >>> import numpy as np
    >>> from latom.metrics import ndcg
    >>> round(ndcg(np.array([[2, 0]]), np.array([[1, 1, 0, 1]])), 4)
    0.3869
    """
    check_choice("ndcg", "gain", gain, GAINS)
    values, kept, entries, X = _hits("ndcg", recommended, held_out, N)
    discount = 1 / np.log2(np.arange(2, kept + 2))
    found = _gain(values, gain) @ discount
    rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    gains = _gain(X.data.astype(np.float64), gain)
    order = np.lexsort((-gains, rows))  # rows as they were, the highest gain first
    rank = np.arange(len(rows)) - X.indptr[rows]
    counted = rank < kept
    ideal = np.zeros(X.shape[0])
    np.add.at(ideal, rows[counted], gains[order][counted] * discount[rank[counted]])
    ideal[entries == 0] = 0
    return _averaged("ndcg", found, ideal, average)


def _gain(values: NDArray[np.float64], gain: str) -> NDArray[np.float64]:
    if gain == "binary":
        return (values > 0).astype(np.float64)
    return values if gain == "linear" else np.exp2(values) - 1


def _averaged(function: str, found: NDArray[Any], possible: NDArray[Any], average: bool) -> Any:
    values = np.full(len(found), np.nan)
    np.divide(found, possible, out=values, where=possible > 0)
    if not check_flag(function, "average", average):
        return values
    return float(np.nanmean(values)) if (possible > 0).any() else np.nan


def _hits(
    function: str, recommended: Any, held_out: Any, N: int | None
) -> tuple[NDArray[np.float64], int, NDArray[np.int64], Any]:
    """(values held out at the recommended columns [n, N], N, entries per row, held_out as CSR)."""
    import scipy.sparse as sp

    rows = Rows(function, as_rows(function, held_out, "held_out"), "held_out")
    rows.core.zero_rows(call(function))  # measures, and so refuses NaN
    X = sp.csr_array(rows.array)
    ids = np.asarray(recommended)
    if ids.dtype.kind not in "iu":
        raise TypeError(
            f"{function}: recommended must hold integers; got {shown(recommended)}. "
            "Pass columns of held_out, best first."
        )
    if ids.ndim != 2 or len(ids) != X.shape[0] or ids.shape[1] < 1:
        raise ValueError(
            f"{function}: recommended must have a row for each of the {X.shape[0]} rows of held_out; "
            f"got shape {ids.shape}. Pass held_out of the users who were recommended to."
        )
    kept = ids.shape[1] if N is None else check_integer(function, "N", N, ids.shape[1])
    ids = ids[:, :kept].astype(np.int64)
    if ids.size and (ids.min() < -1 or ids.max() >= X.shape[1]):
        bad = ids.min() if ids.min() < -1 else ids.max()
        raise ValueError(
            f"{function}: recommended must lie in [-1, {X.shape[1]}); got {bad}. Use -1 for no item."
        )
    ordered = np.sort(ids, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row = int(np.flatnonzero(twice.any(axis=1))[0])
        raise ValueError(
            f"{function}: recommended must not name an item twice; got one in row {row}. Keep the first."
        )
    if len(X.data) and X.data.min() < 0:
        raise ValueError(
            f"{function}: held_out must not be negative; got {X.data.min()}. Leave such entries out."
        )
    X = X.copy()
    X.eliminate_zeros()
    return _values_at(X, ids), kept, np.diff(X.indptr).astype(np.int64), X


def _values_at(X: Any, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """The entries of X, whose columns rise, at columns [n, N]; 0 where there is none."""
    if not len(X.data):
        return np.zeros(ids.shape)
    m = X.shape[1]
    rows = np.repeat(np.arange(X.shape[0], dtype=np.int64), np.diff(X.indptr))
    keys = rows * m + X.indices
    asked = np.arange(len(ids), dtype=np.int64)[:, None] * m + ids
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    found: NDArray[np.float64] = np.where((keys[at] == asked) & (ids >= 0), X.data[at], 0.0)
    return found
