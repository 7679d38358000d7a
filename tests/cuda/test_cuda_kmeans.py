"""Lloyd's steps, seeding and searches on an emulated GPU give the CPU's bits."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from equal import both, draw, equal, upload

import latom
from latom._base import device_rows
from latom._base.device import DeviceArray
from latom.neighbors import DenseIndex

KINDS = pytest.mark.parametrize("kind", [latom.KMeans, latom.SphericalKMeans])


def same_fit(kind: Any, X: Any, m: int, weights: Any = None, **options: Any) -> Any:
    """A fit on the GPU, held to that on the CPU."""
    there = kind(m, device="cuda", **options).fit(X, sample_weight=weights)
    here = kind(m, **options).fit(X, sample_weight=weights)
    for name in ("cluster_centers_", "labels_", "inertia_", "n_iter_"):
        equal(getattr(there, name), getattr(here, name))
    for name in ("objective", "moved", "changed"):
        equal(there.history_[name], here.history_[name])
    equal(there.predict(X), here.labels_)
    return there


@KINDS
def test_fits(cuda: ModuleType, rng: np.random.Generator, kind: Any, order: str) -> None:
    dtype = np.float64 if order == "reverse" else np.float32
    X = draw(rng, 130, 9, dtype) + 3 * draw(rng, 8, 9, dtype)[rng.integers(0, 8, 130)]
    X[17] = 0
    warns = pytest.warns(UserWarning, match="rows of X are zero")
    with warns if kind is latom.SphericalKMeans else nullcontext():
        same_fit(kind, X, 8, init=X[:8] + 1, max_iter=4)


@KINDS
def test_wide_rows_and_weights(cuda: ModuleType, rng: np.random.Generator, kind: Any) -> None:
    X, weights = draw(rng, 90, 300, np.float32), rng.uniform(0, 3, 90)
    weights[:5] = 0
    same_fit(kind, X, 4, weights, init=X[10:14], max_iter=4)
    same_fit(kind, X * 1e20, 4, 1e-3 * weights, init=X[10:14] * 1e20, max_iter=3, tol=0)


@KINDS
def test_empty_clusters_take_rows(cuda: ModuleType, rng: np.random.Generator, kind: Any) -> None:
    X = draw(rng, 120, 70, np.float64)
    start = np.concatenate([X[:3], np.repeat(X[3:4], 3, axis=0)])
    same_fit(kind, X, 6, init=start, max_iter=4)
    few = np.repeat(X[:2], 5, axis=0)
    with pytest.warns(UserWarning, match="distinct clusters"):
        same_fit(kind, few, 3, init=X[:3], max_iter=3)


@KINDS
def test_fixed_centers_and_several_starts(cuda: ModuleType, rng: np.random.Generator, kind: Any) -> None:
    X = draw(rng, 45, 5, np.float32)
    same_fit(kind, X, 5, init=X[:3], fixed_centers=X[40:42], max_iter=3)
    same_fit(kind, X, 3, init="random", n_init=2, random_state=1, max_iter=3)


@KINDS
def test_rows_that_are_streamed(
    cuda: ModuleType, rng: np.random.Generator, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where they take more than half of the device."""
    monkeypatch.setattr(device_rows, "BLOCK_BYTES", 64 * 4 * 6)
    monkeypatch.setattr(device_rows.DeviceRows, "settle_if_small", lambda self: None)
    X = draw(rng, 100, 6, np.float32)
    start = np.concatenate([X[:3], X[2:3]])
    same_fit(kind, X, 4, rng.uniform(0.5, 2, 100), init=start, max_iter=2)
    both(lambda **o: latom.assign(X, X[:7], metric="euclidean", **o))
    both(lambda **o: latom.topk(X, X[:40], 3, return_stats=False, **o))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_assign(cuda: ModuleType, rng: np.random.Generator, metric: str, dtype: Any, order: str) -> None:
    X, C = draw(rng, 60, 13, dtype), draw(rng, 9, 13, dtype)
    X[4], C[7] = 0, C[2]
    both(lambda **o: latom.assign(X, C, metric=metric, **o))
    both(lambda **o: latom.assign(X.astype(np.float32), C.astype(np.float64), metric=metric, **o))
    both(lambda **o: latom.assign(np.ones((3, 4)), np.ones((1200, 4)), metric=metric, **o))
    tiny = (
        1e-120 * X.astype(np.float64),
        1e-120 * C.astype(np.float64),
    )  # beside which float32 loses lengths
    both(lambda **o: latom.assign(*tiny, metric=metric, **o))
    labels, scores = latom.assign(upload(X), upload(C), metric=metric)
    assert isinstance(labels, DeviceArray)
    equal((labels.to_numpy(), scores.to_numpy()), latom.assign(X, C, metric=metric))


def test_device_arrays_are_fitted_and_predicted(cuda: ModuleType, rng: np.random.Generator) -> None:
    X = draw(rng, 70, 5, np.float32)
    here = latom.KMeans(3, random_state=0).fit(X)
    there = latom.KMeans(3, random_state=0).fit(upload(X))
    equal(there.cluster_centers_, here.cluster_centers_)
    equal(there.labels_, here.labels_)
    labels = there.predict(upload(X[:9]))
    assert isinstance(labels, DeviceArray)
    equal(labels.to_numpy(), here.labels_[:9])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_seeding(cuda: ModuleType, rng: np.random.Generator, metric: str) -> None:
    X, weights = draw(rng, 90, 6, np.float32), rng.uniform(0, 2, 90)
    for options in ({}, {"sample_weight": weights}, {"method": "rejection"}, {"n_local_trials": 3}):
        both(
            lambda o=options, **d: latom.kmeans_plusplus(X, 20, metric=metric, random_state=3, **o, **d),
        )
    both(lambda **d: latom.kmeans_parallel(X, 6, metric=metric, random_state=3, **d))
    both(lambda **d: latom.kmeans_plusplus(X, 9, metric=metric, random_state=3, existing_centers=X[:2], **d))
    stats = latom.kmeans_plusplus(X, 50, metric=metric, random_state=3, device="cuda", return_stats=True)[2]
    wanted = latom.kmeans_plusplus(X, 50, metric=metric, random_state=3, return_stats=True)[2]
    assert stats["folds"] > 0
    for name in ("trials", "folds", "potential"):
        assert stats[name] == wanted[name]


def test_folds_of_an_estimator(
    cuda: ModuleType, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where there are enough rows for k-means||, whose rounds are folds."""
    monkeypatch.setattr(sys.modules["latom.seed.kmeans_parallel"], "LITTLE", 0)
    X = draw(rng, 80, 4, np.float32)
    options = {"max_iter": 1, "tol": 0, "random_state": 0}
    there = latom.KMeans(4, device="cuda", **options).fit(X)
    equal(there.labels_, latom.KMeans(4, **options).fit(X).labels_)


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean"])
def test_a_dense_index(cuda: ModuleType, rng: np.random.Generator, metric: str) -> None:
    X, Q = draw(rng, 90, 7, np.float32), draw(rng, 5, 7, np.float32)
    index = DenseIndex(X, metric=metric)
    both(lambda **o: index.search(Q, 6, **o))
    both(lambda **o: index.search(Q.astype(np.float64), 6, **o))
    both(lambda **o: index.search(X, 4, exclude_self=True, **o))
    both(lambda **o: index.search(Q, 6, allowed=np.arange(0, 90, 20), **o))
    there = index.search(upload(Q), 6)
    equal(tuple(part.to_numpy() for part in there), index.search(Q, 6))
    there = index.search(upload(X), 3, exclude_self=True)
    equal(tuple(part.to_numpy() for part in there), index.search(X, 3, exclude_self=True))
    index.remove(3)
    both(lambda **o: index.search(Q, 6, **o))


def test_what_is_refused(cuda: ModuleType, rng: np.random.Generator) -> None:
    X = draw(rng, 30, 4, np.float32)
    with pytest.raises(TypeError, match="kmeans_parallel: X must be dense, not sparse"):
        latom.kmeans_parallel(sp.csr_array(X), 2, device="cuda")
    with pytest.raises(ValueError, match="partial_fit: device must be None or 'cpu'"):
        latom.KMeans(2, device="cuda").partial_fit(X)
    with pytest.raises(ValueError, match="fit: device must be None or 'cpu'"):
        latom.KMeans(2, device="cuda").fit(latom.Stream(X))
    with pytest.raises(ValueError, match="fit: device must be None or 'cpu'"):
        latom.MiniBatchKMeans(2, device="cuda").fit(X)
    with pytest.raises(ValueError, match="assign: centers must have the 4 columns of X; got 3"):
        latom.assign(X, X[:, :3].copy(), device="cuda")
    with pytest.raises(ValueError, match=r"assign: X must hold finite numbers.* row 2"):
        latom.assign(np.where(np.arange(30)[:, None] == 2, np.nan, X), X[:2], device="cuda")
    with pytest.raises(ValueError, match="search: X must be dense on a GPU"):
        latom.neighbors.SparseIndex(sp.csr_array(X)).search(X, 2, device="cuda")
