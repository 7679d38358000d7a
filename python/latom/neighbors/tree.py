"""Nearest rows of few columns: a k-d tree leaves out what cannot be among them, float64 scores decide.

scipy's tree rounds distances in its own way. What decides is the score ``<x, w> - |w|^2 / 2`` of the core,
its sums in their order, ties to the lowest row; the tree is only trusted to leave out rows that are farther
away than rounding explains. With D the distance of x and w, d <= 4 columns and u = 2^-53,

    |score - (|x|^2 - D^2) / 2| <= (d + 2) u (|x| |w| + |w|^2 / 2) <= g (|x|^2 + D^2)        g = 2^-48

since |w| <= |x| + D. Let k rows lie within r. Each scores at least (|x|^2 - r^2) / 2 - g (|x|^2 + r^2), and a
row beyond R scores less where

    R^2 (1 - 2 g) > r^2 (1 + 2 g) + 4 g |x|^2

so that the k best are within R = sqrt(r^2 + 2^-45 |x|^2) (1 + 2^-36), whose second factor is also more than
all that the tree rounds: its distances, and those to boxes, which it sums along a path from the root. Where
the tree's next row lies beyond R, the rows that it gave are enough. Else a ball of radius R has them all; and
where even that has many, as among equal rows, all rows are scored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend

Found = tuple[NDArray[Any], NDArray[np.int32]]

MOST_COLUMNS = 4  # which the bound above counts
LEAST_ROWS, LEAST_QUERIES = 4096, 256  # below these a product with all rows is faster
STEP = 8192  # queries of a block: scipy hears no Ctrl-C
SPARE = 1  # rows beyond the k that are asked for
MOST_IN_BALL = 1024  # rows, beside eight for each of the k


def tree_pays(metric: str, rows: int, queries: int, d: int, k: int) -> bool:
    """Whether a tree of so many rows is the way for so many queries, by measurement."""
    few = metric == "euclidean" and d <= MOST_COLUMNS and k <= rows // 64
    return few and rows >= LEAST_ROWS and queries >= LEAST_QUERIES


class Tree:
    """Rows in a k-d tree.

    Parameters
    ----------
    rows : dense array of shape (m, d)
    squares : float64 array of shape (m,)
        Their squared lengths, as the core measures them.
    """

    def __init__(self, rows: NDArray[Any], squares: NDArray[np.float64]) -> None:
        from scipy.spatial import cKDTree

        self._rows = np.ascontiguousarray(rows, np.float64)
        self._half = 0.5 * squares
        # Halves of boxes, not of rows: equal rows would make halves of rows slow.
        self._tree = cKDTree(self._rows, balanced_tree=False)

    def topk(
        self,
        context: Any,
        X: NDArray[Any],
        squares: NDArray[np.float64],
        k: int,
        all_scored: Callable[[NDArray[np.int64]], Found],
    ) -> tuple[NDArray[Any], NDArray[np.int32], int, int]:
        """The k best rows of each of X: (values, indices, scores in float64, rows that met all others).

        Parameters
        ----------
        context : Context
        X : dense array of shape (n, d)
        squares : float64 array of shape (n,)
            Squared lengths of X.
        k : int
        all_scored : callable
            Values and indices for those rows of X that the tree is no help for, by their numbers.
        """
        n = len(X)
        values, indices = np.empty((n, k), X.dtype), np.empty((n, k), np.int32)
        left: list[NDArray[np.int64]] = []
        scored = 0
        for first in range(0, n, STEP):
            part = slice(first, first + STEP)
            x = np.ascontiguousarray(X[part], np.float64)
            count, rest = self._block(context, x, squares[part], values[part], indices[part])
            scored += count
            left.append(rest + first)
        alone = np.concatenate(left) if left else np.zeros(0, np.int64)
        if len(alone):
            values[alone], indices[alone] = all_scored(alone)
        return values, indices, scored, len(alone)

    def _block(
        self,
        context: Any,
        x: NDArray[np.float64],
        squares: NDArray[np.float64],
        values: NDArray[Any],
        indices: NDArray[np.int32],
    ) -> tuple[int, NDArray[np.int64]]:
        """Answers rows x as far as the tree can; returns the scores it took, and the rows left."""
        k, workers = values.shape[1], backend().resolve_threads(context.n_threads)
        room = min(k + SPARE, len(self._rows))
        near, who = self._tree.query(x, np.arange(1, room + 1), workers=workers)
        radius = _beyond(near[:, k - 1] ** 2, squares)
        sure = (near[:, -1] > radius) | (room == len(self._rows))
        enough = np.flatnonzero(sure)
        lengths = np.full(len(enough), room)
        scored = self._decide(context, x, squares, enough, lengths, who[enough].ravel(), values, indices)
        rest = np.flatnonzero(~sure)
        if not len(rest):
            return scored, rest
        counts = self._tree.query_ball_point(x[rest], radius[rest], workers=workers, return_length=True)
        many = counts > MOST_IN_BALL + 8 * k
        some = rest[~many]
        if len(some):
            ball = self._balls(x[some], radius[some], workers)
            scored += self._decide(context, x, squares, some, *ball, values, indices)
        return scored, rest[many]

    def _decide(
        self,
        context: Any,
        x: NDArray[np.float64],
        squares: NDArray[np.float64],
        which: NDArray[np.int64],
        lengths: NDArray[np.int64],
        candidates: NDArray[np.int64],
        values: NDArray[Any],
        indices: NDArray[np.int32],
    ) -> int:
        """Writes the best candidates of the rows `which`, of which each has so many, one after the other."""
        if not len(which):
            return 0
        start, scores = self._scores(context, x[which], lengths, candidates)
        best = start[:-1, None] + np.arange(values.shape[1])
        row = np.repeat(np.arange(len(which)), lengths)
        # The tree's order is mostly that of the scores.
        falls = (scores[1:] < scores[:-1]) | (row[1:] != row[:-1])
        mixed = np.zeros(len(which), bool)
        mixed[row[1:][~falls]] = True
        if mixed.any():
            some = np.flatnonzero(mixed[row])
            order = np.arange(len(scores))
            order[some] = some[np.lexsort((candidates[some], -scores[some], row[some]))]
            best = order[best]
        indices[which] = candidates[best]
        with np.errstate(over="ignore"):  # of scores that are refused by who asked
            values[which] = np.minimum(0.0, 2 * scores[best] - squares[which, None])
        return len(candidates)

    def above(
        self, context: Any, X: NDArray[Any], squares: NDArray[np.float64], bars: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]] | None:
        """All rows that score above a bar, one or one per row of X, as parts of CSR.

        None where that is so large a share of all that the tree is no help.
        """
        n, workers = len(X), backend().resolve_threads(context.n_threads)
        bars = np.broadcast_to(bars, n)
        if np.isnan(bars).any():  # which the core refuses
            return None
        radius = _beyond(np.maximum(-bars, 0), squares)
        counts = np.zeros(n, np.int64)
        for first in range(0, n, STEP):
            part = slice(first, first + STEP)
            x = np.ascontiguousarray(X[part], np.float64)
            counts[part] = self._tree.query_ball_point(x, radius[part], workers=workers, return_length=True)
            if counts.sum() > n * len(self._rows) // 64:
                return None
        lengths = np.zeros(n, np.int64)
        indices, values = [np.zeros(0, np.int32)], [np.zeros(0, X.dtype)]
        ends = np.cumsum(counts)
        first = 0
        while first < n:
            room = ends[first] + STEP * MOST_IN_BALL // 8
            part = slice(first, min(max(int(np.searchsorted(ends, room)), first + 1), first + STEP))
            x = np.ascontiguousarray(X[part], np.float64)
            sizes, candidates = self._balls(x, radius[part], workers)
            _, scores = self._scores(context, x, sizes, candidates)
            row = np.repeat(np.arange(len(x)), sizes)
            score = np.minimum(0.0, 2 * scores - squares[part][row])
            kept = score > bars[part][row]
            lengths[part] = np.bincount(row[kept], minlength=len(x))
            indices.append(candidates[kept].astype(np.int32))
            with np.errstate(over="ignore"):  # as above
                values.append(score[kept].astype(X.dtype))
            first = part.stop
        start = np.concatenate(([0], np.cumsum(lengths)))
        return start, np.concatenate(indices), np.concatenate(values)

    def _balls(
        self, x: NDArray[np.float64], radius: NDArray[np.float64], workers: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows within each radius, rising: how many, and which, one after the other."""
        balls = self._tree.query_ball_point(x, radius, workers=workers, return_sorted=True)
        found = [np.asarray(ball, np.int64) for ball in balls]
        return np.array([len(ball) for ball in found], np.int64), np.concatenate(found)

    def _scores(
        self,
        context: Any,
        x: NDArray[np.float64],
        lengths: NDArray[np.int64],
        candidates: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Where the candidates of each row of x start, and what they score."""
        start = np.concatenate(([0], np.cumsum(lengths)))
        codes = (start, candidates.astype(np.int32), np.ones(len(candidates)))
        products = backend().products_at(context, codes, np.ascontiguousarray(x), self._rows)
        return start, products - self._half[candidates]


def _beyond(square: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The radius R of the proof, for r^2 and |x|^2; its last term covers what underflows."""
    radius: NDArray[np.float64] = np.sqrt(square + 2.0**-45 * squares) * (1 + 2.0**-36) + 1e-140
    return radius
