"""KMeansShard: parts of rows whose sums are added up have the bits of all rows."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import latom
from latom.cluster import KMeansShard


def together(parts, centers, iterations, metric="euclidean", weights=None):
    """What processes do that hold these parts: (labels, centers, objective)."""
    cuts = np.cumsum([len(part) for part in parts])[:-1]
    weighed = [None] * len(parts) if weights is None else np.split(weights, cuts)
    shards = [
        KMeansShard(part, metric=metric, sample_weight=w, n_threads=1 + i % 2)
        for i, (part, w) in enumerate(zip(parts, weighed, strict=True))
    ]
    looks = [pickle.loads(pickle.dumps(shard.look())) for shard in shards]
    for _ in range(iterations):
        steps = [shard.assign(centers, looks) for shard in shards]
        total = [sum(step.sums[k] for step in steps) for k in (0, 1)]
        for step in steps:
            for sums, whole in zip(step.sums, total, strict=True):
                sums[:] = whole
        made = [step.centers() for step in steps]
        assert all((made[0] == other).all() for other in made)
        centers = made[0]
    last = [shard.assign(centers, looks) for shard in shards]
    return np.concatenate([step.labels for step in last]), centers, sum(step.inertia for step in last)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("weighted", [False, True])
def test_parts_have_the_bits_of_the_whole(dtype, metric, weighted, rng):
    X = (rng.normal(size=(300, 7)) * 10.0 ** rng.integers(-3, 3, (300, 1))).astype(dtype)
    w = rng.random(300) + 0.5 if weighted else None
    kind = latom.KMeans if metric == "euclidean" else latom.SphericalKMeans
    start = X[[3, 50, 120, 200, 280]]
    whole = kind(5, init=start, max_iter=3, tol=0).fit(X, sample_weight=w)
    for cuts in ([100, 250], [1], []):
        labels, centers, inertia = together(np.split(X, cuts), start, 3, metric, w)
        assert (centers == whole.cluster_centers_).all()
        assert centers.dtype == whole.cluster_centers_.dtype
        assert (labels == whole.labels_).all()
        assert np.isclose(inertia, whole.inertia_, rtol=1e-12)


def test_the_widest_number_type_counts_for_all(rng):
    X = rng.normal(size=(90, 4)).astype(np.float32)
    start = X[:3].astype(np.float64)
    labels, centers, _ = together([X[:40], X[40:].astype(np.float64)], start, 4)
    whole = latom.KMeans(3, init=start, max_iter=4, tol=0).fit(X.astype(np.float64))
    assert (centers == whole.cluster_centers_).all()
    assert (labels == whole.labels_).all()


def test_a_cluster_without_rows_keeps_its_center(rng):
    X = rng.normal(size=(30, 2))
    far = np.array([[99.0, 99]])
    _, centers, _ = together([X[:10], X[10:]], np.vstack([X[:2], far]), 3)
    assert (centers[2] == far).all()


def test_what_shards_refuse(rng):
    X = rng.normal(size=(9, 3))
    shard = KMeansShard(X)
    looks = [shard.look()]
    with pytest.raises(TypeError, match=r"^KMeansShard: X must be dense, not sparse"):
        KMeansShard(sp.csr_array(X))
    with pytest.raises(ValueError, match="metric must be"):
        KMeansShard(X, metric="dot")
    with pytest.raises(ValueError, match=r"^KMeansShard: X must .*NaN"):
        KMeansShard(np.full((3, 3), np.nan)).look()
    with pytest.raises(
        ValueError, match=r"^KMeansShard\.assign: centers must have as many columns as X, 3; got 2"
    ):
        shard.assign(X[:2, :2], looks)
    with pytest.raises(
        ValueError, match=r"^KMeansShard\.assign: looks must be those of all processes; got none"
    ):
        shard.assign(X[:2], [])
    for one in (looks[0], 3):
        with pytest.raises(
            ValueError, match=r"^KMeansShard\.assign: looks must be a list, of .*; got .*Pass \["
        ):
            shard.assign(X[:2], one)
    with pytest.raises(ValueError, match=r"^KMeansShard\.assign: centers must .*NaN"):
        shard.assign(np.full((2, 3), np.nan), looks)
    for wrong, got in (([KMeansShard(X[:, :2]).look()], "one of 2 columns"), ([3], "3")):
        with pytest.raises(
            ValueError, match=rf"looks must be those of shards of 3 columns; got {got}\. Gather"
        ):
            shard.assign(X[:2], wrong)
