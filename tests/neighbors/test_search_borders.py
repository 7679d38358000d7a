"""Searches at their borders: scores that float32 has equal, thresholds one step off, signed numbers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from plain import whole_numbers

import latom
from latom._base.backend import backend, call
from latom._base.rows import Rows

METRICS = ("dot", "cosine", "euclidean")
TOGETHER = {"together_from": 1, "tile_bytes": 1}
CONTAINERS = [(sp.csr_array, sp.csr_array), (np.asarray, sp.csr_array), (sp.csr_array, np.asarray)]


def put(container, A):
    return A.toarray() if container is np.asarray else sp.csr_array(A)


def search_of(X, metric):
    return backend().DocumentSearch(call("test", 1), Rows("test", X).core, metric)


@pytest.mark.parametrize("containers", CONTAINERS)
@pytest.mark.parametrize("rising", [True, False])
def test_float64_decides_between_scores_that_float32_has_equal(containers, rising):
    n, k = 900, 7
    X = sp.csr_array(
        (1 + np.arange(n)[:: 1 if rising else -1] * 2.0**-40, (np.arange(n), np.zeros(n))), (n, 3)
    )
    order = np.arange(n)[::-1] if rising else np.arange(n)
    Q = sp.csr_array([[1.0, 0, 0], [0.5, 1, 0]])
    values, indices = latom.topk(put(containers[0], Q), put(containers[1], X), k)
    assert (indices == order[:k]).all()
    assert (values == (Q @ X.T).toarray()[:, order[:k]]).all()
    search, queries = search_of(X, "dot"), Rows("test", Q)
    assert (search.topk(call("test", 1), queries.core, k, **TOGETHER)[1] == order[:k]).all()


@pytest.mark.parametrize("containers", CONTAINERS)
@pytest.mark.parametrize("metric", METRICS)
def test_above_a_threshold_one_step_below_or_at_a_score(containers, metric, rng):
    X = sp.random_array((60, 15), density=0.4, rng=rng, format="csr")
    Q = sp.csr_array(X[:5] * 0.7)
    A, B = put(containers[0], Q), put(containers[1], X)
    values, indices = latom.topk(A, B, 20, metric=metric)
    for place in (0, 7, 19):
        score = values[:, place].copy()
        below = latom.above(A, B, np.nextafter(score, -np.inf), metric=metric)
        at = latom.above(A, B, score, metric=metric)
        for i in range(5):
            with_it, without = (found.indices[found.indptr[i] : found.indptr[i + 1]] for found in (below, at))
            assert indices[i, place] in with_it
            assert indices[i, place] not in without


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("signed", ["rows", "queries", "both"])
def test_signed_numbers_are_not_sifted_by_bytes(metric, signed, rng):
    low = {"rows": (-3, 1), "queries": (1, -3), "both": (-3, -3)}[signed]
    X, Q = (whole_numbers(rng, n, 30, 0.5, least) for n, least in ((700, low[0]), (20, low[1])))
    search, queries = search_of(X, metric), Rows("test", Q)
    plain = search.topk(call("test", 1), queries.core, 9, prune=False)
    for options in ({}, TOGETHER):
        found = search.topk(call("test", 2), queries.core, 9, **options)
        assert all((a == b).all() for a, b in zip(found[:3], plain[:3], strict=True))


@pytest.mark.parametrize("containers", CONTAINERS)
def test_queries_without_a_term(containers, rng):
    """Their cosines are 0, which a threshold below 0 lets through, and no other."""
    X = sp.random_array((50, 12), density=0.4, rng=rng, format="csr")
    A, B = put(containers[0], sp.csr_array((2, 12))), put(containers[1], X)
    for threshold, found in ((-1.0, 50), (-0.5, 50), (-1e-9, 50), (0.0, 0), (0.5, 0)):
        assert (np.diff(latom.above(A, B, threshold, metric="cosine").indptr) == found).all()
    values, indices = latom.topk(A, B, 3, metric="cosine")
    assert (indices == np.arange(3)).all()
    assert (values == 0).all()
