"""k-means‖ on dense rows: candidates have the masses of the rows nearest to them, through every screen."""

from __future__ import annotations

import core
import numpy as np
import pytest

METRICS = ["cosine", "euclidean"]


def blobs(rng, n, d, dtype):
    middles = rng.standard_normal((25, d))
    return (middles[rng.integers(25, size=n)] + 0.6 * rng.standard_normal((n, d))).astype(dtype)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", [24, 70, 129])
@pytest.mark.parametrize("m", [3, 5, 20, 44, 60, 90, 200])  # some 4 m candidates, m to a round
def test_masses_and_potential_are_those_of_float64(metric, d, m, isa):
    rng = np.random.default_rng(d * m)
    n = 1500
    X = blobs(rng, n, d, np.float64 if m % 2 else np.float32)
    weights = rng.integers(0, 3, n) * rng.random(n)
    rows = X.astype(np.float64)
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for threads in (1, 3):
        drawn, mass, potential = core.parallel_candidates(
            X, m, 1.0 * m, 4, weights, metric, m, threads, "test"
        )
        assert len(drawn) > m
        squares = (rows**2).sum(axis=1)
        distance = np.maximum(squares[:, None] + squares[drawn] - 2 * rows @ rows[drawn].T, 0)
        distance[drawn, np.arange(len(drawn))] = 0
        nearest = distance.argmin(axis=1)
        expected = np.bincount(nearest, weights, minlength=len(drawn))
        assert np.allclose(mass, expected, rtol=1e-12, atol=1e-12)
        assert potential == pytest.approx(weights @ distance.min(axis=1), rel=1e-9)
