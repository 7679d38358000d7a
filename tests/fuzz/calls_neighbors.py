"""Neighbors: sparse and dense collections, their indexes and scikit-learn's methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import inputs
import numpy as np
from call import EPS, Call, near, one_metric, scale, scores, two_rows
from fuzzing import check, pick

import latom


def _allowed(rng: np.random.Generator, m: int) -> Any:
    """None, a mask or ids."""
    mask = rng.random(m) < 0.7
    return pick(rng, [None, None, mask, np.flatnonzero(mask)])


def _may_answer(n: int, m: int, allowed: Any, exclude_self: bool) -> np.ndarray:
    may = np.ones((n, m), bool)
    if allowed is not None:
        mask = np.zeros(m, bool)
        mask[allowed] = True
        may &= mask
    if exclude_self:
        may &= ~np.eye(n, m, dtype=bool)
    return may


def _check_found(found: Any, X: np.ndarray, W: np.ndarray, k: int, metric: str, may: np.ndarray) -> None:
    values, indices = found
    check(values.shape == indices.shape == (len(X), k) and indices.dtype == np.int32, "shapes or dtypes")
    unit = scale(X, W) if metric == "euclidean" else 1.0
    S = np.where(may, scores(X / unit, W / unit, metric), -np.inf)
    have = indices >= 0
    check((have.sum(axis=1) == np.minimum(may.sum(axis=1), k)).all(), "places without a row")
    check((values[~have] == -np.inf).all() and (indices[~have] == -1).all(), "how places are filled")
    check((indices < len(W)).all() and (have[:, :-1] >= have[:, 1:]).all(), "indices")
    check(all(len(set(i[j].tolist())) == j.sum() for i, j in zip(indices, have, strict=True)), "twice")
    size = np.abs(X) @ np.abs(W).T if metric == "dot" else np.full(S.shape, 4.0)
    slack = 1e-13 * max(1, X.shape[1]) * size.max(axis=1, keepdims=True)
    best = -np.sort(-S, axis=1)[:, :k]
    here = np.take_along_axis(S, np.where(have, indices, 0).astype(np.int64), axis=1)
    got = np.where(have, values, 0).astype(np.float64) / unit**2
    step = EPS[values.itemsize] * np.abs(np.where(have, best, 0)) + 1e-45 / unit**2
    near(got, np.where(have, best, 0), slack + step, "values")
    near(got, np.where(have, here, 0), slack + step, "score of an index")


def index_search(rng: np.random.Generator) -> Call:
    """An index that is built, added to, taken from and asked; beside ``topk`` of the rows that are left."""
    sparse = bool(rng.random() < 0.6)
    X, W = two_rows(rng, square=rng.random() < 0.3, sparse=sparse)
    n, m = len(X.exact), len(W.exact)
    without = np.flatnonzero(rng.random(m) < 0.2)
    metric, k = one_metric(rng, "dot"), int(rng.integers(1, m + 1))
    allowed = _allowed(rng, m)
    itself = n == m and bool(rng.random() < 0.5)

    def function(X: Any, atoms: Any, metric: str, k: int, n_threads: int) -> Any:
        cls = latom.SparseIndex if sparse else latom.DenseIndex
        index = cls(atoms, metric=metric, n_threads=n_threads)
        index.remove(without)
        values, indices = index.search(X, k, allowed=allowed, exclude_self=itself)
        return np.where(indices < 0, 0, values), indices

    def verify(result: Any) -> None:
        may = _may_answer(n, m, allowed, itself)
        may[:, without] = False
        values, indices = result
        _check_found((np.where(indices < 0, -np.inf, values), indices), X.exact, W.exact, k, metric, may)

    arguments = {"X": X.X, "atoms": W.X, "metric": metric, "k": k}
    return Call(function, arguments, verify, [X, W], X.sane and W.sane)


def sparse_topk(rng: np.random.Generator) -> Call:
    """``topk`` where X or atoms or both are sparse, or where not every atom may answer."""
    X, W = two_rows(rng, square=rng.random() < 0.3)
    n, m = len(X.exact), len(W.exact)
    metric, k = one_metric(rng, "dot"), int(rng.integers(1, m + 1))
    allowed, itself = _allowed(rng, m), n == m and bool(rng.random() < 0.5)
    plain = not (X.sparse or W.sparse or itself) and allowed is None

    def function(**options: Any) -> Any:
        values, indices = latom.topk(**options)
        return np.where(indices < 0, 0, values), indices

    def verify(result: Any) -> None:
        values, indices = result
        may = _may_answer(n, m, allowed, itself)
        _check_found((np.where(indices < 0, -np.inf, values), indices), X.exact, W.exact, k, metric, may)

    arguments = {"X": X.X, "atoms": W.X, "k": k, "metric": metric}
    if not plain:
        arguments |= {"allowed": allowed, "exclude_self": itself}
    return Call(function, arguments, verify, [X, W], X.sane and W.sane)


def nearest_neighbors(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng))
    n = len(X.exact)
    metric = one_metric(rng)
    k = int(rng.integers(1, n + 1))

    def function(X: Any, n_neighbors: int, **options: Any) -> Any:
        model = latom.NearestNeighbors(n_neighbors=n_neighbors, **options).fit(X)
        return (*model.kneighbors(X), model.kneighbors_graph(X, mode="distance"))

    def verify(result: Any) -> None:
        distances, indices, graph = result
        check(distances.shape == indices.shape == (n, k) and graph.shape == (n, n), "shapes")
        check((np.diff(graph.indptr) == k).all() and (distances >= 0).all(), "graph")
        unit = scale(X.exact) if metric == "euclidean" else 1.0
        S = scores(X.exact / unit, X.exact / unit, metric)
        want = np.sort(1 - S if metric == "cosine" else -S, axis=1)[:, :k]
        got = distances.astype(np.float64) / unit
        step = 4 * EPS[distances.itemsize] * np.abs(got) + 1e-44 / unit
        if metric == "euclidean":
            got, step = got**2, 2 * got * step + step**2
        elif metric == "cosine":
            step = step + EPS[distances.itemsize]
        near(got, want, 1e-12 * X.exact.shape[1] + step + 2e-45 / unit**2, "distances")

    arguments = {"X": X.X, "n_neighbors": k, "metric": metric}
    return Call(function, arguments, verify, [X], X.sane, estimator=True)


def index_above(rng: np.random.Generator) -> Call:
    """All that score above thresholds, of an index whose rows came in two parts."""
    sparse = bool(rng.random() < 0.6)
    X, W = two_rows(rng, sparse=sparse)
    n, m = len(X.exact), len(W.exact)
    metric, allowed = one_metric(rng, "dot"), _allowed(rng, m)
    unit = np.float64(scale(X.exact, W.exact) if metric == "euclidean" else 1.0)
    with np.errstate(all="ignore"):
        S = scores(X.exact / unit, W.exact / unit, metric) * unit**2
        bars = np.nan_to_num(np.quantile(S, rng.random(), axis=1), posinf=0, neginf=0)
    bars = pick(rng, [bars, float(bars[0]), 0.0])

    def function(X: Any, atoms: Any, metric: str, threshold: Any, n_threads: int) -> Any:
        cls = latom.SparseIndex if sparse else latom.DenseIndex
        index = cls(atoms, metric=metric, n_threads=n_threads)
        index.add(atoms)
        index.remove(np.arange(m, 2 * m))
        mask = None if allowed is None else np.flatnonzero(allowed) if allowed.dtype == bool else allowed
        return index.above(X, threshold, allowed=mask)

    def verify(found: Any) -> None:
        check(found.shape == (n, 2 * m) and found.has_sorted_indices, "shape or order")
        check((found.indices < m).all(), "a row that was removed")
        may = _may_answer(n, m, allowed, False)
        got = np.zeros((n, m), bool)
        got[np.repeat(np.arange(n), np.diff(found.indptr)), found.indices] = True
        size = np.abs(X.exact) @ np.abs(W.exact).T if metric == "dot" else np.full(S.shape, 4.0) * unit**2
        level = np.broadcast_to(np.reshape(bars, (-1, 1)), S.shape)
        clear = np.abs(S - level) > 1e-12 * X.exact.shape[1] * size
        check((got == ((level < S) & may))[clear].all() and not got[~may].any(), "matches")

    arguments = {"X": X.X, "atoms": W.X, "metric": metric, "threshold": bars}
    return Call(function, arguments, verify, [X, W], X.sane and W.sane)


def transformer(rng: np.random.Generator) -> Call:
    X = inputs.rows(rng, inputs.sizes(rng))
    n = len(X.exact)
    mode = pick(rng, ["distance", "connectivity"])
    k = int(rng.integers(1, max(n, 2)))
    more = min(k + (mode == "distance"), n)

    def function(X: Any, **options: Any) -> Any:
        return latom.KNeighborsTransformer(**options).fit(X).transform(X)

    def verify(graph: Any) -> None:
        check(graph.shape == (n, n) and (np.diff(graph.indptr) == more).all(), "shape")
        check((graph.data == 1).all() if mode == "connectivity" else (graph.data >= 0).all(), "edges")

    arguments = {"X": X.X, "n_neighbors": k, "mode": mode, "metric": one_metric(rng)}
    return Call(function, arguments, verify, [X], X.sane and n > k, estimator=True)


def match_anchors(rng: np.random.Generator) -> Call:
    n, d = inputs.sizes(rng)
    A = inputs.rows(rng, (n, d), sparse=False)
    B = inputs.rows(rng, (n, int(rng.integers(1, 20))), sparse=False)
    count = int(rng.integers(1, n + 1))
    seeds = np.stack([rng.permutation(n)[:count], rng.permutation(n)[:count]], axis=1)
    wanted = int(rng.integers(count, n + 2))

    def verify(pairs: Any) -> None:
        check(pairs.dtype == np.int64 and count <= len(pairs) <= max(wanted, count), "pairs")
        check(np.array_equal(pairs[:count], seeds), "seeds")
        check(all(len(set(column.tolist())) == len(pairs) for column in pairs.T), "a row in two pairs")

    arguments = {"A": A.X, "B": B.X, "seeds": seeds, "n_anchors": wanted, "max_iter": int(rng.integers(1, 5))}
    return Call(latom.match_anchors, arguments, verify, [A, B], A.sane and B.sane)


CALLS: dict[str, Callable[[np.random.Generator], Call]] = {
    "search": index_search,
    "sparse_topk": sparse_topk,
    "above_index": index_above,
    "NearestNeighbors": nearest_neighbors,
    "KNeighborsTransformer": transformer,
    "match_anchors": match_anchors,
}
