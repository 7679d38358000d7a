"""recall and ndcg against sums over sets."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import ndcg_score

from latom.metrics import ndcg, recall


def case(rng, n=40, m=30):
    X = np.round(rng.uniform(1, 4, (n, m))) * (rng.random((n, m)) < 0.2)
    X[3] = 0
    ids = np.argsort(rng.random((n, m)), axis=1)[:, :12]
    ids[5, 7:] = -1
    return ids, X


@pytest.mark.parametrize("N", [1, 5, 12, None])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_array, sp.coo_array])
def test_values_are_those_of_sets(N, container, rng):
    ids, X = case(rng)
    kept = N or 12
    gains = {"binary": (X > 0) * 1.0, "linear": X, "exponential": (2**X - 1)}
    for gain, G in gains.items():
        expected = np.full(40, np.nan)
        for i in range(40):
            best = sorted(G[i], reverse=True)[:kept]
            ideal = sum(g / np.log2(2 + r) for r, g in enumerate(best))
            found = sum(G[i, j] / np.log2(2 + r) for r, j in enumerate(ids[i, :kept]) if j >= 0)
            expected[i] = found / ideal if ideal else np.nan
        got = ndcg(ids, container(X), N, gain=gain, average=False)
        assert np.allclose(got, expected, equal_nan=True, rtol=1e-12)
        assert np.isclose(ndcg(ids, container(X), N, gain=gain), np.nanmean(expected))
    for capped in (False, True):
        expected = np.full(40, np.nan)
        for i in range(40):
            liked = set(np.flatnonzero(X[i]))
            if liked:
                expected[i] = len(liked & set(ids[i, :kept])) / (
                    min(kept, len(liked)) if capped else len(liked)
                )
        got = recall(ids, container(X), N, capped=capped, average=False)
        assert np.allclose(got, expected, equal_nan=True)
        assert np.isclose(recall(ids, container(X), N, capped=capped), np.nanmean(expected))


def test_ndcg_is_scikit_learns(rng):
    X = rng.integers(0, 4, (20, 15)).astype(float)
    scores = rng.random((20, 15))
    ids = np.argsort(-scores, axis=1)[:, :6]
    assert np.isclose(ndcg(ids, X, gain="linear"), ndcg_score(X, scores, k=6))


def test_zeros_that_are_stored_do_not_count():
    X = sp.csr_array(([1.0, 0.0, 1.0], [0, 1, 2], [0, 3]), shape=(1, 4))
    assert recall(np.array([[1, 2]]), X) == 0.5
    assert np.isnan(recall(np.array([[1, 2]]), sp.csr_array((1, 4))))
    assert np.isnan(ndcg(np.array([[1, 2]]), sp.csr_array((1, 4))))


@pytest.mark.parametrize("function", [recall, ndcg])
@pytest.mark.parametrize(
    ("ids", "X", "N", "words"),
    [
        ([[0.5]], np.ones((1, 3)), None, "recommended must hold integers"),
        ([[0], [1]], np.ones((1, 3)), None, "recommended must have a row for each"),
        ([[0, 3]], np.ones((1, 3)), None, r"recommended must lie in \[-1, 3\); got 3"),
        ([[0, -2]], np.ones((1, 3)), None, r"recommended must lie in \[-1, 3\); got -2"),
        ([[0, 0]], np.ones((1, 3)), None, "recommended must not name an item twice; got one in row 0"),
        ([[0, 1]], np.ones((1, 3)), 3, "N must be"),
        ([[0, 1]], -np.ones((1, 3)), None, "held_out must not be negative"),
        ([[0, 1]], np.full((1, 3), np.nan), None, "held_out"),
    ],
)
def test_wrong_arguments_are_refused(function, ids, X, N, words):
    with pytest.raises((ValueError, TypeError), match=f"^{function.__name__}: {words}"):
        function(np.array(ids), X, N)
