"""topk and above where rows or atoms are sparse, against all scores in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import best, documents, scores, whole_numbers

import latom
from latom import _core
from latom._base.backend import backend, call
from latom._base.rows import Rows

METRICS = ("dot", "cosine", "euclidean")
TOGETHER = {"together_from": 1, "tile_bytes": 1}  # whatever has long lists, in the smallest tiles
CONTAINERS = [(sp.csr_array, sp.csr_array), (np.asarray, sp.csr_array), (sp.csr_array, np.asarray)]


def dense(A):
    return A.toarray() if sp.issparse(A) else A


def put(container, A):
    return A.toarray() if container is np.asarray else A


def indexed(X, metric="cosine"):
    rows = Rows("test", X)
    return backend().DocumentSearch(call("test", 1), rows.core, metric)


@pytest.mark.parametrize("containers", CONTAINERS, ids=["csr-csr", "dense-csr", "csr-dense"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_have_exact_answers(containers, metric, dtype, rng):
    for n, d, density in ((1, 1, 1.0), (7, 3, 0.5), (63, 40, 0.1), (65, 9, 0.9), (300, 80, 0.05)):
        X = whole_numbers(rng, n, d, density).astype(dtype)
        Q = whole_numbers(rng, 9, d, density).astype(dtype)
        table = scores(Q, X, metric)
        for k in {1, min(3, n), n}:
            values, indices = latom.topk(put(containers[0], Q), put(containers[1], X), k, metric=metric)
            wanted, at = best(table, k)
            assert values.dtype == dtype
            np.testing.assert_allclose(values, wanted, rtol=1e-6, atol=1e-6)
            if metric != "cosine":  # whose ties numpy rounds apart
                assert (indices == at).all()
        for threshold in (-2.5, 0.0, 0.55):
            found = latom.above(put(containers[0], Q), put(containers[1], X), threshold, metric=metric)
            sure = (np.abs(table - threshold) > 1e-9) & (table != 0)
            assert ((found.toarray() != 0) == (table > threshold))[sure].all()
            if metric != "cosine":
                assert found.nnz == (table > threshold).sum()


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from(METRICS))
def test_signed_data_as_dense(seed, metric):
    rng = np.random.default_rng(seed)
    n, d = rng.integers(1, 80, 2)
    X, Q = (whole_numbers(rng, rows, d, rng.choice([0.02, 0.2, 0.8])) for rows in (n, 6))
    k = int(rng.integers(1, n + 1))
    allowed = rng.random(n) < rng.choice([0.1, 0.9])
    values, indices = latom.topk(Q, X, k, metric=metric, allowed=allowed)
    wanted, at = latom.topk(dense(Q), dense(X), k, metric=metric, allowed=np.flatnonzero(allowed))
    np.testing.assert_allclose(values, wanted, atol=1e-12)
    assert metric == "cosine" or (indices == at).all()
    assert ((indices < 0) == np.isinf(values)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_no_bound_changes_an_answer(metric, rng):
    """Every bit is that of the search without bounds, which scores all that share a term."""
    X = documents(rng, 4000, 3000)
    X.data *= np.repeat(rng.choice([0.1, 1.0, 7.0], X.shape[0]), np.diff(X.indptr))
    for rows in (X, X.astype(np.float32)):
        search, queries = indexed(rows, metric), Rows("test", rows[::40])
        for k in (1, 15):
            quick = search.topk(call("test", 1), queries.core, k)
            plain = search.topk(call("test", 1), queries.core, k, prune=False)
            assert all((a == b).all() for a, b in zip(quick[:3], plain[:3], strict=True))
            if metric == "cosine":
                assert quick[3]["decided"] < plain[3]["decided"] / 3
                assert quick[3]["exhausted"] == 0
        bars = np.linspace(-0.1, 0.6, 100)
        quick = search.above(call("test", 1), queries.core, bars)
        plain = search.above(call("test", 1), queries.core, bars, prune=False)
        assert all((a == b).all() for a, b in zip(quick, plain, strict=True))


@pytest.mark.parametrize("metric", METRICS)
def test_queries_answered_together(metric, isa, rng):
    """Bits as without bounds, over tiles and slabs that end anywhere, filtered, and for several threads."""
    n = 8400
    X = documents(rng, n, 400, 30)
    if metric == "dot":
        X.data *= np.repeat(rng.choice([0.3, 1.0], n), np.diff(X.indptr))
    else:
        X = X.astype(np.float32)
    if metric == "cosine":
        X.data *= np.repeat(rng.choice(np.float32([0.01, 1, 60]), n), np.diff(X.indptr))
    search, which = indexed(X, metric), np.arange(0, n, n // 30)
    queries = Rows("test", sp.csr_array(X[which]))
    allowed = (rng.random(n) < 0.5).astype(np.uint8)
    for k, options in ((1, {"threshold": 0.1}), (15, {"without": which}), (20, {"allowed": allowed})):
        plain = search.topk(call("test", 1), queries.core, k, prune=False, **options)
        for threads in (1, 5):
            quick = search.topk(call("test", threads), queries.core, k, **TOGETHER, **options)
            assert all((a == b).all() for a, b in zip(quick[:3], plain[:3], strict=True))
            assert quick[3]["decided"] < plain[3]["decided"] / 3
            assert k == 1 or quick[3]["sifted"] > len(which) / 2
    bars = np.linspace(-0.6, 0.6, len(which))
    plain = search.above(call("test", 1), queries.core, bars, prune=False)
    quick = search.above(call("test", 5), queries.core, bars, **TOGETHER)
    assert all((a == b).all() for a, b in zip(quick, plain, strict=True))


def test_an_index_is_hardly_larger_than_its_rows(rng):
    X = documents(rng, 2000, 3000, words=90).astype(np.float32)
    assert indexed(X).bytes < 1.3 * (8 * X.nnz + 4 * 2001)


def hostile(kind, rng):
    X = documents(rng, 600, 300)
    if kind == "giant entry":
        X.data[1000] = 1e30
    elif kind == "equal rows":
        X = sp.csr_array(sp.vstack([X[:1]] * 400))
    elif kind == "hub column":
        X = sp.csr_array(sp.hstack([X, np.full((600, 1), 30.0)]))
    elif kind == "near ties":
        rows = [X[:1].copy() for _ in range(300)]
        for row in rows:
            row.data = np.nextafter(row.data, rng.choice([0.0, 9.0]))
        X = sp.csr_array(sp.vstack([*rows, X]))
    elif kind == "zero rows":
        X = sp.csr_array(sp.vstack([sp.csr_array((30, 300)), X[:100]]))
    elif kind == "tiny":
        X = X * 1e-120
    elif kind == "huge":
        X = X * 1e120
    elif kind == "explicit zeros":
        X.data[::3] = 0
    return sp.csr_array(X)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "kind",
    ["giant entry", "equal rows", "hub column", "near ties", "zero rows", "tiny", "huge", "explicit zeros"],
)
def test_hostile_numbers(kind, metric, rng):
    X = hostile(kind, rng)
    search = indexed(X, metric)
    queries = Rows("test", sp.csr_array(X[::25]))
    quick = search.topk(call("test", 2), queries.core, 7)
    together = search.topk(call("test", 2), queries.core, 7, **TOGETHER)
    plain = search.topk(call("test", 2), queries.core, 7, prune=False)
    for found in (quick, together):
        assert all((a == b).all() for a, b in zip(found[:3], plain[:3], strict=True))
    assert (np.diff(quick[0], axis=1) <= 0).all()
    ties = np.diff(quick[0], axis=1) == 0
    assert kind in ("near ties", "giant entry", "tiny") or (np.diff(quick[1], axis=1)[ties] > 0).all()


def test_the_same_bits_everywhere(isa, rng):
    X = documents(rng, 500, 200)
    Q = sp.csr_array(X[:50])
    wide = Q.copy()
    wide.indices, wide.indptr = Q.indices.astype(np.int64), Q.indptr.astype(np.int64)
    before = _core.isa()
    first = None
    for threads in (1, 2, 5):
        for queries in (Q, wide):
            for atoms in (X, X.toarray()):
                found = latom.topk(queries, atoms, 5, metric="cosine", n_threads=threads)
                if sp.issparse(atoms):
                    first = first or found
                    assert all((a == b).all() for a, b in zip(first, found, strict=True))
                else:
                    _core.set_isa("baseline")
                    plain = latom.topk(queries, atoms, 5, metric="cosine", n_threads=1)
                    _core.set_isa(before)
                    assert all((a == b).all() for a, b in zip(plain, found, strict=True))


@pytest.mark.parametrize("containers", [*CONTAINERS, (np.asarray, np.asarray)])
def test_exclude_self_and_filters(containers, rng):
    X = whole_numbers(rng, 40, 20, 0.3)
    X = sp.csr_array(sp.vstack([X[:3], X[[7]], X[4:]]))  # equal rows find each other, not themselves
    table = scores(X, X, "dot")
    A, B = put(containers[0], X), put(containers[1], X)
    allowed = rng.random(40) < 0.3
    for mask in (None, allowed):
        wanted, at = best(table, 12, mask, exclude_self=True)
        values, indices = latom.topk(A, B, 12, allowed=mask, exclude_self=True)
        assert (indices == at).all()
        assert (values == wanted).all()
        found = latom.above(A, B, 3.0, allowed=mask, exclude_self=True)
        kept = table > 3
        np.fill_diagonal(kept, False)
        assert (found.toarray() != 0).sum() == (kept if mask is None else kept & mask).sum()
    values, indices = latom.topk(A, B, 2, allowed=[])
    assert (indices == -1).all()
    assert np.isneginf(values).all()


def test_relu_fills_up_as_dense(rng):
    X, Q = whole_numbers(rng, 30, 20, 0.1), whole_numbers(rng, 10, 20, 0.1)
    found = latom.topk(Q, X, 8, activation="relu")
    wanted = latom.topk(Q.toarray(), X.toarray(), 8, activation="relu")
    assert all((a == b).all() for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((sp.eye(3, 4), sp.eye(3, 5), 1), {}, "columns"),
        ((sp.eye(3), sp.eye(3), 4), {}, "k must"),
        ((sp.eye(3), sp.eye(3), 1), {"bias": [1, 2, 3]}, "bias"),
        ((sp.eye(3), sp.eye(3), 1), {"activation": "abs"}, "abs"),
        ((sp.eye(2, 3), sp.eye(3), 1), {"exclude_self": True}, "exclude_self"),
        ((sp.eye(3), sp.eye(3), 1), {"allowed": [3]}, "allowed"),
        ((sp.eye(3), sp.eye(3), 1), {"allowed": [True]}, "allowed"),
        ((sp.eye(3) * np.nan, sp.eye(3), 1), {}, "finite"),
    ],
)
def test_refusals(arguments, options, words):
    with pytest.raises(ValueError, match=rf"^topk: .*{words}.* must |^topk: .*must .*{words}|^topk: {words}"):
        latom.topk(*arguments, **options)


@pytest.mark.parametrize("containers", [(np.asarray, np.asarray), *CONTAINERS])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_who_asks_nobody_is_told_of_nan(containers, wrong):
    Q, W = (container(np.eye(3)) for container in containers)
    Q[1, 1] = wrong
    nobody = np.zeros(3, bool)
    index = (latom.SparseIndex if sp.issparse(W) else latom.DenseIndex)(W)
    asked = [
        lambda: latom.topk(Q, W, 1, allowed=nobody),
        lambda: index.search(Q, 1, allowed=nobody),
        lambda: index.above(Q, 0.5, allowed=nobody),
    ]
    for ask in asked:
        with pytest.raises(ValueError, match="must be finite"):
            ask()
    values, indices = index.search(containers[0](np.eye(3)), 1, allowed=nobody)
    assert np.isneginf(values).all()
    assert (indices == -1).all()


def test_scores_beyond_float32_are_refused():
    X = sp.csr_array(np.full((2, 2), 1e30, np.float32))
    with pytest.raises(ValueError, match="float64"):
        latom.topk(X, X, 1)
    assert latom.topk(X.astype(np.float64), X, 1)[0].dtype == np.float64
