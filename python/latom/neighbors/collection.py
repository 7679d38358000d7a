"""A collection of rows, dense or sparse, and searches of it by rows of either kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_numpy
from latom._base.backend import backend
from latom._base.checks import check_integer, is_number, shown
from latom._base.csr import csr_of_parts
from latom._base.device import Place
from latom._base.device_rows import DeviceRows, common_dtype
from latom._base.device_select import DeviceAtoms
from latom._base.finite import check_held
from latom._base.rows import Rows
from latom._base.sparse_tensor import is_sparse_tensor
from latom.neighbors.tree import Tree, tree_pays

METRICS = ("dot", "cosine", "euclidean")
SHORT2 = (
    2.0**-50
)  # squared lengths from which on float32 holds every square that rounding of float64 leaves right


class Collection:
    """Rows that are searched, prepared for queries of each kind when first asked for.

    Parameters
    ----------
    rows : Rows
        What is searched.
    metric : {"dot", "cosine", "euclidean"}
    """

    def __init__(self, rows: Rows, metric: str) -> None:
        self.rows = rows
        self.metric = metric
        self._prepared: dict[tuple[Any, Any], Any] = {}

    def prepare(self, context: Any, sparse_queries: bool, dtype: Any) -> Any:
        """What answers queries of a kind and type, one for all threads."""
        by_terms = self.rows.sparse or sparse_queries
        found = self._prepared.get((by_terms, dtype))
        if found is None:
            rows = self.rows.as_type(context.function, dtype)
            if by_terms:
                found = backend().DocumentSearch(context, rows.core, self.metric)
            else:
                found = backend().AtomIndex(context, rows[:], None, self.metric)
                found.pack(context)
            found = self._prepared.setdefault((by_terms, dtype), found)
        return found

    def topk(
        self,
        context: Any,
        X: Rows,
        k: int,
        threshold: float = -np.inf,
        allowed: NDArray[np.uint8] | None = None,
        without: NDArray[np.int64] | None = None,
        wide: bool = False,
    ) -> tuple[NDArray[Any], NDArray[np.int32], dict[str, int]]:
        """The k best rows of each of X; places without one have index -1 and score minus infinity.

        wide: with scores in float64, whatever the rows are.
        """
        self._check_queries(context, X, allowed)
        k = check_integer(context.function, "k", k, len(self.rows))
        search, queries, by_terms = self._matched(context, X, wide)
        if by_terms:
            values, indices, _, stats = search.topk(
                context, queries.core, k, threshold=threshold, allowed=allowed, without=without
            )
        else:

            def ask(ids: Any, asked: int) -> Any:
                index = search
                if ids is not None:
                    part = np.ascontiguousarray(self.rows[ids], queries.dtype)
                    index = backend().AtomIndex(context, part, None, self.metric)
                rows = len(self.rows) if ids is None else len(ids)
                if not tree_pays(self.metric, rows, len(queries), queries.shape[1], asked):
                    return index.topk(context, queries.core, asked)

                def all_scored(left: NDArray[np.int64]) -> Any:
                    some = Rows(context.function, np.ascontiguousarray(queries[left]))
                    return index.topk(context, some.core, asked)[:2]

                squares = queries.core.norm2(context)
                return self._tree(context, ids).topk(context, queries.numbers, squares, asked, all_scored)

            values, indices, stats = self._dense_topk(ask, queries, k, allowed, without)
            none = values <= threshold
            if threshold > -np.inf:  # else those are scores that float32 does not hold
                values[none], indices[none] = -np.inf, -1
        _check_scores(context.function, values[indices >= 0])
        return values, indices, stats

    def _tree(self, context: Any, ids: NDArray[np.int32] | None) -> Tree:
        """A tree of rows: of all, which is kept, or of some."""
        if ids is not None:
            return Tree(self.rows[ids], self.rows.core.norm2(context)[ids])
        made = self._prepared.get(("tree", None))
        if made is None:
            made = Tree(self.rows.numbers, self.rows.core.norm2(context))
            made = self._prepared.setdefault(("tree", None), made)
        tree: Tree = made
        return tree

    def above(
        self,
        context: Any,
        X: Rows,
        threshold: NDArray[np.float64],
        allowed: NDArray[np.uint8] | None = None,
        without: NDArray[np.int64] | None = None,
        wide: bool = False,
    ) -> Matrix:
        """All rows that score above the threshold of each of X, as CSR. wide: as in :meth:`topk`."""
        self._check_queries(context, X, allowed)
        if threshold.shape not in ((), (1,), (len(X),)):
            raise ValueError(
                f"{context.function}: threshold must be a number or have shape ({len(X)},); got shape "
                f"{threshold.shape}. Pass one number for all rows."
            )
        search, queries, by_terms = self._matched(context, X, wide)
        bars = np.ascontiguousarray(threshold, np.float64).reshape(-1)
        if by_terms:
            indptr, indices, values = search.above(
                context, queries.core, bars, allowed=allowed, without=without
            )
        else:
            found = None
            if tree_pays(self.metric, len(self.rows), len(queries), queries.shape[1], 1):
                squares = queries.core.norm2(context)
                found = self._tree(context, None).above(context, queries.numbers, squares, bars)
            indptr, indices, values = search.above(context, queries.core, bars) if found is None else found
            indptr, indices, values = _kept(indptr, indices, values, allowed, without)
        _check_scores(context.function, values)
        return csr_of_parts(values, indices, indptr, (len(X), len(self.rows)))

    def _check_queries(self, context: Any, X: Rows, allowed: NDArray[np.uint8] | None) -> None:
        self.check_columns(context.function, X)
        if allowed is not None and not allowed.any():
            X.core.norm2(context)  # who asks nobody is told of NaN and infinity, too

    def check_columns(self, function: str, X: Rows | DeviceRows) -> None:
        """Refuse queries of another width."""
        if X.shape[1] != self.rows.shape[1]:
            raise ValueError(
                f"{function}: X must have as many columns as the rows that are searched, "
                f"{self.rows.shape[1]}; got {X.shape[1]}. Pass rows of the same features."
            )

    def nearest(
        self, context: Any, X: Rows, k: int, without: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.int32]]:
        """:meth:`topk` by distances, in the type of the rows."""
        wide = self._short(context, X)
        values, indices, _ = self.topk(context, X, k, without=without, wide=wide)
        return self._distances(X, values), indices

    def within(
        self, context: Any, X: Rows, threshold: NDArray[np.float64], without: NDArray[np.int64] | None = None
    ) -> Any:
        """:meth:`above` with distances as its entries."""
        wide = self._short(context, X)
        matches: Any = self.above(context, X, threshold, without=without, wide=wide)
        matches.data = self._distances(X, matches.data)
        return matches

    def _short(self, context: Any, X: Rows) -> bool:
        """Whether squared distances may be too small for float32, which holds the distances themselves."""
        if self.metric != "euclidean" or not self.rows.dtype == X.dtype == np.float32:
            return False
        own = self._prepared.get(("short", None))
        if own is None:  # asked once: a query of one row should not read the lengths of all
            own = self._prepared.setdefault(("short", None), _any_short(self.rows.core.norm2(context)))
        return bool(own) or _any_short(X.core.norm2(context))

    def _distances(self, X: Rows, values: NDArray[Any]) -> NDArray[Any]:
        """Scores as distances: 1 - cosine, the distance, or minus the product."""
        if self.metric == "euclidean":
            distances: NDArray[Any] = np.sqrt(0 - values)  # not -values, which makes -0 of 0
        elif self.metric == "cosine":
            distances = np.maximum(1 - values, 0)
        else:
            distances = 0 - values
        return distances.astype(np.result_type(self.rows.dtype, X.dtype), copy=False)

    def _matched(self, context: Any, X: Rows, wide: bool) -> tuple[Any, Rows, bool]:
        """What answers, and rows of its type: float32 where neither needs more."""
        dtype = np.float32 if self.rows.dtype == X.dtype == np.float32 and not wide else np.float64
        by_terms = self.rows.sparse or X.sparse
        return self.prepare(context, X.sparse, dtype), X.as_type(context.function, dtype), by_terms

    def topk_on_device(
        self,
        function: str,
        place: Place,
        X: Any,
        k: int,
        allowed: NDArray[np.uint8] | None = None,
        without: NDArray[np.int64] | None = None,
    ) -> tuple[Any, Any]:
        """:meth:`topk` of dense rows on a GPU, in the library of X. The rows that are searched stay there."""
        if self.rows.sparse:
            raise ValueError(
                f"{function}: X must be dense on a GPU; got an index of sparse rows. Leave device out, "
                "with Q on the CPU."
            )
        queries = DeviceRows(function, place, X, "Q", common_dtype(X, self.rows))
        self.check_columns(function, queries)
        k = check_integer(function, "k", k, len(self.rows))
        if allowed is None and without is None:
            values, indices, _ = self._on_device(function, place, queries.dtype).topk(function, queries, k)
            return values, indices

        def ask(ids: Any, asked: int) -> Any:
            if ids is None:
                atoms = self._on_device(function, place, queries.dtype)
            else:
                atoms = DeviceAtoms(function, place, self.rows[ids], self.metric, None, queries.dtype)
            values, indices, stats = atoms.topk(function, queries, asked)
            return place.fetched(values), place.fetched(indices), stats["scored"], stats["overflowed"]

        values, indices, _ = self._dense_topk(ask, queries, k, allowed, without)
        return place.put(values), place.put(indices)

    def _on_device(self, function: str, place: Place, dtype: Any) -> DeviceAtoms:
        key = (place.module, (place.ordinal, dtype))
        made = self._prepared.get(key)
        if made is None:
            made = DeviceAtoms(function, place, self.rows, self.metric, None, dtype, "the rows searched")
            made = self._prepared.setdefault(key, made)
        there: DeviceAtoms = made.at(place)
        return there

    def _dense_topk(
        self,
        ask: Callable[[Any, int], Any],
        queries: Rows | DeviceRows,
        k: int,
        allowed: NDArray[np.uint8] | None,
        without: NDArray[np.int64] | None,
    ) -> tuple[NDArray[Any], NDArray[np.int32], dict[str, int]]:
        """Dense with dense: what may not answer is left out of the rows, or asked for and dropped.

        ask(ids, count) gives the count best of the rows ids (None: all), by their numbers among these.
        """
        ids = None
        if allowed is not None:
            ids = np.flatnonzero(allowed).astype(np.int32)
            if len(ids) == 0:
                shape = (len(queries), k)
                empty = np.full(shape, -np.inf, queries.dtype)
                return empty, np.full(shape, -1, np.int32), {"scored": 0, "overflowed": 0}
        m = len(self.rows) if ids is None else len(ids)
        asked = min(k + (without is not None), m)
        values, indices, scored, overflowed = ask(ids, asked)
        if ids is not None:
            indices = ids[indices]
        if without is not None:
            values, indices = _dropped(values, indices, without)
        values, indices = _padded(values[:, :k], indices[:, :k], k)
        return values, indices, {"scored": scored, "overflowed": overflowed}


def _any_short(squares: NDArray[np.float64]) -> bool:
    return bool(((squares > 0) & (squares < SHORT2)).any())


def _check_scores(function: str, scores: NDArray[Any]) -> None:
    """Refuse scores that float64 holds and float32 does not."""
    what = "X and the rows that are searched"
    check_held(function, what, "scores", scores, remedy="Pass X as float64.")


def _dropped(
    values: NDArray[Any], indices: NDArray[np.int32], without: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """One fewer per row: the one to leave out goes, else the last; where there is none to spare, padding."""
    hit = indices == without[:, None]
    order = np.argsort(hit, axis=1, kind="stable")  # what is left out comes last
    values, indices = np.take_along_axis(values, order, 1), np.take_along_axis(indices, order, 1)
    last = hit.any(axis=1)
    values[last, -1], indices[last, -1] = -np.inf, -1
    return values, indices


def _padded(
    values: NDArray[Any], indices: NDArray[np.int32], k: int
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    more = k - values.shape[1]
    if more > 0:
        values = np.pad(values, ((0, 0), (0, more)), constant_values=-np.inf)
        indices = np.pad(indices, ((0, 0), (0, more)), constant_values=-1)
    return np.ascontiguousarray(values), np.ascontiguousarray(indices)


def _kept(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: NDArray[Any],
    allowed: NDArray[np.uint8] | None,
    without: NDArray[np.int64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
    """Matches without those that may not answer."""
    if allowed is None and without is None:
        return indptr, indices, values
    keep = np.ones(len(indices), bool) if allowed is None else allowed[indices].astype(bool)
    if without is not None:
        keep &= indices != np.repeat(without, np.diff(indptr))
    counts = np.concatenate(([0], np.cumsum(keep)))
    return counts[indptr], indices[keep], values[keep]


def as_allowed(
    function: str,
    allowed: Any,
    n: int,
    name: str = "allowed",
    remedy: str = "Leave it out to search all rows.",
) -> NDArray[np.uint8] | None:
    """A mask of n bytes from a boolean mask or from indices of rows; None stays None."""
    if allowed is None:
        return None
    given = as_numpy(function, allowed, name)
    if given.dtype == bool and given.shape == (n,):
        return given.astype(np.uint8)
    indices = given.ndim == 1 and (given.dtype.kind in "iu" or given.size == 0)
    if indices and (given.size == 0 or (given.min() >= 0 and given.max() < n)):
        mask = np.zeros(n, np.uint8)
        mask[given.astype(np.int64)] = 1
        return mask
    got = shown(allowed)
    if indices:
        got = f"{given[(given < 0) | (given >= n)][0]}"
    elif given.shape == (1,):
        got = shown(given[0].item())
    if given.ndim == 2:
        remedy = "Ask the queries of each filter by a call of their own."
    raise ValueError(
        f"{function}: {name} must be a mask of {n} booleans, or indices in [0, {n}); got {got}. {remedy}"
    )


def as_queries(Q: Any) -> tuple[Any, bool]:
    """Q as it came, or one query, which has one dimension, as a matrix of one row; and whether it was one."""
    if isinstance(Q, (list, tuple)):
        one = bool(Q) and all(map(is_number, Q))
        return ([Q], True) if one else (Q, False)
    if getattr(Q, "ndim", 2) != 1:
        return Q, False
    if is_sparse_tensor(Q):  # torch has no reshape of it
        return Q.unsqueeze(0), True
    return (Q if hasattr(Q, "reshape") else np.asarray(Q)).reshape(1, -1), True


def as_without(function: str, exclude_self: bool, queries: int, n: int) -> NDArray[np.int64] | None:
    """The row that each query leaves out: itself."""
    if not exclude_self:
        return None
    if queries != n:
        raise ValueError(
            f"{function}: exclude_self must be False unless X holds the {n} rows that are searched; got True "
            f"with {queries} rows. Leave it out."
        )
    return np.arange(n, dtype=np.int64)
