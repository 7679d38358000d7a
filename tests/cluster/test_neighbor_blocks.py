"""Rows of few columns in blocks of neighbors, and sums that follow their rows: held to the plain path."""

from __future__ import annotations

import itertools

import core
import numpy as np
import pytest

METRICS = ["cosine", "euclidean"]
ROWS = 2100  # enough for blocks


def blobs(rng, d, dtype=np.float32, n=ROWS):
    return (rng.normal(size=(15, d))[rng.integers(15, size=n)] + 0.4 * rng.normal(size=(n, d))).astype(dtype)


def run(X, starts, metric, n_iter, weights=None, threads=1, **switches):
    """What each step says from each of the starts, with labels, scores and centers after them."""
    lloyd = core.Lloyd(X, weights, metric, threads, "test", **switches)
    found = []
    for start in starts:
        lloyd.set_centers(start, metric == "cosine")
        for _ in range(n_iter):
            found += [lloyd.assign()[:2], lloyd.update()]
        found += [lloyd.assign()[:2], lloyd.inertia()]
        found += [lloyd.labels().tobytes(), lloyd.scores().tobytes(), lloyd.centers().tobytes()]
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 3, 7, 16, 64])
def test_blocks_follow_the_plain_path(metric, dtype, d):
    rng = np.random.default_rng(d)
    X = blobs(rng, d, dtype)
    for m in (1, 3, 64, 133):
        starts = [X[rng.permutation(ROWS)[:m]] for _ in range(2)]
        plain = run(X, starts, metric, 9, screen=False, drift=False)
        assert plain == run(X, starts, metric, 9, blocks=2)
        assert plain == run(X, starts, metric, 9)


@pytest.mark.parametrize("metric", METRICS)
def test_bits_of_every_variant_and_number_of_threads(metric):
    rng = np.random.default_rng(3)
    X, weights = blobs(rng, 5), rng.integers(0, 3, ROWS) * rng.random(ROWS)
    starts = [X[:70]]
    plain = run(X, starts, metric, 5, weights, screen=False, drift=False)
    before = core.isa()
    try:
        for isa, threads in itertools.product(core.available_isas(), [1, 2, 5]):
            core.set_isa(isa)
            assert plain == run(X, starts, metric, 5, weights, threads, blocks=2)
    finally:
        core.set_isa(before)


HARD = {
    "equal rows": lambda rng, n, d: np.tile(rng.standard_normal(d), (n, 1)),
    "few distinct rows": lambda rng, n, d: rng.standard_normal((90, d))[rng.integers(90, size=n)],
    "heavy tails": lambda rng, n, d: rng.standard_normal((n, d)) * np.exp(6 * rng.standard_normal((n, 1))),
    "one huge column": lambda rng, n, d: rng.standard_normal((n, d)) * np.r_[1e9, np.ones(d - 1)],
    "far from the origin": lambda rng, n, d: rng.standard_normal((n, d)) + 1e4,
    "tiny": lambda rng, n, d: rng.standard_normal((n, d)) * 1e-22,
    "huge": lambda rng, n, d: rng.standard_normal((n, d)) * 1e16,
    "zero rows": lambda rng, n, d: rng.standard_normal((n, d)) * (rng.random((n, 1)) < 0.5),
    "a grid": lambda rng, n, d: rng.integers(0, 5, size=(n, d)),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HARD)
def test_hard_data_stay_exact(metric, name):
    """With empty clusters, that take rows from others, and atoms that tie."""
    rng = np.random.default_rng(len(name))
    X = HARD[name](rng, ROWS, 4).astype(np.float32)
    starts = [np.vstack([X[:60], X[:20]])]
    assert run(X, starts, metric, 5, screen=False, drift=False) == run(X, starts, metric, 5, blocks=2)


@pytest.mark.parametrize("seed", range(8))
def test_a_long_atom_counts_with_its_own_error(seed):
    """Copies of x lie as far from the atom amid all, whose float32 score is exact, as from one at 2 x."""
    rng = np.random.default_rng(seed)
    u = rng.standard_normal((20, 6))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    off = rng.choice([-1, 1], (2, 1)) * 10.0 ** rng.uniform(-12, -9, (2, 1))  # less than float32 tells
    twice, far = 2 * np.array([u[0], -u[0]]) * (1 + off), 6 * np.vstack([u[1:], -u[1:]])
    apart = np.repeat(np.vstack([far, twice]), 64, axis=0)
    amid, copies = np.repeat([0.01 * u[1], -0.01 * u[1]], 32, axis=0), np.repeat([u[0], -u[0]], 64, axis=0)
    X = np.vstack([apart, amid, copies])
    weights = np.r_[np.ones(len(X) - len(copies)), np.zeros(len(copies))]  # so that no atom near them moves
    found = []
    for switches in ({"screen": False, "drift": False}, {"blocks": 2}):
        lloyd = core.Lloyd(X, weights, "euclidean", 1, "test", **switches)
        lloyd.set_centers(np.vstack([np.zeros((1, 6)), twice, far * 1.001]), False)
        lloyd.assign(False)
        lloyd.update()
        share = lloyd.assign(False)[2] / (len(X) * 41 * 6)
        found.append(lloyd.labels().tobytes())
    assert share < 0.1  # by blocks
    assert found[0] == found[1]


def spent(X, m, n_iter, **switches):
    """Of each pass the share of all scores."""
    lloyd = core.Lloyd(X, None, "euclidean", 1, "test", **switches)
    lloyd.set_centers(X[:m], False)
    shares = []
    for _ in range(n_iter):
        shares.append(lloyd.assign(False)[2] / (len(X) * m * X.shape[1]))
        lloyd.update()
    return shares


def test_a_block_looks_only_at_atoms_that_its_box_allows():
    X = np.random.default_rng(0).random((20000, 2)).astype(np.float32)
    shares = spent(X, 100, 6, blocks=2)
    assert shares[0] == pytest.approx(1, abs=0.01)
    assert max(shares[1:]) < 0.2
    assert min(spent(X, 100, 6, blocks=0)) == pytest.approx(1, abs=0.01)


def test_blocks_are_made_once_they_have_paid_and_only_where_they_do():
    rng = np.random.default_rng(0)
    near, apart = rng.random((40000, 3)), rng.standard_normal((40000, 24))
    shares = spent(near.astype(np.float32), 200, 12)
    assert shares[:3] == pytest.approx([1, 1, 1], abs=0.01)  # what was spent pays for none yet
    assert max(shares[-4:]) < 0.3
    # In 24 columns every box meets most atoms: a trial sees it, and rows go on as they come.
    assert min(spent(apart.astype(np.float32), 200, 12)) == pytest.approx(1, abs=0.01)
    assert min(spent(apart.astype(np.float32), 200, 12, blocks=2)[1:]) > 0.6


@pytest.mark.parametrize("metric", METRICS)
def test_the_objective_of_sums_is_that_of_rows(metric):
    rng = np.random.default_rng(1)
    X, weights = blobs(rng, 6, n=3000), rng.random(3000)
    lloyd = core.Lloyd(X, weights, metric, 1, "test")
    lloyd.set_centers(X[:12], metric == "cosine")
    for _ in range(5):
        objective = lloyd.assign()[1]
        assert objective == pytest.approx(lloyd.inertia(), rel=1e-12)
        lloyd.update()
    assert lloyd.assign(False)[1] == 0


@pytest.mark.parametrize("place", [1e3, 1e6])
def test_where_sums_lose_digits_rows_tell_the_objective(place):
    X = np.random.default_rng(2).normal(size=(3000, 3)) + place
    lloyd = core.Lloyd(X, None, "euclidean", 1, "test")
    lloyd.set_centers(X[:12], False)
    assert lloyd.assign()[1] == lloyd.inertia()


def test_scores_are_those_of_the_last_assignment():
    rng = np.random.default_rng(4)
    X = blobs(rng, 3)
    early, late = (core.Lloyd(X, None, "euclidean", 1, "test") for _ in range(2))
    for lloyd in (early, late):
        lloyd.set_centers(X[:9], False)
        lloyd.assign()
    before = early.scores()
    late.update()
    assert np.array_equal(before, late.scores())
