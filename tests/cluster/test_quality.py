"""Silhouette and Davies-Bouldin against their statements in float64."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist
from sklearn.metrics import davies_bouldin_score, silhouette_score
from sklearn.metrics import silhouette_samples as sklearn_samples

import latom
from latom._base.backend import backend, call
from latom._base.rows import Rows


def rows_of(rng, n, d, dtype=np.float64, spread=1.0):
    centers = 3 * rng.standard_normal((6, d))
    X = centers[rng.integers(0, 6, n)] + spread * rng.standard_normal((n, d))
    return X.astype(dtype)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("d", [1, 7, 64, 65])
@pytest.mark.parametrize("kind", ["dense32", "dense64", "csr32", "csr64"])
def test_samples(metric, d, kind, isa, rng):
    dtype = np.float32 if kind.endswith("32") else np.float64
    X = rows_of(rng, 150, d, dtype)
    X[np.abs(X) < 1] = 0
    X[17] = 0
    X[20] = X[21]
    container = sp.csr_array if kind.startswith("csr") else np.asarray
    for m in (2, 5, 60):
        labels = rng.integers(0, m, 150)
        labels[:m] = np.arange(m)  # some alone
        want = sklearn_samples(X.astype(float), labels, metric=metric)
        got = [latom.silhouette_samples(container(X), labels, metric=metric, n_threads=t) for t in (1, 2, 5)]
        assert np.allclose(got[0], want, atol=2e-8)
        assert (got[0] == got[1]).all()
        assert (got[0] == got[2]).all()
        assert np.isclose(latom.silhouette(container(X), labels, metric=metric), want.mean())


def test_bounds_spare_pairs(rng):
    """Of well separated clusters in many columns few are looked at; and the answer is that of all."""
    X = rows_of(rng, 1500, 80, np.float32)
    labels = latom.KMeans(12, random_state=0).fit(X).labels_
    rows = Rows("test", X)
    samples, pairs = backend().silhouette(call("test"), rows.core, labels, 12, "euclidean")
    assert pairs < 0.5 * 1500**2
    assert np.allclose(samples, sklearn_samples(X.astype(float), labels), atol=1e-8)
    assert np.isclose(samples.mean(), silhouette_score(X.astype(float), labels))


@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
def test_bounds_hold(spread, rng):
    """Clusters of unlike sizes, shapes and offsets."""
    X = rows_of(rng, 300, 5, spread=spread)
    X[:100] *= 10
    X[100:200, 0] += 50
    for m in (3, 17):
        labels = np.minimum(rng.geometric(0.3, 300), m)
        assert np.allclose(latom.silhouette_samples(X, labels), sklearn_samples(X, labels), atol=1e-9)


@pytest.mark.parametrize("scale", [1e-140, 1e-120, 1e-75, 1e75, 1e120, 1e140])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_scales_whose_squares_fall_out_of_float64_change_nothing(scale, container, rng):
    """Bounds take fourth powers of lengths."""
    X = rows_of(rng, 500, 12)
    for m in (3, 40):
        labels = rng.integers(0, m, 500)
        want = latom.silhouette_samples(X, labels)
        assert np.allclose(latom.silhouette_samples(container(X * scale), labels), want, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1000])
def test_bounds_hold_for_large_clusters_of_few_directions(offset, dtype, isa, rng):
    """More rows than columns, covariances that differ, near to each other and far from the origin."""
    d, m = 17, 6
    X = np.zeros((700, d))
    labels = rng.integers(0, m, 700)
    for j in range(m):
        rows = labels == j
        shape = rng.standard_normal((d, d)) * 2.0 ** -np.arange(d)
        skewed = rng.exponential(size=(rows.sum(), d)) - 1
        X[rows] = skewed @ shape + 0.3 * rng.standard_normal(d)
    X = (X + offset).astype(dtype)
    apart = cdist(X.astype(float), X.astype(float))
    means = np.stack([apart[:, labels == j].mean(axis=1) for j in range(m)], axis=1)
    size = np.bincount(labels)[labels]
    a = means[np.arange(700), labels] * size / (size - 1)
    means[np.arange(700), labels] = np.inf
    b = means.min(axis=1)
    got = latom.silhouette_samples(X, labels)
    assert np.allclose(got, (b - a) / np.maximum(a, b), atol=1e-9 if offset == 0 else 1e-6)
    assert (got == latom.silhouette_samples(X, labels, n_threads=1)).all()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_bounds_hold_for_clusters_of_several_blocks(container):
    """Rows beyond the end of a long cluster, and a point that is hardly farther from them."""
    X = np.zeros((930, 400))
    labels = np.repeat([0, 1, 2], [600, 300, 30])
    X[labels == 0, 0] = np.tile([-1, 1], 300)
    X[labels == 1, :2] = 5, 5.005
    X[labels == 2, 0] = np.linspace(4.98, 5.02, 30)
    assert np.allclose(latom.silhouette_samples(container(X), labels), sklearn_samples(X, labels), atol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_bounds_hold_far_from_the_origin(container, rng):
    """Whole numbers, whose distances are exact; their means are not, and squares take all bits of float64."""
    labels = np.repeat(np.arange(144), rng.integers(6, 10, 144))  # enough for covariances
    near = np.stack([100 * (labels // 12), 100 * (labels % 12), rng.integers(0, 2, len(labels))], axis=1)
    want = sklearn_samples(near, labels)
    for offset in (0, 2**20, 2**25):
        got = latom.silhouette_samples(container((near + offset).astype(float)), labels)
        assert np.allclose(got, want, atol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_davies_bouldin(container, dtype, rng):
    X = rows_of(rng, 200, 9, dtype)
    X[np.abs(X) < 1] = 0
    for labels in (rng.integers(0, 4, 200), np.arange(200) // 2, np.where(rng.random(200) < 0.5, "a", "b")):
        want = davies_bouldin_score(X.astype(float), labels)
        got = {latom.davies_bouldin(container(X), labels, n_threads=t) for t in (1, 2, 5)}
        assert len(got) == 1
        assert np.isclose(got.pop(), want, rtol=1e-9)
    same = np.ones((6, 2), dtype)
    assert latom.davies_bouldin(container(same), [0, 0, 0, 1, 1, 1]) == 0
    assert latom.silhouette(container(same), [0, 0, 0, 1, 1, 1]) == 0


def test_refusals():
    X = np.eye(4)
    for labels in ([0, 0, 0, 0], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match=r"^silhouette: labels must be of 2 to 3 kinds"):
            latom.silhouette(X, labels)
    with pytest.raises(ValueError, match=r"^davies_bouldin: labels must have shape \(4,\)"):
        latom.davies_bouldin(X, [0, 1])
    with pytest.raises(ValueError, match=r"^silhouette_samples: metric must be"):
        latom.silhouette_samples(X, [0, 0, 1, 1], metric="l1")
