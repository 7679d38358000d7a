"""distance_sums and bounded_distances: sums of distances, against numpy, the same bits in every variant."""

from __future__ import annotations

import core
import numpy as np
import pytest


@pytest.mark.parametrize("rows", [0, 1, 7, 64])
@pytest.mark.parametrize("width", [8, 24, 64])
def test_distance_sums(rows: int, width: int, isa: str, rng: np.random.Generator) -> None:
    X, Y = rng.standard_normal((rows, 5)), rng.standard_normal((width, 5))
    if rows > 3:
        X[3] = Y[2]  # some are equal, and round below zero
    dot, r, c = X @ Y.T, (X * X).sum(axis=1), (Y * Y).sum(axis=1)
    shift_r, shift_c = rng.standard_normal(rows), rng.standard_normal(width)
    total, crossed = core.kernels.distance_sums(dot, r, c, shift_r, shift_c)
    wanted, squares = np.zeros(width), np.zeros(width)
    for i in range(rows):  # in this order, each operation by itself
        wanted += np.sqrt(np.maximum((c + r[i]) - dot[i] * 2, 0))
        squares += ((dot[i] - shift_c) - shift_r[i]) ** 2
    assert np.array_equal(total, wanted)
    assert np.array_equal(crossed, squares)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 47, 48])
def test_bounded_distances(count: int, isa: str, rng: np.random.Generator) -> None:
    dot = rng.standard_normal((5, 48)).astype(np.float32)
    r, c = (4 * rng.random(size).astype(np.float32) for size in (5, count))
    low = np.array([0, 0.5, 2, 4, 100], np.float32)
    total, near = core.kernels.bounded_distances(dot, r, c, low)
    u = ((c + r[:, None]) - dot[:, :count] * np.float32(2)).astype(float)
    np.testing.assert_allclose(total, np.sqrt(np.maximum(u, low[:, None])).sum(axis=1), rtol=1e-6)
    assert np.array_equal(near, (u < low[:, None]).sum(axis=1))
    before = core.isa()
    core.set_isa("baseline")
    try:
        assert np.array_equal(total, core.kernels.bounded_distances(dot, r, c, low)[0])
    finally:
        core.set_isa(before)
