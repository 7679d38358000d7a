"""Clusters packed into batches of equal size: against a plain statement, and what holds for all labels."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import latom
from latom.cluster import pack


def plain(labels, size, centers=None, metric="cosine"):
    """Whole batches of each cluster, then what is left, from each cluster to the nearest."""
    clusters = {int(c): np.flatnonzero(labels == c) for c in np.unique(labels[labels >= 0])}
    batches, left = [], {}
    for c, rows in clusters.items():
        cut = len(rows) // size * size
        batches += rows[:cut].reshape(-1, size).tolist()
        if cut < len(rows):
            left[c] = rows[cut:]
    order = sorted(left)
    if centers is not None and order:
        C = np.asarray(centers, np.float64)
        if metric == "cosine":
            C = C / np.linalg.norm(C, axis=1, keepdims=True)
        chain, rest = [order[0]], order[1:]
        while rest:
            gaps = [((C[chain[-1]] - C[c]) ** 2).sum() for c in rest]
            chain.append(rest.pop(int(np.argmin(gaps))))
        order = chain
    flat = np.concatenate([left[c] for c in order]) if order else np.zeros(0, int)
    return np.array(batches + flat[: len(flat) // size * size].reshape(-1, size).tolist())


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("size", [1, 2, 7, 64])
@pytest.mark.parametrize("m", [1, 2, 3, 40, 150])
def test_packs_are_those_of_the_plain_statement(m, size, metric, rng):
    labels = rng.integers(-1, m, 900)
    labels[rng.random(900) < 0.3] = 0  # a large cluster
    centers = rng.normal(size=(m + 2, 6))
    assert np.array_equal(latom.pack_clusters(labels, size), plain(labels, size))
    for made in (centers, sp.csr_array(centers)):
        found = latom.pack_clusters(labels, size, centers=made, metric=metric, n_threads=2)
        assert found.dtype == np.int64
        assert np.array_equal(found, plain(labels, size, centers, metric))


def test_chains_go_beyond_the_centers_that_are_looked_up_at_once(rng, monkeypatch):
    labels, centers = np.repeat(np.arange(60), 3), rng.normal(size=(60, 4))
    wanted = plain(labels, 5, centers)
    for nearest in (1, 2, 32, 100):
        monkeypatch.setattr(pack, "NEAREST", nearest)
        assert np.array_equal(latom.pack_clusters(labels, 5, centers=centers), wanted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-2, 9), min_size=1, max_size=80), st.integers(1, 12))
def test_each_row_once_and_few_batches_mixed(labels, size):
    labels = np.array(labels)
    held = int((labels >= 0).sum())
    if size > held:
        what = "size must be" if held else "labels must give a row a cluster"
        with pytest.raises(ValueError, match=f"pack_clusters: {what}"):
            latom.pack_clusters(labels, size)
        return
    batches = latom.pack_clusters(labels, size)
    assert batches.shape == (held // size, size)
    assert len(np.unique(batches)) == batches.size
    assert (labels[batches] >= 0).all()
    mixed = [len(np.unique(labels[batch])) > 1 for batch in batches]
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    assert (~np.array(mixed)).sum() >= (counts // size).sum()
    assert sum(mixed) <= len(counts)


def test_near_clusters_share_batches(rng):
    angles = rng.permutation(np.linspace(0, np.pi, 30))  # an arc: neighbors on it are near
    centers = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = np.repeat(np.arange(30), 3)

    def spread(batches):
        return np.mean([np.ptp(angles[labels[batch]]) for batch in batches])

    assert spread(latom.pack_clusters(labels, 6, centers=centers)) < 0.3 * spread(
        latom.pack_clusters(labels, 6)
    )


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        ([0.5, 1], {}, "labels must be whole numbers, one per row; got float64"),
        ([[0, 1]], {}, "labels must be whole numbers, one per row; got int64 of shape"),
        ([], {}, "labels must be whole numbers"),
        (
            [-1, -1],
            {},
            r"labels must give a row a cluster, numbered from 0; got only negative numbers\. Pass labels_",
        ),
        ([0, 1], {"centers": np.full((2, 3), np.nan)}, "centers must .*NaN"),
        ([0, 0, 2, 2, 3, 3, 4], {"size": 2, "centers": [[0.0], [np.inf], [1], [2], [3]]}, "centers must "),
        ([0, 1], {"size": 3}, r"size must be an integer in \[1, 2\]; got 3"),
        ([0, 1], {"size": 0}, "size must be"),
        (
            [0, 4],
            {"centers": np.eye(3)},
            "centers must have a row for each label up to 4; got ndarray of shape",
        ),
        ([0, 1], {"metric": "l2"}, "metric must be .*; got 'l2'. Use 'euclidean'"),
    ],
)
def test_refusals(labels, options, words):
    with pytest.raises(ValueError, match=rf"^pack_clusters: {words}"):
        latom.pack_clusters(labels, **{"size": 1, **options})
