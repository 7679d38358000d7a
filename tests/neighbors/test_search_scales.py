"""Queries and documents of very different lengths: every row is found all the same."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import latom


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
