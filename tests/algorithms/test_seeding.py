"""k-means++: the law, and what must not change it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from oracle import corpus
from scipy import stats

import latom
from latom import _core


def law(X, w, metric):
    """Exact probability of every ordered triple of distinct rows under weighted k-means++."""
    if metric == "cosine":
        U = X / np.linalg.norm(X, axis=1, keepdims=True)
        D = 2 - 2 * U @ U.T
    else:
        D = ((X[:, None] - X[None]) ** 2).sum(axis=2)
    np.fill_diagonal(D, 0)
    n, out = len(X), {}
    for a, b, c in itertools.permutations(range(n), 3):
        p = w[a] / w.sum()
        p *= w[b] * D[b, a] / (w * D[:, a]).sum()
        near = np.minimum(D[:, a], D[:, b])
        out[a, b, c] = p * w[c] * near[c] / (w * near).sum()
    return out


def chi_square(draw, expected, runs):
    counts = dict.fromkeys(expected, 0)
    for r in range(runs):
        counts[tuple(draw(r))] += 1
    keys = sorted(expected, key=expected.get)
    observed, mass, pooled = [], [], [0, 0.0]
    for key in keys:  # pool cells until each expects five
        pooled[0] += counts[key]
        pooled[1] += runs * expected[key]
        if pooled[1] >= 5:
            observed.append(pooled[0])
            mass.append(pooled[1])
            pooled = [0, 0.0]
    observed[-1] += pooled[0]
    mass[-1] += pooled[1]
    return stats.chisquare(observed, np.array(mass) * sum(observed) / sum(mass)).pvalue


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_joint_law(metric, sparse):
    rng = np.random.default_rng(0)
    X, w = rng.random((6, 3)) + 0.05, rng.random(6) + 0.1
    rows = sp.csr_array(X) if sparse else X
    core = (
        (rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data, 3) if sparse else np.array(X)
    )

    def draw(seed, weights=w):
        return _core.kmeans_plusplus(core, 3, weights, metric, seed, 1, "test")[0]

    assert chi_square(draw, law(X, w, metric), 20_000) > 1e-6
    # The test has power: unweighted draws, or another metric's law, are told apart.
    assert chi_square(lambda s: draw(s, None), law(X, w, metric), 20_000) < 1e-6
    other = {"cosine": "euclidean", "euclidean": "cosine"}[metric]
    assert chi_square(draw, law(X, w, other), 20_000) < 1e-6


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_invariances(metric):
    rng = np.random.default_rng(1)
    X = corpus(rng, 3000, 80, 10)
    wide = sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)
    reference = latom.kmeans_plusplus(X, 30, metric=metric, random_state=4, n_threads=1)[1]
    assert len(set(reference)) == 30
    before = _core.isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for rows, threads in itertools.product([X, wide], [1, 2, 5]):
                centers, indices = latom.kmeans_plusplus(
                    rows, 30, metric=metric, random_state=4, n_threads=threads
                )
                assert (indices == reference).all()
                assert (centers != X[indices]).nnz == 0
    finally:
        _core.set_isa(before)


def test_zero_weights_and_zero_rows_come_last():
    X = np.vstack([np.eye(4), np.zeros((2, 4)), np.eye(4)])
    w = np.array([1, 1, 0, 1, 1, 1, 1, 1, 0, 1.0])
    for seed in range(30):
        indices = latom.kmeans_plusplus(X, 3, sample_weight=w, random_state=seed)[1]
        assert (w[indices] > 0).all()
        assert (X[indices].sum(axis=1) > 0).all()


def test_more_centres_than_distinct_rows():
    X = np.repeat(np.eye(3), 4, axis=0)
    with pytest.warns(UserWarning, match="only 3 distinct rows"):
        _, indices = latom.kmeans_plusplus(X, 12, random_state=0)
    assert sorted(indices) == list(range(12))
    assert len({i // 4 for i in indices[:3]}) == 3
    with pytest.raises(ValueError, match=r"must be an integer in \[1, 12\]"):
        latom.kmeans_plusplus(X, 13)
