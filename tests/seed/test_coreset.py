"""Coresets and weighted draws: probabilities by enumeration, and sums that are right on average."""

from __future__ import annotations

import itertools

import core
import numpy as np
import pytest
import scipy.sparse as sp
from laws import FALSE_ALARM, chi_square, d2_law, joint, squared_distances
from oracle import corpus

import latom
from latom._base.arrays import to_core

METRICS = ["cosine", "euclidean"]


def points(n, storage="dense"):
    rng = np.random.default_rng(3)
    X, w = rng.random((n, 3)) + 0.05, rng.random(n) + 0.1
    return X, w, to_core(X if storage == "dense" else sp.csr_array(X))


def lightweight(X, w, metric):
    if metric == "cosine":
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
    spread = w * ((X - w @ X / w.sum()) ** 2).sum(axis=1)
    return w / w.sum() / 2 + spread / spread.sum() / 2


def sensitivity(D, w, centers):
    near = D[:, centers]
    label, d2 = near.argmin(axis=1), near.min(axis=1)
    weight, cost = np.bincount(label, w, len(centers)), np.bincount(label, w * d2, len(centers))
    a, mean = 16 * (np.log(len(centers)) + 2), (w * d2).sum() / w.sum()
    q = w * (a * d2 / mean + 2 * a * (cost / weight)[label] / mean + 4 * w.sum() / weight[label])
    return q / q.sum()


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("metric", METRICS)
def test_lightweight_probabilities(metric, storage):
    X, w, rows = points(9, storage)
    q = lightweight(X, w, metric)
    found = [core.coreset(rows, 1, 0, w, metric, seed, 1, "test") for seed in range(20_000)]
    drawn = np.concatenate([indices for indices, _ in found])
    assert chi_square(drawn, q) > FALSE_ALARM
    assert chi_square(drawn, w / w.sum()) < FALSE_ALARM
    assert np.allclose(np.concatenate([weights for _, weights in found]), w[drawn] / q[drawn])


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("metric", METRICS)
def test_sensitivity_probabilities(metric, storage):
    """Over the rough centers, which k-means++ draws: the mean of q over all pairs."""
    X, w, rows = points(7, storage)
    D = squared_distances(X, metric)
    law = joint(d2_law(D, w), 7, 2)
    pairs = list(itertools.permutations(range(7), 2))
    q = sum(law[pair] * sensitivity(D, w, list(pair)) for pair in pairs)
    found = [core.coreset(rows, 1, 2, w, metric, seed, 1, "test") for seed in range(30_000)]
    drawn = np.concatenate([indices for indices, _ in found])
    assert chi_square(drawn, q) > FALSE_ALARM
    assert chi_square(drawn, lightweight(X, w, metric)) < FALSE_ALARM
    # Each weight is w / q of one of the pairs.
    possible = np.array([w / sensitivity(D, w, list(pair)) for pair in pairs])
    for (i,), (weight,) in found[:200]:
        assert np.isclose(possible[:, i], weight).any()


@pytest.mark.parametrize("method", ["lightweight", "sensitivity"])
@pytest.mark.parametrize("metric", METRICS)
def test_costs_are_right_on_average(metric, method):
    X = corpus(np.random.default_rng(4), 400, 30, 6)
    w = np.random.default_rng(5).random(400) + 0.1
    w[::7] = 0
    centers = X[[3, 50, 120]]
    cost = squared_distances(X, metric, centers).min(axis=1)
    options = {"method": method, "n_clusters": 3 if method == "sensitivity" else None, "metric": metric}
    sums, totals, sizes = [], [], []
    for seed in range(1500):
        indices, weights = latom.coreset(X, 40, sample_weight=w, random_state=seed, n_threads=1, **options)
        sums.append(weights @ cost[indices])
        totals.append(weights.sum())
        sizes.append(len(indices))
    for some, expected in ((sums, w @ cost), (totals, w.sum())):
        error = np.std(some) / np.sqrt(len(some))
        assert abs(np.mean(some) - expected) < 5 * error
        assert abs(np.mean(some) - 1.06 * expected) > 5 * error
    assert max(sizes) <= 40
    assert (np.diff(indices) > 0).all()
    assert (w[indices] > 0).all()


def test_coresets_do_not_depend_on_threads_variant_or_width(isa):
    X = corpus(np.random.default_rng(6), 6000, 60, 8)
    wide = sp.csr_array(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    for options in ({}, {"method": "sensitivity", "n_clusters": 20}):
        a, b = latom.coreset(X, 500, random_state=1, n_threads=1, **options)
        for rows, threads in ((wide, 1), (X, 2), (X, 5)):
            c, d = latom.coreset(rows, 500, random_state=1, n_threads=threads, **options)
            assert (a == c).all()
            assert (b == d).all()
        digest = a.sum(), b.sum()
        assert FIRST.setdefault(str(options), digest) == digest, isa


FIRST: dict[str, tuple[float, float]] = {}


def test_edge_shapes():
    one, weight = latom.coreset(np.ones((1, 3)), 5, random_state=0)
    assert (one == [0]).all()
    assert np.isclose(weight, 1)
    _same, weights = latom.coreset(np.ones((50, 2)), 20, metric="euclidean", random_state=0)
    assert np.isclose(weights.sum(), 50)
    X = np.vstack([np.eye(3), np.zeros((4, 3))])
    for method, clusters in (("lightweight", None), ("sensitivity", 3)):
        indices, _ = latom.coreset(X, 100, method=method, n_clusters=clusters, random_state=0)
        assert (indices < 3).all()
    with pytest.raises(ValueError, match="must have a row of positive weight that is not zero"):
        latom.coreset(np.zeros((4, 2)), 3)


def test_draws_with_replacement():
    w = np.array([3.0, 0, 1, 5, 1e-3, 2])
    drawn = latom.weighted_sample(w, 200_000, replacement=True, random_state=0)
    assert chi_square(drawn, w / w.sum()) > FALSE_ALARM
    assert chi_square(drawn, (w + 0.02) / (w + 0.02).sum()) < FALSE_ALARM
    # Pairs of draws are independent.
    pairs = drawn.reshape(-1, 2)
    assert chi_square(pairs, np.outer(w, w) / w.sum() ** 2) > FALSE_ALARM


def test_draws_without_replacement_come_one_after_another():
    w = np.array([3.0, 0, 1, 5, 0.5, 2])

    def law(chosen):
        left = w.copy()
        left[list(chosen)] = 0
        return left / left.sum()

    drawn = np.array([latom.weighted_sample(w, 3, random_state=seed, n_threads=1) for seed in range(30_000)])
    assert chi_square(drawn, joint(law, 6, 3)) > FALSE_ALARM
    assert chi_square(drawn[:, ::-1], joint(law, 6, 3)) < FALSE_ALARM
    everything = latom.weighted_sample(w, 5, random_state=1)
    assert sorted(everything) == [0, 2, 3, 4, 5]


@pytest.mark.parametrize("scale", [1e-320, 1e-290, 1e300, 1e307])
@pytest.mark.parametrize("replacement", [False, True])
def test_draws_by_weights_of_any_size(scale, replacement):
    w = np.array([1.0, 4, 2, 9]) * scale
    drawn = [latom.weighted_sample(w, 2, replacement=replacement, random_state=s)[0] for s in range(3000)]
    assert chi_square(drawn, np.array([1, 4, 2, 9]) / 16) > 1e-4


def test_draws_do_not_depend_on_threads(isa):
    w = np.random.default_rng(7).random(20_000)
    for replacement in (False, True):
        a, b = (
            latom.weighted_sample(w, 5000, replacement=replacement, random_state=3, n_threads=t)
            for t in (1, 5)
        )
        assert (a == b).all()
        assert replacement or len(set(a)) == 5000
