"""transform against float64 distances of the numbers as stored."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from oracle import corpus

import latom


def float64_distances(X, C, metric):
    X, C = X.toarray().astype(np.float64), C.astype(np.float64)
    if metric == "euclidean":
        return np.sqrt(((X[:, None] - C) ** 2).sum(axis=2))
    lengths = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(C, axis=1))
    return 1 - np.divide(X @ C.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls", [latom.KMeans, latom.SphericalKMeans, latom.MiniBatchKMeans])
def test_distances_of_sparse_rows(cls, dtype, rng):
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 7, 8, 15, 16, 17, 47, 48, 49, 97])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 65])
def test_shapes_around_vectors_and_tiles(m, n, dtype, rng):
    X, C = rng.standard_normal((n, 5)).astype(dtype), rng.standard_normal((m, 5)).astype(dtype)
    for metric, cls in (("euclidean", latom.KMeans), ("cosine", latom.SphericalKMeans)):
        km = cls(m, random_state=0, max_iter=1).fit(C)
        for rows in (X, sp.csr_array(X)):
            found = km.transform(rows)
            wanted = float64_distances(sp.csr_array(X), km.cluster_centers_, metric)
            assert found.shape == (n, m)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_far_from_the_origin_keep_their_distances(dtype, rng):
    """Products cancel: 0.1 % and less of the squared lengths are left."""
    for offset in (10, 1000, 100000):
        X = (rng.standard_normal((80, 40)) + offset).astype(dtype)
        km = latom.KMeans(9, random_state=0, max_iter=2).fit(X)
        wanted = float64_distances(sp.csr_array(X), km.cluster_centers_, "euclidean")
        np.testing.assert_allclose(km.transform(X), wanted, rtol=1e-6 if dtype == np.float32 else 1e-9)


def test_lengths_at_both_ends_of_float32(rng):
    scales = np.array([1e-30, 1e-18, 1e-9, 1, 1e9, 1e18])
    X = (rng.standard_normal((60, 12)) * np.repeat(scales, 10)[:, None]).astype(np.float32)
    for cls in (latom.KMeans, latom.SphericalKMeans):
        km = cls(6, init=X[::10], max_iter=1).fit(X)
        km.cluster_centers_ = X[5::10].copy()
        found, wanted = km.transform(X), float64_distances(sp.csr_array(X), X[5::10], km._metric)
        np.testing.assert_allclose(found, wanted, rtol=1e-5 if km._metric == "euclidean" else 0, atol=4e-6)
