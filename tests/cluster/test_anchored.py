"""What dense rows carry from pass to pass, in runs of all kinds of passes, held to the plain path."""

from __future__ import annotations

import itertools
import signal

import core
import numpy as np
import pytest

METRICS = ["cosine", "euclidean"]


def run(X, start, metric, n_iter, weights=None, threads=1, **switches):
    """What each step says, with labels, scores and centers at the end, and the multiply-adds of each pass."""
    lloyd = core.Lloyd(X, weights, metric, threads, "test", few=False, **switches)
    lloyd.set_centers(start, metric == "cosine")
    found, spent = [], []
    for _ in range(n_iter):
        *said, products = lloyd.assign()
        spent.append(products)
        found += [said, lloyd.update(), lloyd.labels().tobytes()]
    found += [lloyd.assign()[1], lloyd.inertia(), lloyd.scores().tobytes(), lloyd.centers().tobytes()]
    return found, spent


def blobs(rng, n, d, dtype=np.float32, groups=60, spread=0.6):
    middles = rng.standard_normal((groups, d))
    return (middles[rng.integers(groups, size=n)] + spread * rng.standard_normal((n, d))).astype(dtype)


def crowded(X, m):
    """Starting centers that stand nearly all in one place: some of them go far, over many passes."""
    order = np.argsort(X @ X[0])
    return X[np.r_[order[-m + m // 8 :], order[: m // 8]]]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("m", [16, 31, 33, 80, 150])
@pytest.mark.parametrize("d", [24, 70, 130])
def test_long_runs_follow_the_plain_path(metric, m, d, isa):
    rng = np.random.default_rng(m + d)
    X = blobs(rng, 1300, d, np.float32 if m % 2 else np.float64)
    X[[7, 400]] = 0
    start = crowded(X, m)
    plain, all_of_it = run(X, start, metric, 25, screen=False, drift=False)
    bounds, spent = run(X, start, metric, 25)
    assert plain == bounds
    assert spent[-1] < all_of_it[-1] / 2 or m < 80  # they were used
    assert plain == run(X, start, metric, 25, drift=False)[0]
    assert plain == run(X, start, metric, 25, screen=False)[0]  # bounds alone, and float64
    check_sums(X, plain, m, metric)


def check_sums(X, found, m, metric):
    """Centers and objectives that follow sums from step to step, against those of the labels."""
    labels = np.frombuffer(found[-5], np.int32)
    centers = np.frombuffer(found[-1], X.dtype).reshape(m, -1).astype(np.float64)
    rows = X.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if metric == "cosine":
        rows = rows / np.where(lengths > 0, lengths, 1)
    sizes = np.bincount(labels, minlength=m)
    assert sizes.min() > 0
    means = np.array([rows[labels == j].mean(axis=0) for j in range(m)])
    if metric == "cosine":
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert np.abs(means - centers).max() < (1e-6 if X.dtype == np.float32 else 1e-12)
    assert abs(found[-4] - found[-3]) < 1e-10 * found[-3]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shorten", [0, 2])
def test_threads_and_what_is_kept_change_no_bit(metric, shorten):
    rng = np.random.default_rng(5)
    X = blobs(rng, 3000, 60)
    X[:, 12:] *= np.float32(0.05)  # few directions hold most of it
    weights = rng.integers(0, 3, 3000) * rng.random(3000)
    start = crowded(X, 120)
    plain = run(X, start, metric, 25, weights, screen=False, drift=False)[0]
    for threads, keep in itertools.product([1, 2, 5], [False, True]):
        found, _ = run(X, start, metric, 25, weights, threads, shorten=shorten, keep=keep)
        assert plain == found, (threads, keep)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("m", [40, 140])
def test_centers_that_spread_slowly(metric, m):
    """Along a curve each step moves all a little, and rows change over and back, for many passes."""
    rng = np.random.default_rng(m)
    t = np.sort(rng.random(1500))[:, None]
    X = np.cos(3 * t * np.arange(1, 25) / 8) + 1e-3 * rng.standard_normal((1500, 24))
    start = X[: 3 * m : 3].copy()  # at one end of it
    plain = run(X, start, metric, 150, screen=False, drift=False)[0]
    assert plain == run(X, start, metric, 150)[0]
    assert plain == run(X, start, metric, 150, screen=False)[0]


@pytest.mark.parametrize("metric", METRICS)
def test_clusters_that_stand_empty_take_rows_amid_a_run(metric):
    rng = np.random.default_rng(6)
    X = np.unique(np.round(blobs(rng, 900, 30, groups=12), 1), axis=0)
    start = X[np.r_[rng.permutation(len(X))[:90], [3] * 20]]  # copies of one row: all but the first are empty
    plain = run(X, start, metric, 30, screen=False, drift=False)[0]
    assert plain == run(X, start, metric, 30)[0]


@pytest.mark.parametrize("metric", METRICS)
def test_ties_within_rounding_are_decided_by_float64(metric):
    """Rows as far from two centers, and centers that hardly move: scores decide what bounds cannot tell."""
    rng = np.random.default_rng(7)
    half = rng.standard_normal((60, 40))
    X = np.vstack([half, half[:, ::-1], half + 1e-7, np.repeat(half[:4], 30, axis=0)])
    start = np.vstack([half[:30], half[:30, ::-1]])
    for dtype in (np.float64, np.float32):
        rows, centers = X.astype(dtype), start.astype(dtype)
        plain = run(rows, centers, metric, 20, screen=False, drift=False)[0]
        assert plain == run(rows, centers, metric, 20)[0]


@pytest.mark.parametrize("metric", METRICS)
def test_bounds_of_one_way_do_not_mislead_another(metric):
    """50 centers are few where vectors are long, and many elsewhere: variants take turns in one run."""
    long, short = core.available_isas()[-1], "avx2"
    if not {long, short} <= set(core.available_isas()) or long == short:
        pytest.skip("needs vectors of two lengths")
    rng = np.random.default_rng(4)
    X = blobs(rng, 2500, 70)
    start = crowded(X, 50)
    plain = run(X, start, metric, 30, screen=False, drift=False)[0]
    before, found = core.isa(), []
    lloyd = core.Lloyd(X, None, metric, 2, "test")
    lloyd.set_centers(start, metric == "cosine")
    try:
        for step in range(30):
            core.set_isa(short if step % 10 < 6 else long)
            *said, _ = lloyd.assign()
            found += [said, lloyd.update(), lloyd.labels().tobytes()]
    finally:
        core.set_isa(before)
    assert found == plain[: len(found)]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
def test_steps_go_on_after_interrupted_passes_as_if_these_had_never_been():
    rng = np.random.default_rng(8)
    X = blobs(rng, 150_000, 64)
    start = crowded(X[:3000], 100)
    plain = run(X, start, "euclidean", 12)[0]
    found, broken = [], 0
    lloyd = core.Lloyd(X, None, "euclidean", 1, "test", few=False)
    lloyd.set_centers(start, False)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(12):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.022)
                lloyd.assign()
            except KeyboardInterrupt:
                broken += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            _, objective, _ = lloyd.assign()
            found += [objective, lloyd.update(), lloyd.labels().tobytes()]
    finally:
        signal.signal(signal.SIGALRM, before)
    assert broken >= 2
    assert found == [part[1] if k % 3 == 0 else part for k, part in enumerate(plain[: len(found)])]
