"""Dense k-means through the low-precision screen: held to the plain float64 path, bit for bit."""

from __future__ import annotations

import itertools

import core
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import check_labels, lloyd

METRICS = ["cosine", "euclidean"]


def run(X, centers, metric, n_iter, n_threads=1, few=False, **bounds):
    """n_iter steps and a last assignment: labels, scores, centers, and what each assignment said.

    few: rows of few columns go a way of their own, as they do unless told otherwise.
    """
    lloyd = core.Lloyd(X, None, metric, n_threads, "test", few=few, **bounds)
    lloyd.set_centers(centers, metric == "cosine")
    stats = []
    for _ in range(n_iter):
        stats.append(lloyd.assign())
        lloyd.update()
    stats.append(lloyd.assign())
    return lloyd.labels(), lloyd.scores(), lloyd.centers(), stats


def same(a, b):
    for x, y in zip(a[:3], b[:3], strict=True):
        assert np.array_equal(x, y)
    assert [s[:2] for s in a[3]] == [s[:2] for s in b[3]]  # changed rows and objective


def blobs(rng, n, d, topics, dtype=np.float32, spread=0.7):
    return (
        rng.standard_normal((topics, d))[rng.integers(topics, size=n)] + spread * rng.standard_normal((n, d))
    ).astype(dtype)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("m", [1, 2, 15, 16, 17, 31, 32, 33, 65, 130])
@pytest.mark.parametrize("d", [1, 2, 23, 24, 25, 64])
def test_follows_plain_lloyd(metric, m, d):
    rng = np.random.default_rng(m * 100 + d)
    X = blobs(rng, 500, d, 12, np.float64)
    start = X[rng.permutation(500)[:m]]
    labels, _, centers, _ = run(X, start, metric, 1)  # no cluster is empty yet: the oracle moves no rows
    check_labels(X, centers, labels, metric)
    if d > 1:  # on a line many cosines tie
        expected_labels, expected = lloyd(X, start, metric, 1)
        assert (labels == expected_labels).mean() > 0.999
        assert np.abs(centers - expected).max() < 1e-9
    plain = run(X, start, metric, 3, screen=False, drift=False)
    same(plain, run(X, start, metric, 3))
    same(plain, run(X, start, metric, 3, few=True))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_for_every_isa_thread_count_and_bound(metric, dtype):
    rng = np.random.default_rng(3)
    before = core.isa()
    for n, d, m in ((3000, 40, 70), (2500, 6, 300), (700, 130, 90)):
        X = blobs(rng, n, d, 30, dtype)
        start = X[rng.permutation(n)[:m]]
        reference = run(X, start, metric, 6, screen=False, drift=False)
        try:
            for isa in core.available_isas():
                core.set_isa(isa)
                for threads, drift in itertools.product([1, 2, 5], [False, True]):
                    same(reference, run(X, start, metric, 6, threads, drift=drift))
                    same(reference, run(X, start, metric, 6, threads, few=True))
                same(reference, run(X, start, metric, 6, 2, screen=False))
        finally:
            core.set_isa(before)


@pytest.mark.parametrize("metric", METRICS)
def test_bounds_avoid_products_once_centers_settle(metric):
    rng = np.random.default_rng(0)
    X = blobs(rng, 3000, 32, 40, spread=0.4)
    start = X[rng.permutation(3000)[:64]]
    late = [run(X, start, metric, 15, drift=drift)[3][-1][2] for drift in (True, False)]
    assert late[0] < 0.3 * late[1]


@pytest.mark.parametrize("d", [1, 2, 3, 7, 8, 9, 16, 17, 33, 64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_columns_score_every_row_in_one_pass(dtype, d, isa):
    """All widths of the last block, and numbers of atoms around those that are scored together."""
    rng = np.random.default_rng(d)
    for n, m in ((1, 1), (31, 3), (32, 4), (33, 5), (1024, 7), (1025, 8), (1100, 9), (300, 17)):
        X = blobs(rng, n, d, 5, dtype)
        start = X[rng.permutation(n)[:m]]
        for metric in METRICS:
            few = run(X, start, metric, 2, few=True)
            same(run(X, start, metric, 2, screen=False, drift=False), few)
        assert few[3][-1][2] < 1.1 * n * m * d  # float32 decided nearly all


def test_few_columns_give_way_where_float32_decides_little():
    """Near each of two far places float32 cannot tell atoms apart: bounds take over from the second pass."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((4000, 4)) + 1e5 * rng.choice([-1, 1], (4000, 1))
    start = X[:40]
    few = run(X, start, "euclidean", 4, few=True)
    same(run(X, start, "euclidean", 4, screen=False, drift=False), few)
    products = [s[2] for s in few[3]]
    assert products[0] > 1.9 * 4000 * 40 * 4  # all rows in float32, and in float64
    assert products[2] < 0.8 * products[0]


@pytest.mark.parametrize("place", [1e3, 1e5])
def test_few_columns_far_from_the_origin_need_no_float64(place):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((2000, 5)) + place
    few = run(X, X[:20], "euclidean", 2, few=True)
    same(run(X, X[:20], "euclidean", 2, screen=False, drift=False), few)
    assert few[3][-1][2] < 1.1 * 2000 * 20 * 5


def test_few_columns_take_fewer_atoms_after_many():
    rng = np.random.default_rng(4)
    X = blobs(rng, 300, 3, 5)
    lloyd = core.Lloyd(X, None, "euclidean", 1, "test")
    for m in (40, 3, 17):
        lloyd.set_centers(X[:m], False)
        lloyd.assign()
        assert np.array_equal(lloyd.labels(), run(X, X[:m], "euclidean", 0, screen=False)[0])


def test_one_far_atom_leaves_the_others_their_bounds():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((2000, 5)).astype(np.float32)
    X[1999] = 1e7
    start = np.vstack([X[:19], X[1999:]])
    few = run(X, start, "euclidean", 2, few=True)
    same(run(X, start, "euclidean", 2, screen=False, drift=False), few)
    assert few[3][-1][2] < 1.2 * 2000 * 20 * 5


HARD = {
    "equal rows": lambda rng, n, d: np.tile(rng.standard_normal(d), (n, 1)),
    "few distinct rows": lambda rng, n, d: rng.standard_normal((5, d))[rng.integers(5, size=n)],
    "heavy tails": lambda rng, n, d: rng.standard_normal((n, d)) * np.exp(8 * rng.standard_normal((n, 1))),
    "one huge column": lambda rng, n, d: rng.standard_normal((n, d)) * np.r_[1e9, np.ones(d - 1)],
    "far from the origin": lambda rng, n, d: rng.standard_normal((n, d)) + 1e4,
    "tiny": lambda rng, n, d: rng.standard_normal((n, d)) * 1e-30,
    "huge": lambda rng, n, d: rng.standard_normal((n, d)) * 1e15,
    "one-hot": lambda rng, n, d: np.eye(d)[rng.integers(d, size=n)],
    "zero rows": lambda rng, n, d: rng.standard_normal((n, d)) * (rng.random((n, 1)) < 0.5),
    "near ties": lambda rng, n, d: 1 + 1e-7 * rng.integers(-3, 4, size=(n, d)),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_data_stay_exact(metric, name, dtype, isa):
    """Where the screen discards little or nothing, or its numbers could run out of range."""
    rng = np.random.default_rng(len(name))
    X = HARD[name](rng, 400, 30).astype(dtype)
    start = np.vstack([X[rng.permutation(400)[:80]], X[:60]])  # with repeated atoms
    plain = run(X, start, metric, 3, screen=False, drift=False)
    same(plain, run(X, start, metric, 3))
    same(plain, run(X, start, metric, 3, few=True))


def flat(rng, n, d, dtype, noise=0.1):
    """Groups of rows near 12 directions: few numbers hold most of each."""
    members = rng.standard_normal((40, 12))[rng.integers(40, size=n)] + 0.3 * rng.standard_normal((n, 12))
    return (members @ rng.standard_normal((12, d)) / 4 + noise * rng.standard_normal((n, d))).astype(dtype)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [48, 97, 144])
def test_short_rows_give_the_same_bits(metric, dtype, d, isa):
    rng = np.random.default_rng(d)
    X = flat(rng, 1500, d, dtype)
    X[7] = 0
    start = X[rng.permutation(1500)[:90]]
    reference = run(X, start, metric, 5, screen=False, drift=False)
    long = run(X, start, metric, 5, shorten=0, drift=False)
    for threads, drift in itertools.product([1, 2], [False, True]):
        short = run(X, start, metric, 5, threads, shorten=2, drift=drift)
        same(reference, short)
    assert run(X, start, metric, 5, shorten=2, drift=False)[3][-1][2] < 0.9 * long[3][-1][2]  # they were used
    lloyd = core.Lloyd(X, None, metric, 1, "test", shorten=2)  # the rows stay short from start to start
    for centers in (start, X[:50], start):
        lloyd.set_centers(centers, metric == "cosine")
        for _ in range(3):
            lloyd.assign()
            lloyd.update()
    lloyd.assign()
    again = run(X, start, metric, 3, screen=False, drift=False)
    assert np.array_equal(lloyd.labels(), again[0])
    assert np.array_equal(lloyd.scores(), again[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_data_stay_exact_in_short_rows(metric, name, dtype, isa):
    rng = np.random.default_rng(len(name))
    X = HARD[name](rng, 600, 60)
    X = X @ np.linalg.svd(rng.standard_normal((60, 60)))[0] if name in ("one-hot", "zero rows") else X
    X = X.astype(dtype)
    start = np.vstack([X[rng.permutation(600)[:80]], X[:60]])  # with repeated atoms
    same(run(X, start, metric, 4, screen=False, drift=False), run(X, start, metric, 4, shorten=2))


@pytest.mark.parametrize("turned", [False, True])
def test_short_rows_of_ties_take_the_lowest_atom(turned):
    """A row as far from its own atom as from a lower one, once they have moved, changes over to that."""
    rng = np.random.default_rng(5)
    groups, d = 30, 60
    X, left, right = [], [], []
    for g in range(groups):
        place = np.r_[0, 1, 100 * g, rng.integers(2, size=d - 3)]
        for x in (-3, -1, 0, 1, 5):  # the first two have mean -2, the others, if row -1 goes left, 2
            X.append(place + x * np.eye(d)[0])
        left.append(X[-5])
        right.append(X[-2])
    start = np.array(right + left if turned else left + right, np.float32)
    rows = np.array(X * 4, np.float32)
    plain = run(rows, start, "euclidean", 1, screen=False, drift=False)
    assert plain[0][2] == 0
    same(plain, run(rows, start, "euclidean", 1, shorten=2))


def test_short_rows_give_way_where_they_leave_too_much():
    """Where atoms are alike in the few directions that hold most, the long screen takes over."""
    rng = np.random.default_rng(6)
    X = (
        rng.standard_normal((5000, 1)) * np.eye(96)[0] * 0.1
        + np.eye(96)[1] * 3
        + 0.1 * rng.standard_normal((5000, 96))
    ).astype(np.float32)
    start = X[:1100]
    stats = run(X, start, "euclidean", 3, drift=False)
    plain = run(X, start, "euclidean", 3, shorten=0, drift=False)
    same(plain, stats)
    assert stats[3][1][2] > plain[3][1][2]  # tried once
    assert stats[3][-1][2] <= plain[3][-1][2]  # and not again


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(20, 300),
    d=st.integers(1, 70),
    m=st.integers(1, 60),
    metric=st.sampled_from(METRICS),
    levels=st.integers(1, 4),
    n_iter=st.integers(1, 6),
)
def test_small_integers_tie_and_agree(seed, n, d, m, metric, levels, n_iter):
    """Data on a coarse grid have exact ties in plenty: the lowest index wins on every path."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-levels, levels + 1, size=(n, d)).astype(np.float32)
    start = X[rng.integers(n, size=m)]
    same(run(X, start, metric, n_iter, screen=False, drift=False), run(X, start, metric, n_iter))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_eight_bits_cannot_decide_among_rows_that_they_can(metric, dtype, isa):
    """The first to be tried are easy; most others lie between atoms closer than 8 bits can tell."""
    rng = np.random.default_rng(11)
    n, d, m = 2800, 40, 300
    X = blobs(rng, n, d, 60, dtype)
    near = rng.standard_normal(d) * (1 + 3e-3 * rng.standard_normal((n, d)))
    hard = (np.arange(n) % 50 != 0) & (rng.random(n) < 0.7)
    X[hard] = near[hard]
    start = np.vstack([X[~hard][:100], X[hard][:200]])
    assert len(start) == m
    same(run(X, start, metric, 4, screen=False, drift=False), run(X, start, metric, 4, 2))


def test_eight_bits_are_given_up_where_they_leave_too_much(isa):
    """Rows far from the origin: products tell little of them. No pass may look twice."""
    rng = np.random.default_rng(12)
    X = (rng.standard_normal((3000, 48)) + 30).astype(np.float32)
    start = X[:256]
    found = run(X, start, "euclidean", 5, drift=False)
    same(run(X, start, "euclidean", 5, screen=False, drift=False), found)
    assert max(s[2] for s in found[3]) < 1.3 * 3000 * 256 * 48
