"""Queries and documents of very different lengths: every row is found all the same."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom
from latom import neighbors


@pytest.mark.parametrize("times", [1e-30, 1e-18, 1e-9, 1e-4, 1e4, 1e12, 1e30])
@pytest.mark.parametrize("spread", [0, 6])
def test_euclidean_neighbors_of_short_and_long_queries(times, spread, rng):
    W = np.where(rng.random((60, 12)) < 0.6, rng.integers(-9, 10, (60, 12)), 0) * 1e4
    W = W * 10.0 ** rng.integers(-spread, spread + 1, (60, 1))
    Q = np.where(rng.random((40, 12)) < 0.6, rng.standard_normal((40, 12)), 0) * times
    squares = ((Q[:, None] - W[None]) ** 2).sum(axis=2)
    for k in (1, 7):
        values, indices = latom.topk(sp.csr_array(Q), sp.csr_array(W), k, metric="euclidean")
        assert (indices >= 0).all()
        best = np.sort(squares, axis=1)[:, :k]
        np.testing.assert_allclose(-values, best, rtol=1e-12)
        np.testing.assert_allclose(np.take_along_axis(squares, indices.astype(int), 1), best, rtol=1e-12)


# Squares of such distances are below what float32 holds; the distances are not.
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("d", [3, 12])
@pytest.mark.parametrize("times", [1e-8, 1e-20, 1e-30, 1e-37])
def test_short_rows_of_float32_have_their_distances(times, d, sparse, rng):
    W = (rng.standard_normal((200, d)) * times).astype(np.float32)
    W[::7] = 0
    X = sp.csr_array(W) if sparse else W
    far = np.sqrt(((W[:, None].astype(np.float64) - W[None]) ** 2).sum(axis=2))
    np.fill_diagonal(far, np.inf)
    close = dict(rtol=1e-6, atol=2e-8 * times)  # float64 takes squares of equal lengths apart
    finder = neighbors.NearestNeighbors(n_neighbors=4).fit(X)
    distances, indices = finder.kneighbors()
    assert distances.dtype == np.float32
    np.testing.assert_allclose(distances, np.sort(far, axis=1)[:, :4], **close)
    np.testing.assert_allclose(distances, np.take_along_axis(far, indices, 1), **close)
    radius = float(np.median(np.sort(far, axis=1)[:, 3]))
    within = finder.radius_neighbors_graph(radius=radius, mode="distance")
    assert within.dtype == np.float32
    row = np.repeat(np.arange(200), np.diff(within.indptr))
    np.testing.assert_allclose(within.data, far[row, within.indices], **close)
    assert abs(within.nnz - (far <= radius).sum()) <= 2
    codes = (
        latom.RelativeRepresentation(200, metric="euclidean", k=4).fit_anchors(X, np.arange(200)).transform(X)
    )
    np.testing.assert_allclose(np.sort(-codes.data.reshape(200, 4), axis=1)[:, 1:], distances[:, :3], **close)
