"""Rows of few columns by a tree: every bit is that of the search that scores all rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

import latom
from latom._base.backend import backend, call
from latom._base.rows import Rows
from latom.neighbors import NearestNeighbors, kneighbors_graph
from latom.neighbors.collection import Collection
from latom.neighbors.tree import LEAST_QUERIES, LEAST_ROWS, MOST_IN_BALL, STEP, tree_pays

N = LEAST_ROWS + 3
KINDS = (
    "even",
    "lattice",
    "far from the origin",
    "near ties",
    "clusters and an outlier",
    "tiny",
    "huge",
    "a line",
)


def rows_of(kind, d, rng):
    X = rng.random((N, d))
    if kind == "lattice":  # ties everywhere, and rows that are equal
        X = rng.integers(0, 12 if d > 1 else 2000, (N, d)).astype(np.float64)
    elif kind == "far from the origin":  # squared distances are no larger than what scores are rounded by
        X = 0.01 * X + 3e4
    elif kind == "near ties":  # a few places, and each number a step up or down
        X = np.nextafter(X[rng.integers(0, 400, N)], rng.choice([-9.0, 9.0], (N, d)))
    elif kind == "clusters and an outlier":
        X = X * 1e-6 + rng.integers(0, 3, (N, 1))
        X[17] = 1e9
    elif kind == "tiny":
        X = X * 1e-139
    elif kind == "huge":
        X = X * 1e140
    elif kind == "a line":
        X = X[:, :1] * np.ones(d)
    return X


def scored_all(X, Q, k):
    """The answer without a tree."""
    index = backend().AtomIndex(call("test", 1), X, None, "euclidean")
    return index.topk(call("test", 1), Rows("test", Q).core, k)[:2]


def by_tree(X, Q, k, threads=2):
    assert tree_pays("euclidean", len(X), len(Q), X.shape[1], k)
    return Collection(Rows("test", X), "euclidean").topk(call("test", threads), Rows("test", Q), k)


@pytest.mark.parametrize(("d", "dtype"), [(1, np.float64), (3, np.float32), (3, np.float64), (4, np.float64)])
@pytest.mark.parametrize("kind", KINDS)
def test_bits_are_those_of_all_scores(kind, dtype, d, rng):
    X = rows_of(kind, d, rng)
    if dtype == np.float32:
        if kind in ("tiny", "huge"):
            X = X / np.abs(X).max()
        X = X.astype(dtype)
    Q = X[:LEAST_QUERIES] + (0 if kind != "even" else dtype(1e-3))
    for k in (1, 15):
        values, indices, stats = by_tree(X, Q, k)
        wanted, at = scored_all(X, Q, k)
        assert (indices == at).all()
        assert (values == wanted).all()
        assert values.dtype == dtype
        if kind == "even":
            assert stats["scored"] < 1.1 * (k + 1) * len(Q)
            assert stats["overflowed"] == 0


def test_equal_rows_are_scored_without_the_tree(rng):
    X = np.vstack([np.ones((2 * MOST_IN_BALL, 3)), rng.random((LEAST_ROWS, 3)) + 5])
    values, indices, stats = by_tree(X, X, 4)
    assert stats["overflowed"] == 2 * MOST_IN_BALL
    assert (indices[: 2 * MOST_IN_BALL] == np.arange(4)).all()
    wanted, at = scored_all(X, X, 4)
    assert (indices == at).all()
    assert (values == wanted).all()


@pytest.mark.parametrize("d", [2, 3, 4])
def test_rows_around_the_origin_that_differ_by_order_and_sign(d, rng):
    """The tree and the scores round equal lengths apart, each in its way."""
    X = rng.permuted(rng.random((9, d))[rng.integers(0, 9, N)], axis=1) * rng.choice([-1, 1], (N, d))
    Q = 1e-13 * rng.standard_normal((LEAST_QUERIES, d)) * (np.arange(LEAST_QUERIES)[:, None] % 3)
    for k in (1, 15):
        values, indices, _ = by_tree(X, Q, k)
        wanted, at = scored_all(X, Q, k)
        assert (indices == at).all()
        assert (values == wanted).all()


def test_queries_of_several_blocks(rng):
    """Those that the tree leaves, and bars and lengths by row, stand in later blocks."""
    n = STEP + 300
    some = np.r_[:40, STEP - 40 : n]
    X = np.vstack([np.full((MOST_IN_BALL + 20, 2), 7.0), rng.integers(0, 90, (LEAST_ROWS, 2)) / 8])
    Q = rng.integers(0, 90, (n, 2)) / 8
    Q[-30:] = 7
    distances = ((Q[some, None] - X[None]) ** 2).sum(axis=2)
    values, indices, stats = by_tree(X, Q, 1)
    assert stats["overflowed"] >= 30
    assert (indices[some, 0] == distances.argmin(axis=1)).all()
    assert (values[some, 0] == -distances.min(axis=1)).all()
    Q[-30:] = 0
    distances[-30:] = (X**2).sum(axis=1)
    bars = -rng.integers(0, 4, n) / 16
    found = Collection(Rows("test", X), "euclidean").above(call("test", 2), Rows("test", Q), bars)
    assert (found[some].indices == np.nonzero(-distances > bars[some, None])[1]).all()


@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float32)])
def test_queries_and_rows_of_unequal_types(dtypes, rng):
    X, Q = rng.random((N, 3)).astype(dtypes[0]), rng.random((LEAST_QUERIES, 3)).astype(dtypes[1])
    values, indices, _ = by_tree(X, Q, 9)
    wanted, at = scored_all(X.astype(np.float64), Q.astype(np.float64), 9)
    assert values.dtype == np.float64
    assert (indices == at).all()
    assert (values == wanted).all()


def test_trees_of_some_rows(rng):
    """A filter that leaves enough of them for a tree, and queries that leave out themselves."""
    n, k = 6000, 9
    X = rng.integers(0, 60, (n, 2)).astype(np.float64)
    allowed = rng.random(n) < 0.8
    assert tree_pays("euclidean", allowed.sum(), n, 2, k + 1)
    table = -((X[:300, None] - X[None]) ** 2).sum(axis=2)
    table[:, ~allowed] = -np.inf
    for itself in (False, True):
        if itself:
            table[np.arange(300), np.arange(300)] = -np.inf
        values, indices = latom.topk(X, X, k, metric="euclidean", allowed=allowed, exclude_self=itself)
        order = np.argsort(-table, axis=1, kind="stable")[:, :k]
        assert (indices[:300] == order).all()
        assert (values[:300] == np.take_along_axis(table, order, 1)).all()
        found = latom.above(X, X, -2.0, metric="euclidean", allowed=allowed, exclude_self=itself)
        assert (found.indices[: found.indptr[300]] == np.nonzero(table > -2)[1]).all()


@pytest.mark.parametrize("kind", ["even", "lattice", "far from the origin", "near ties"])
def test_all_above_a_bar_are_those_of_all_scores(kind, rng):
    """Bars at scores, one step below, one for all; also those that all or none are above."""
    X = rows_of(kind, 3, rng)
    Q = X[:LEAST_QUERIES]
    index = backend().AtomIndex(call("test", 1), X, None, "euclidean")
    reach = np.ascontiguousarray(scored_all(X, Q, 20)[0][:, -1])
    bars = {"at": reach, "below": np.nextafter(reach, -np.inf), "one": np.array([np.median(reach)])}
    if kind == "even":
        bars |= {"none": np.array([0.0]), "all": np.array([-np.inf])}
    for name, bar in bars.items():
        wanted = index.above(call("test", 1), Rows("test", Q).core, bar)
        for threads in (1, 5):
            found = Collection(Rows("test", X), "euclidean").above(
                call("test", threads), Rows("test", Q), bar
            )
            for ours, theirs in zip((found.indptr, found.indices, found.data), wanted, strict=True):
                assert (ours == theirs).all(), name


def test_the_tree_alone_would_be_wrong(rng):
    """The data above do tell: far from the origin its order is not that of the scores."""
    X = rows_of("far from the origin", 3, rng)
    assert (cKDTree(X).query(X[:100], 15)[1] != scored_all(X, X[:100], 15)[1]).any()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_who_asks_gets_what_all_scores_give(threads, rng):
    """Rows without themselves, filters, and the faces of the search, for every number of threads."""
    X = rows_of("lattice", 3, rng).astype(np.float32)
    allowed = np.flatnonzero(rng.random(N) < 0.9)
    squares = ((X[:300, None].astype(np.float64) - X[None]) ** 2).sum(axis=2)
    table = -squares
    table[np.arange(300), np.arange(300)] = -np.inf
    order = np.argsort(-table, axis=1, kind="stable")[:, :9]
    values, indices = latom.topk(X, X, 9, metric="euclidean", exclude_self=True, n_threads=threads)
    assert (indices[:300] == order).all()
    assert (values[:300] == np.take_along_axis(table, order, 1)).all()
    graph = kneighbors_graph(X, 9, metric="euclidean", n_threads=threads)
    assert (graph.indices.reshape(N, 9) == indices).all()
    model = NearestNeighbors(n_neighbors=9, n_threads=threads).fit(X)
    assert (model.kneighbors(return_distance=False) == indices).all()
    masked = np.full_like(table, -np.inf)
    masked[:, allowed] = -squares[:, allowed]
    order = np.argsort(-masked, axis=1, kind="stable")[:, :9]
    found = latom.topk(X[:300], X, 9, metric="euclidean", allowed=allowed, n_threads=threads)[1]
    assert (found == order).all()


def test_few_queries_many_columns_and_other_metrics_need_no_tree():
    assert tree_pays("euclidean", LEAST_ROWS, LEAST_QUERIES, 3, 15)
    assert not tree_pays("euclidean", LEAST_ROWS, LEAST_QUERIES - 1, 3, 15)
    assert not tree_pays("euclidean", LEAST_ROWS - 1, LEAST_QUERIES, 3, 15)
    assert not tree_pays("euclidean", LEAST_ROWS, LEAST_QUERIES, 5, 15)
    assert not tree_pays("euclidean", LEAST_ROWS, LEAST_QUERIES, 3, 65)
    assert not tree_pays("cosine", LEAST_ROWS, LEAST_QUERIES, 3, 15)
