"""New rows that come block by block: labels, scores and distances are those of all rows in memory."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse as sp
from cut_streams import Cuts, rows

import latom

KINDS = {
    "KMeans": latom.KMeans,
    "SphericalKMeans": latom.SphericalKMeans,
    "MiniBatchKMeans": latom.MiniBatchKMeans,
    "MiniBatchSphericalKMeans": latom.MiniBatchSphericalKMeans,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_estimators_read_new_rows_block_by_block(kind, sparse, dtype):
    X = rows(sparse, dtype)
    n = X.shape[0]
    w = np.random.default_rng(3).random(n)
    model = KINDS[kind](11, random_state=0, max_iter=3).fit(X[: n // 2])
    for cuts in ([], [1], [64, 65, 300], [n - 1]):
        stream = latom.Stream(Cuts(X, cuts))
        labels = model.predict(stream)
        assert labels.dtype == np.int32
        assert np.array_equal(labels, model.predict(X))
        assert model.score(stream) == model.score(X)
        assert model.score(stream, sample_weight=w) == model.score(X, sample_weight=w)
        distances = model.transform(stream)
        assert distances.shape == (n, 11)
        assert np.array_equal(distances, model.transform(X))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("sparse", [False, True])
def test_assign_reads_blocks(metric, sparse, tmp_path):
    X = rows(sparse, np.float32)
    centers = X[:30]
    wanted = latom.assign(X, centers, metric=metric)
    sources = [Cuts(X, [64, 65, 300]), X]
    if not sparse:
        np.save(tmp_path / "rows.npy", X)
        sources.append(tmp_path)
    for source in sources:
        found = latom.assign(latom.Stream(source, block_rows=70), centers, metric=metric, n_threads=2)
        assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_blocks_of_two_types_are_those_of_the_wider():
    X = rows(False, np.float32)
    stream = latom.Stream([X[:100], X[100:].astype(np.float64)])
    for a, b in zip(latom.assign(stream, X[:9]), latom.assign(X.astype(np.float64), X[:9]), strict=True):
        assert np.array_equal(a, b)


def test_trees_read_blocks():
    X = rows(False, np.float32)
    stream = latom.Stream(X, block_rows=50)
    split = latom.BisectingKMeans(6, random_state=0).fit(X)
    assert np.array_equal(split.predict(stream), split.labels_)
    tree = latom.HierarchicalKMeans((12, 3), n_resampling=1, random_state=0).fit(X)
    for level in (0, 1):
        assert np.array_equal(tree.predict(stream, level=level), tree.labels_[level])


def test_a_score_is_minus_the_objective_to_the_bit():
    X = rows(False, np.float32)
    streamed = latom.SphericalKMeans(9, random_state=0).fit(latom.Stream(X, block_rows=90))
    assert streamed.score(latom.Stream(X, block_rows=77)) == -streamed.inertia_


def test_sums_of_long_streams_count_from_the_first_row():
    X = np.random.default_rng(4).normal(size=(9000, 3))
    model = latom.KMeans(5, random_state=0, max_iter=2).fit(X)
    costs = -latom.assign(X, model.cluster_centers_, metric="euclidean")[1]
    chunks = [np.cumsum(costs[k : k + 4096])[-1] for k in (0, 4096, 8192)]
    assert model.score(X) == -np.cumsum(chunks)[-1]
    for block in (1000, 4096, 5000):
        assert model.score(latom.Stream(X, block_rows=block)) == model.score(X)


def test_streams_that_do_not_fit():
    X = rows(False, np.float32)
    model = latom.KMeans(3, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"^KMeans\.predict: X must have rows; got a Stream without\. \w"):
        model.predict(latom.Stream([X[:0]]))
    with pytest.raises(ValueError, match="features"):
        model.predict(latom.Stream(X[:, :4]))
    with pytest.raises(ValueError, match=r"^KMeans\.score: sample_weight must have shape \(\d+,\); got"):
        model.score(latom.Stream(X), sample_weight=np.ones(5))
    with pytest.raises(ValueError, match="sample_weight must be within"):
        model.score(latom.Stream(X * np.float64(1e140)), sample_weight=np.full(len(X), 1e90))


@pytest.mark.parametrize(
    ("name", "refuse"),
    [
        ("topk", lambda stream, X: latom.topk(stream, X[:5], 2)),
        ("kmeans_plusplus", lambda stream, X: latom.kmeans_plusplus(stream, 3)),
        ("silhouette", lambda stream, X: latom.silhouette(stream, [0])),
        ("BisectingKMeans.fit", lambda stream, X: latom.BisectingKMeans(3).fit(stream)),
        ("HierarchicalKMeans.transform", lambda stream, X: fitted_tree(X).transform(stream)),
        ("KMeans.partial_fit", lambda stream, X: latom.KMeans(3).partial_fit(stream)),
    ],
)
def test_who_takes_no_stream_says_so(name, refuse):
    X = rows(False, np.float32)
    words = re.escape(f"{name}: X must be rows in memory; got Stream. Pass its blocks one by one")
    with pytest.raises(TypeError, match=f"^{words}"):
        refuse(latom.Stream(X), X)


def fitted_tree(X):
    return latom.HierarchicalKMeans((6, 2), n_resampling=0, random_state=0).fit(X)


def test_half_precision_comes_in_blocks_too():
    X = rows(False, np.float32).astype(np.float16)
    model = latom.KMeans(4, random_state=0).fit(X)
    assert np.array_equal(model.predict(latom.Stream(X, block_rows=64)), model.labels_)
    assert not sp.issparse(model.cluster_centers_)
