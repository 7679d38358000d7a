"""Few centers in float32: rows that are rounded one way, apart, or away, and float64 decides all the same.

Numbers are whole, or whole times a power of two, so that numpy has every score without rounding or with one.
"""

from __future__ import annotations

import core
import numpy as np
import pytest
import scipy.sparse as sp

from latom._base.arrays import to_core

METRICS = ["cosine", "euclidean"]
KINDS = [(np.asarray, np.float32), (np.asarray, np.float64), (sp.csr_array, np.float32)]


def labels(X, centers, metric, container, dtype, **switches):
    """Of the first pass."""
    lloyd = core.Lloyd(to_core(container(X.astype(dtype))), None, metric, 1, "test", **switches)
    lloyd.set_centers(to_core(container(centers.astype(dtype))), metric == "cosine")
    lloyd.assign()
    return lloyd.labels()


def held_to_numpy(X, centers, container, dtype):
    """Of equal scores the lowest; the score is rounded as float64 has it."""
    products = X @ centers.T
    wanted = (products - 0.5 * (centers**2).sum(axis=1)).argmax(axis=1)
    assert (labels(X, centers, "euclidean", container, dtype) == wanted).all()


@pytest.mark.parametrize(("container", "dtype"), KINDS)
@pytest.mark.parametrize("least", [1, 1500])
def test_sums_that_float32_rounds_one_way(container, dtype, least, rng):
    """Rows in the middle between two centers, all of whose products are equal."""
    d = 8192
    for _ in range(16):
        near = rng.integers(least, least + 9)
        middle = rng.integers(2048, 4096)
        centers = np.array([near, 2 * middle - near])[:, None] * np.ones(d)
        for order in (centers, centers[::-1]):
            held_to_numpy(np.full((9, d), float(middle)), order, container, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_short_rows_among_long_ones(dtype, rng):
    """What holds for the one would be too little for the other."""
    short = rng.random(1200) < 0.5
    for _ in range(8):
        near, middle = rng.integers(100000, 200000, 2) * 2 + 1
        centers = np.array([near, 2 * middle - near])[:, None] * np.ones(127)
        X = np.where(short[:, None], centers[0] * 2.0**-12, middle)
        for order in (centers, centers[::-1]):
            held_to_numpy(X, order, np.asarray, dtype)


@pytest.mark.parametrize(("container", "dtype"), KINDS)
def test_scores_that_float64_rounds_to_a_tie(container, dtype):
    """float32 loses what keeps the second center's score below the middle of two numbers."""
    centers = np.zeros((2, 70))
    centers[0, [1, 2]] = centers[1, [0, 2]] = 8, 1
    step = np.spacing(32.5)  # of scores beside half of a center's squared length
    X = np.zeros((50, 70))
    X[:, 0], X[:, 1] = 1.5 * step / 8, step / 8
    X[:, 2] = -step * 2.0 ** -np.arange(10, 60)
    held_to_numpy(X, centers, container, dtype)


@pytest.mark.parametrize(("container", "dtype"), KINDS)
def test_biases_that_float32_rounds_apart(container, dtype, rng):
    """Short rows, and centers whose squared lengths differ by less than float32 tells."""
    d, m = 80, 16
    centers = rng.permuted(np.tile(6000 + rng.integers(-30, 30, d), (m, 1)), axis=1).astype(float)
    for center in centers:
        up, down = rng.permutation(d).reshape(2, -1)[:, :5]
        center[up] += 1
        center[down] -= 1
    X = np.where(rng.random((500, d)) < 0.15, rng.integers(-3, 4, (500, d)), 0) / 8
    X[:, 0] = 1 / 8
    held_to_numpy(X, centers, container, dtype)


@pytest.mark.parametrize(("container", "dtype"), KINDS)
@pytest.mark.parametrize("sizes", [(1e22, 1e17), (1e17, 1e22), (1e22, 1e22)])
def test_products_that_float32_does_not_hold(container, dtype, sizes):
    """Two of the best center's products are infinite there and cancel."""
    row, center = sizes
    X, centers = np.zeros((9, 96)), np.zeros((2, 96))
    X[:, 1::32], X[:, 2::32], X[:, 0] = row, row, -1
    centers[0, 0] = 3 * center
    centers[1, 1::32], centers[1, 2::32] = center, -center
    for metric in METRICS:
        assert (labels(X, centers, metric, container, dtype) == 1).all()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_products_below_the_range_of_float32(container, rng):
    scale = np.float32(2.0**-148)
    X = np.where(rng.random((400, 70)) < 0.4, rng.integers(-9, 10, (400, 70)), 0).astype(np.float32) * scale
    X[:, 0] = scale
    centers = rng.integers(-9, 10, (12, 70)).astype(np.float32) / 16
    for metric in METRICS:
        plain = labels(X, centers, metric, container, np.float32, screen=False, drift=False, few=False)
        assert (labels(X, centers, metric, container, np.float32) == plain).all()
        assert len(np.unique(plain)) > 5 or metric == "euclidean"


@pytest.mark.parametrize("metric", METRICS)
def test_scores_that_are_equal_in_float32_alone(metric, isa):
    """The better of two centers comes later, in another lane or in the same; others are far behind."""
    d, m = 40, 64
    for first, later in ((0, 1), (0, 16), (3, 50), (16, 63)):
        centers = np.zeros((m, d))
        centers[:, 2:] = -1.0
        centers[[first, later]] = np.r_[0, 0, np.ones(d - 2)]
        centers[first, 0] = centers[later, 1] = 1
        X = np.ones((8, d))
        X[:, 1] += 2.0**-23 * np.arange(8)
        wanted = np.where(np.arange(8) > 0, later, first)
        assert (labels(X, centers, metric, sp.csr_array, np.float32) == wanted).all()
        assert (labels(X, centers, metric, np.asarray, np.float32) == wanted).all()


def steps(X, weights, start, n_iter, **switches):
    lloyd = core.Lloyd(X, weights, "euclidean", 1, "test", **switches)
    lloyd.set_centers(start, False)
    found = []
    for _ in range(n_iter):
        lloyd.assign()
        found.append(lloyd.labels().tobytes())
        lloyd.update()
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_centers_that_go_a_long_way_in_small_steps(dtype, rng):
    """Along a line, from one of its ends: what rows know of other centers is of many passes ago."""
    X = np.zeros((3000, 66), dtype)
    X[:, 0] = rng.random(3000)
    X[:, 1:] = 0.01 * rng.standard_normal((3000, 65))
    start = X[np.argsort(X[:, 0])[:40:5]]
    assert steps(X, None, start, 60) == steps(X, None, start, 60, screen=False, drift=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("push", [-6e-5, 6e-5])
def test_rows_beside_a_border_that_moves_by_little(dtype, push, rng):
    """Two heavy clusters; rows between them, some of which move the border as they change sides."""
    light, some, heavy = np.arange(-3000, 3000) * 2e-8, rng.uniform(-5e-5, 5e-5, 40), np.repeat([-1, 1], 10)
    X = np.zeros((len(light) + 60, 66), dtype)
    X[:, 0] = np.r_[light, some, heavy]
    weights = np.r_[np.full(len(light), 1e-14), np.full(40, 2e-5), np.ones(20)]
    start = np.zeros((2, 66), dtype)
    start[:, 0] = -1 + push, 1 + push
    found = steps(X, weights, start, 8)
    assert found == steps(X, weights, start, 8, screen=False, drift=False)
    assert len(set(found)) > 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("push", [-1e-4, 1e-4])
def test_rows_beside_the_border_after_a_move(dtype, push):
    """They lie ever closer to it: what is kept of distances in float32 is rounded away from the others."""
    beside = np.r_[-(2.0 ** -np.arange(10, 50)), 2.0 ** -np.arange(10, 50), 1e-9 * np.arange(-300, 300)]
    X = np.zeros((len(beside) + 20, 66), dtype)
    X[:, 0] = np.r_[beside, np.repeat([-1, 1], 10)]
    weights = np.r_[np.full(len(beside), 1e-14), np.ones(20)]
    start = np.zeros((2, 66), dtype)
    start[:, 0] = -1 + push, 1 + push
    assert steps(X, weights, start, 4) == steps(X, weights, start, 4, screen=False, drift=False)
