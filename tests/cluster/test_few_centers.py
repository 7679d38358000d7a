"""Few centers of many columns: float32 with its bound, and bounds between passes, held to the plain path."""

from __future__ import annotations

import itertools

import core
import numpy as np
import pytest

METRICS = ["cosine", "euclidean"]


def blobs(rng, n, d, dtype=np.float32, groups=9, spread=0.7):
    middles = rng.standard_normal((groups, d))
    return (middles[rng.integers(groups, size=n)] + spread * rng.standard_normal((n, d))).astype(dtype)


def run(X, starts, metric, n_iter, weights=None, threads=1, **switches):
    """What each step says from each of the starts, with labels, scores and centers after them."""
    lloyd = core.Lloyd(X, weights, metric, threads, "test", **switches)
    found, products = [], []
    for start in starts:
        lloyd.set_centers(start, metric == "cosine")
        for _ in range(n_iter):
            *said, spent = lloyd.assign()
            products.append(spent)
            found += [said, lloyd.update()]
        found += [lloyd.assign()[:2], lloyd.inertia()]
        found += [lloyd.labels().tobytes(), lloyd.scores().tobytes(), lloyd.centers().tobytes()]
    return found, products


def held_to_plain(X, starts, metric, n_iter=6, weights=None):
    plain = run(X, starts, metric, n_iter, weights, screen=False, drift=False)[0]
    for switches in ({}, {"drift": False}, {"few": False}):
        assert plain == run(X, starts, metric, n_iter, weights, **switches)[0], switches
    return plain


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [65, 80, 127])
def test_follows_the_plain_path(metric, dtype, d):
    rng = np.random.default_rng(d)
    X = blobs(rng, 700, d, dtype)
    for m in (1, 2, 3, 4, 5, 15, 16, 17, 33, 48, 49, 63, 64, 65, 127, 128, 129):
        held_to_plain(X, [X[rng.permutation(700)[:m]] for _ in range(2)], metric)


@pytest.mark.parametrize("metric", METRICS)
def test_bits_of_every_variant_and_number_of_threads(metric):
    rng = np.random.default_rng(3)
    X, weights = blobs(rng, 1500, 70), rng.integers(0, 3, 1500) * rng.random(1500)
    starts = [X[:10]]
    plain = run(X, starts, metric, 8, weights, screen=False, drift=False)[0]
    before = core.isa()
    try:
        for isa, threads in itertools.product(core.available_isas(), [1, 2, 5]):
            core.set_isa(isa)
            assert plain == run(X, starts, metric, 8, weights, threads)[0]
    finally:
        core.set_isa(before)


HARD = {
    "equal rows": lambda rng, n, d: np.tile(rng.standard_normal(d), (n, 1)),
    "few distinct rows": lambda rng, n, d: rng.standard_normal((9, d))[rng.integers(9, size=n)],
    "heavy tails": lambda rng, n, d: rng.standard_normal((n, d)) * np.exp(6 * rng.standard_normal((n, 1))),
    "one huge column": lambda rng, n, d: rng.standard_normal((n, d)) * np.r_[1e9, np.ones(d - 1)],
    "far from the origin": lambda rng, n, d: rng.standard_normal((n, d)) + 1e4,
    "tiny": lambda rng, n, d: rng.standard_normal((n, d)) * 1e-22,
    "huge": lambda rng, n, d: rng.standard_normal((n, d)) * 1e16,
    "huge and tiny": lambda rng, n, d: rng.standard_normal((n, d)) * 10.0 ** rng.integers(-20, 16, (n, 1)),
    "zero rows": lambda rng, n, d: rng.standard_normal((n, d)) * (rng.random((n, 1)) < 0.5),
    "a grid": lambda rng, n, d: rng.integers(0, 2, size=(n, d)),
    "near ties": lambda rng, n, d: 1 + 1e-7 * rng.integers(-3, 4, size=(n, d)),
    "opposites": lambda rng, n, d: rng.standard_normal(d) * rng.choice([-1, 1], (n, 1)),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_data_stay_exact(metric, name, dtype):
    """With empty clusters, that take rows from others, and atoms that tie."""
    rng = np.random.default_rng(len(name))
    X = HARD[name](rng, 300, 66).astype(dtype)
    held_to_plain(X, [np.vstack([X[:8], X[:4]]), X[20:23]], metric, 5)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_cannot_change_their_label_are_not_looked_at(metric):
    rng = np.random.default_rng(0)
    X = blobs(rng, 4000, 70, spread=0.4)
    start = X[rng.permutation(4000)[:8]]
    late = [run(X, [start], metric, 12, drift=drift)[1][-1] / (4000 * 8 * 70) for drift in (True, False)]
    assert late[0] < 0.3
    assert late[1] == pytest.approx(1, abs=0.05)  # in float32 alone


def test_where_float32_tells_little_another_way_is_taken():
    X = np.random.default_rng(1).standard_normal((3000, 70)) + 1e5
    products = run(X, [X[:8]], "euclidean", 4)[1]
    assert products[0] > 1.9 * 3000 * 8 * 70  # all rows in float32, and in float64
    assert products[2] < 1.5 * 3000 * 8 * 70


@pytest.mark.parametrize("metric", METRICS)
def test_the_objective_of_sums_is_that_of_rows(metric):
    rng = np.random.default_rng(1)
    X, weights = blobs(rng, 900, 90), rng.random(900)
    lloyd = core.Lloyd(X, weights, metric, 2, "test")
    lloyd.set_centers(X[:12], metric == "cosine")
    for _ in range(5):
        objective = lloyd.assign()[1]
        assert objective == pytest.approx(lloyd.inertia(), rel=1e-12)
        lloyd.update()


@pytest.mark.parametrize("metric", METRICS)
def test_ties_go_to_the_lowest_atom_after_a_pass_with_bounds(metric):
    """Rows in the middle between two atoms that move towards each other by whole numbers."""
    d = 72
    left, right = np.eye(d)[0] * 8, np.eye(d)[0] * -8
    X = np.vstack(
        [left + np.eye(d)[3:20], right + np.eye(d)[3:20], np.eye(d)[20:30] * 4, left / 2, right / 2]
    )
    for order in ([0, 17], [17, 0]):
        held_to_plain(X.astype(np.float32), [X[order].astype(np.float32)], metric, 4)
