"""transform against float64 distances of the numbers as stored."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from oracle import corpus

import latom
from latom.cluster import distances


def float64_distances(X, C, metric):
    X, C = X.toarray().astype(np.float64), C.astype(np.float64)
    if metric == "euclidean":
        return np.sqrt(((X[:, None] - C) ** 2).sum(axis=2))
    lengths = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(C, axis=1))
    return 1 - np.divide(X @ C.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls", [latom.KMeans, latom.SphericalKMeans, latom.MiniBatchKMeans])
@pytest.mark.parametrize("block", [1, 1 << 24])  # bytes: 16 centers at a time, and all
def test_distances_of_sparse_rows(cls, dtype, block, rng, monkeypatch):
    monkeypatch.setattr(distances, "BLOCK_BYTES", block)
    X = corpus(rng, 300, 80, 7).astype(dtype)
    X = sp.vstack([X, sp.csr_array((1, 80), dtype=dtype)], format="csr")  # a row without direction
    for sparse_centers in (False, True):
        km = cls(40, random_state=0, max_iter=3, sparse_centers=sparse_centers).fit(X[:-1])
        C = km.cluster_centers_
        assert sp.issparse(C) == sparse_centers
        found = km.transform(X)
        wanted = float64_distances(X, C.toarray() if sparse_centers else C, km._metric)
        assert found.dtype == dtype
        eps = np.finfo(dtype).eps
        if km._metric == "cosine":
            assert abs(found - wanted).max() < 20 * eps
        else:  # sums of squares lose what cancels
            scale = X.multiply(X).sum(axis=1).max() + (wanted**2).max()
            assert abs(found - wanted).max() < 2 * eps * wanted.max() + np.sqrt(40 * 2.0**-52 * scale)
        for threads in (1, 2, 5):
            assert (km.set_params(n_threads=threads).transform(X) == found).all()


def test_a_center_is_at_no_distance_from_itself_and_none_is_negative(rng):
    X = corpus(rng, 50, 30, 5)
    for cls in (latom.KMeans, latom.SphericalKMeans):
        found = cls(50, init=X, max_iter=1).fit(X).transform(X)
        assert (found >= 0).all()
        assert np.diag(found).max() < 1e-3


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("cls", [latom.KMeans, latom.SphericalKMeans])
@pytest.mark.parametrize("scale", [1, 1e-18, 1e30])
def test_distances_of_dense_rows(cls, dtype, scale, rng):
    if scale != 1 and dtype == np.float16:
        return
    X = (rng.standard_normal((70, 33)) * scale).astype(dtype)
    km = cls(9, random_state=0, max_iter=3).fit(X)
    X[7] = 0  # a row without direction
    found = km.transform(X)
    wanted = float64_distances(sp.csr_array(X.astype(np.float64)), km.cluster_centers_, km._metric)
    assert found.dtype == (np.float64 if dtype == np.float64 else np.float32)
    eps = np.finfo(found.dtype).eps
    if km._metric == "cosine":
        assert abs(found - wanted).max() < 20 * eps
    else:
        assert abs(found - wanted).max() < max(2 * eps, 1e-9) * wanted.max()
        assert (np.diag(km.transform(km.cluster_centers_)) == 0).all()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_distances_beyond_float32_are_refused(container):
    X = np.array([[3e38, -3e38], [1, 2], [-3e38, 3e38]], np.float32)
    km = latom.KMeans(2, random_state=0, sparse_centers=False).fit(container(X))
    with pytest.raises(ValueError, match="X must have distances to the centers that float32 holds"):
        km.transform(container(X))
    assert np.isfinite(km.transform(container(X.astype(np.float64)))).all()
