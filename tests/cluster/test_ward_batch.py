"""ward_batch and pool_tokens against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

import latom


def same_partition(a, b):
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize(("dtype", "d"), [(np.float32, 5), (np.float64, 70)])
def test_scipys_dendrograms(metric, dtype, d, isa, rng):
    lengths = [2, 0, 1, 15, 16, 17, 40, 33]
    offsets = np.append(0, np.cumsum(lengths))
    X = rng.standard_normal((offsets[-1], d)).astype(dtype)
    found = latom.ward_batch(X, 5, offsets, metric=metric, linkage=True)
    assert (found.n_clusters == np.minimum(lengths, 5)).all()
    first = 0
    for b, n in enumerate(lengths):
        part, labels = X[offsets[b] : offsets[b + 1]].astype(float), found.labels[offsets[b] : offsets[b + 1]]
        if n < 2:
            assert (labels == 0).all()
            continue
        if metric == "cosine":
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        Z = linkage(part, "ward")
        mine = found.linkage[first : first + n - 1]
        first += n - 1
        assert np.allclose(mine, Z, atol=1e-6 if metric == "cosine" else 1e-9)
        assert same_partition(labels, fcluster(Z, 5, "maxclust"))
        assert labels[0] == 0
        assert (np.diff(np.maximum.accumulate(labels)) <= 1).all()
        for t in np.quantile(Z[:, 2], [0, 0.3, 1]) + 1e-9:
            cut = latom.ward_batch([part], distance_threshold=t)
            assert same_partition(cut.labels, fcluster(Z, t, "distance"))
    assert first == len(found.linkage)


def test_ties_and_threads(rng):
    X = rng.integers(0, 3, (200, 2)).astype(np.float32)  # many equal distances
    offsets = np.arange(11) * 20
    found = [latom.ward_batch(X, 4, offsets, n_threads=t) for t in (1, 2, 5)]
    assert (found[0].n_clusters == 4).all()
    for other in found[1:]:
        assert (other.labels == found[0].labels).all()
    assert (latom.ward_batch(np.ones((2, 9, 3)), 3).labels < 3).all()


def mean_cosine(X, offsets, pooled, at):
    """Of tokens with the nearest vector of their document."""
    total = 0.0
    for b in np.flatnonzero(np.diff(offsets)):
        rows, kept = X[offsets[b] : offsets[b + 1]], pooled[at[b] : at[b + 1]]
        total += (rows @ kept.T / np.linalg.norm(rows, axis=1)[:, None]).max(axis=1).sum()
    return total / len(X)


def test_pooling(rng, monkeypatch):
    from latom.cluster import pooling as module

    lengths = [0, 1, 5, 80, 33, 2]
    offsets = np.append(0, np.cumsum(lengths))
    X = (rng.standard_normal((len(lengths) * 4, 32))[rng.integers(0, 24, offsets[-1])]) + rng.standard_normal(
        (offsets[-1], 32)
    )
    X = X.astype(np.float32)
    found = {}
    for method in ("ward", "ward+kmeans", "kmeans"):
        pooled, at = latom.pool_tokens(X, offsets, method=method, random_state=0)
        free = np.maximum(np.array(lengths) - 1, 0)
        assert (np.diff(at) == np.minimum(lengths, 1) + np.minimum(free, np.maximum(free // 4, 1))).all()
        assert np.allclose(np.linalg.norm(pooled, axis=1), 1, atol=1e-6)
        for b in np.flatnonzero(lengths):
            lead = X[offsets[b]] / np.linalg.norm(X[offsets[b]])
            assert np.allclose(pooled[at[b]], lead, atol=1e-6)
        found[method] = mean_cosine(X, offsets, pooled, at)
        monkeypatch.setattr(module, "PART_BYTES", 4000)  # some documents at a time: the same bits
        again, there = latom.pool_tokens(X, offsets, method=method, random_state=0, n_threads=2)
        monkeypatch.undo()
        assert (again == pooled).all()
        assert (there == at).all()
    assert found["ward+kmeans"] >= found["ward"]
    unit = X[offsets[3] : offsets[4]].astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    labels = fcluster(linkage(unit[1:], "ward"), 19, "maxclust")
    sums = np.array([unit[1:][labels == j].sum(axis=0) for j in range(1, 20)])
    pooled, _ = latom.pool_tokens([X[offsets[3] : offsets[4]]], method="ward")
    assert len(pooled) == 20
    assert np.allclose(
        np.sort(sums / np.linalg.norm(sums, axis=1, keepdims=True), axis=0),
        np.sort(pooled[1:], axis=0),
        atol=1e-6,
    )


def test_pooling_controls(rng):
    documents = [rng.standard_normal((n, 8)) for n in (3, 30)]
    assert np.diff(latom.pool_tokens(documents, max_tokens=16)[1]).tolist() == [3, 16]
    assert np.diff(latom.pool_tokens(documents, pool_factor=1)[1]).tolist() == [3, 30]
    assert np.diff(latom.pool_tokens(documents, pool_factor=1.5, protected=0)[1]).tolist() == [2, 20]
    assert np.diff(latom.pool_tokens(documents, distance_threshold=1e3, protected=2)[1]).tolist() == [3, 3]
    assert np.diff(latom.pool_tokens(documents, protected=40)[1]).tolist() == [3, 30]
    for message, options in {
        "pool_factor must be the only control": dict(pool_factor=2, max_tokens=3),
        "max_tokens must be more than the 1 protected": dict(max_tokens=1),
        "pool_factor must be a finite number of at least 1": dict(pool_factor=0.5),
        "method must be": dict(method="wards"),
        "method must start from 'ward'": dict(method="kmeans", distance_threshold=1.0),
    }.items():
        with pytest.raises(ValueError, match="^pool_tokens: " + message):
            latom.pool_tokens(documents, **options)
