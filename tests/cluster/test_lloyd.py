"""Sparse and dense k-means against plain float64 Lloyd, and against itself in every variant."""

from __future__ import annotations

import itertools

import core
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import check_labels, corpus, dense, lloyd, scores

import latom
from latom._base.arrays import to_core

METRICS = ["cosine", "euclidean"]
ESTIMATORS = {"cosine": latom.SphericalKMeans, "euclidean": latom.KMeans}


def run(X, centers, metric, n_iter, weights=None, n_threads=1, few=False, **bounds):
    """n_iter steps of the core; labels, scores and centers after a last assignment."""
    lloyd = core.Lloyd(to_core(X), weights, metric, n_threads, "test", few=few, **bounds)
    lloyd.set_centers(to_core(centers), metric == "cosine")
    stats = []
    for _ in range(n_iter):
        stats.append((lloyd.assign(), lloyd.update()))
    lloyd.assign()
    parts = lloyd.centers()
    parts = parts if isinstance(parts, tuple) else (parts,)
    return lloyd.labels(), lloyd.scores(), parts, stats


def same(a, b):
    assert (a[0] == b[0]).all()
    assert (a[1] == b[1]).all()
    for x, y in zip(a[2], b[2], strict=True):
        assert np.array_equal(x, y)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("m", [1, 2, 63, 64, 65, 130])
def test_follows_plain_lloyd(metric, signed, m):
    """The same labels as float64 Lloyd, and its centers to rounding, for widths around the vector's."""
    rng = np.random.default_rng(m)
    X = corpus(rng, 600, 150, 20, signed, np.float64)
    start = X[rng.permutation(600)[:m]]
    labels, score, parts, _ = run(X, start, metric, 5)
    C = dense(sp.csr_array((parts[2], parts[1], parts[0]), shape=(m, 150)))
    expected_labels, expected = lloyd(X, start, metric, 5)
    assert (labels == expected_labels).mean() > 0.999
    assert np.abs(C - expected).max() < 1e-9
    check_labels(X, C, labels, metric)
    assert np.allclose(score, scores(X, C, metric).max(axis=1), atol=1e-11, rtol=0)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_bound_gives_the_same_bits(metric, signed, dtype):
    """Each combination of bounds, on data where they discard a lot and where they discard little."""
    rng = np.random.default_rng(7)
    for X in (corpus(rng, 900, 300, 40, signed, dtype), corpus(rng, 300, 20, 3, signed, dtype, 0.6)):
        start = X[rng.permutation(X.shape[0])[:70]]
        plain = run(X, start, metric, 6, screen=False, drift=False, residual=False, drop=0)
        spent = sum(s[0][2] for s in plain[3])
        assert spent == 6 * X.nnz * 70
        for drift, residual, group, drop in itertools.product(
            [False, True], [False, True], [0, 1, 8], [0, 3, 40]
        ):
            same(plain, run(X, start, metric, 6, drift=drift, residual=residual, group=group, drop=drop))
        same(plain, run(X, start, metric, 6, screen=False, drift=True))
        same(plain, run(X, start, metric, 6, few=True))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("m", [1, 7, 8, 9, 23, 24, 25, 33, 143, 144, 145, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_atoms_give_the_same_bits_as_many(metric, m, dtype, isa):
    """All scores at once, at widths around the registers', with zero rows, against one product at a time."""
    rng = np.random.default_rng(m)
    X = corpus(rng, 400, 90, 12, True, dtype).tolil()
    X[[3, 50]] = 0
    X = sp.csr_array(X)
    start = X[np.r_[5:40, rng.permutation(400)][:m]]
    same(run(X, start, metric, 4, screen=False, drift=False), run(X, start, metric, 4, few=True, n_threads=2))


@pytest.mark.parametrize("metric", METRICS)
def test_drift_skips_rows_once_centers_settle(metric):
    """The bound is worth something: late passes spend a small part of what early ones spend."""
    rng = np.random.default_rng(0)
    X = corpus(rng, 2000, 400, 50)
    start = X[rng.permutation(2000)[:64]]
    *_, stats = run(X, start, metric, 25, drift=True)
    *_, without = run(X, start, metric, 25, drift=False)
    assert [s[0][:2] for s in stats] == [s[0][:2] for s in without]
    assert stats[-1][0][2] < 0.1 * without[-1][0][2]


@pytest.mark.parametrize("metric", METRICS)
def test_same_bits_for_every_isa_thread_count_and_index_width(metric):
    rng = np.random.default_rng(3)
    for dtype, signed in itertools.product([np.float32, np.float64], [False, True]):
        X = corpus(rng, 5000, 200, 30, signed, dtype)
        start = X[rng.permutation(5000)[:90]]
        wide = sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)
        group = 8 if signed else 0
        reference = run(X, start, metric, 4, group=group)
        before = core.isa()
        try:
            for isa in core.available_isas():
                core.set_isa(isa)
                for threads, rows in itertools.product([1, 2, 5], [X, wide]):
                    fast = run(rows, start, metric, 4, n_threads=threads, group=group)
                    same(reference, fast)
                    assert fast[3] == reference[3]  # statistics too: the screen is integer arithmetic
                    same(reference, run(rows, start, metric, 4, n_threads=threads, few=True))
        finally:
            core.set_isa(before)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dense_equals_sparse(metric, dtype):
    rng = np.random.default_rng(5)
    X = corpus(rng, 400, 60, 10, True, dtype)
    start = X[rng.permutation(400)[:20]]
    a = run(X, start, metric, 5)
    b = run(np.ascontiguousarray(X.toarray()), np.ascontiguousarray(start.toarray()), metric, 5)
    assert (a[0] == b[0]).all()
    assert np.allclose(a[1], b[1], atol=1e-12)
    C = sp.csr_array((a[2][2], a[2][1], a[2][0]), shape=(20, 60)).toarray()
    assert np.abs(C - b[2][0]).max() < 1e-6


@pytest.mark.parametrize("metric", METRICS)
def test_weights_count_rows(metric):
    """Integer weights give the centers of repeated rows; labels do not depend on weights."""
    rng = np.random.default_rng(11)
    X = corpus(rng, 200, 50, 8, dtype=np.float64)
    w = rng.integers(1, 4, 200).astype(float)
    repeated = X[np.repeat(np.arange(200), w.astype(int))]
    start = X[:10]
    a, b = run(X, start, metric, 6, weights=w), run(repeated, start, metric, 6)
    assert (np.repeat(a[0], w.astype(int)) == b[0]).all()
    assert np.isclose(a[3][-1][0][1], b[3][-1][0][1])


@pytest.mark.parametrize("metric", METRICS)
def test_objective_never_rises(metric):
    rng = np.random.default_rng(13)
    X = corpus(rng, 1500, 120, 25, True)
    *_, stats = run(X, X[:60], metric, 20)
    objective = np.array([s[0][1] for s in stats])
    assert (np.diff(objective) <= 1e-6 * objective[0]).all()
    assert objective[-1] < objective[0]


@pytest.mark.parametrize("metric", METRICS)
def test_ties_go_to_the_lowest_index(metric):
    rng = np.random.default_rng(17)
    X = corpus(rng, 300, 40, 5)
    centers = sp.vstack([X[5:6], X[9:10], X[5:6], X[9:10], X[5:6]]).tocsr()
    labels, _ = latom.assign(X, centers, metric=metric)
    assert set(np.unique(labels)) <= {0, 1}
    check_labels(X, centers, labels, metric)
    every = sp.vstack([X[:1]] * 200).tocsr()  # all atoms tie
    assert (latom.assign(X, every, metric=metric)[0] == 0).all()


def test_empty_clusters_take_the_worst_rows():
    """Centers that no row chooses: each takes the row with the highest cost, and is kept."""
    rng = np.random.default_rng(19)
    X = corpus(rng, 200, 60, 6, dtype=np.float64)
    start = sp.vstack([X[:4], X[:1], X[:1]]).tocsr()  # clusters 4 and 5 tie with 0, so they are empty
    lloyd = core.Lloyd(to_core(X), None, "cosine", 1, "test")
    lloyd.set_centers(to_core(start), True)
    lloyd.assign()
    cost = 1 - lloyd.scores()
    worst = np.lexsort((np.arange(200), -cost))[:2]
    before = lloyd.labels()
    assert lloyd.update()[1] == 2
    after = lloyd.labels()
    assert after[worst[0]] == 4
    assert after[worst[1]] == 5
    assert (np.delete(after, worst) == np.delete(before, worst)).all()


def test_cancelling_sum_keeps_its_center():
    X = np.array([[1.0, 0.5], [-1.0, -0.5], [0.2, 3.0]])
    lloyd = core.Lloyd(X, None, "cosine", 1, "test")
    lloyd.set_centers(np.array([[0.6, 0.8]]), True)
    lloyd.assign()
    lloyd.update()
    kept = lloyd.centers()
    other = core.Lloyd(X[:2].copy(), None, "cosine", 1, "test")
    other.set_centers(np.array([[0.6, 0.8]]), True)
    other.assign()
    other.update()
    assert np.allclose(other.centers(), [[0.6, 0.8]], atol=1e-15)
    assert not np.allclose(kept, [[0.6, 0.8]])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    d=st.integers(1, 40),
    m=st.integers(1, 80),
    scale=st.sampled_from([1e-18, 1e-6, 1.0, 1e6, 1e15]),
    metric=st.sampled_from(METRICS),
    kind=st.sampled_from(["positive", "signed", "one-hot", "constant", "duplicates", "heavy"]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_screened_labels_are_those_of_the_plain_sum(seed, n, d, m, scale, metric, kind, dtype):
    """Adversarial rows and atoms: the screen may not lose a winner, a tie, or a bit of a score."""
    rng = np.random.default_rng(seed)

    def matrix(rows):
        A = rng.random((rows, d)) + 0.01
        if kind == "signed":
            A -= 0.5
        elif kind == "one-hot":
            A = np.eye(d)[rng.integers(0, d, rows)]
        elif kind == "constant":
            A = np.ones((rows, d))
        elif kind == "duplicates":
            A = A[rng.integers(0, max(1, rows // 3), rows)]
        elif kind == "heavy":
            A = A * np.exp(8 * rng.standard_normal((rows, 1))) * np.exp(4 * rng.standard_normal(d))
        if kind != "constant":
            A[rng.random(A.shape) < 0.5] = 0
        return sp.csr_array((A * scale).astype(dtype))

    X, C = matrix(n), matrix(m)
    plain = run(X, C, metric, 3, screen=False, drift=False)
    for group in (1, 8):
        same(plain, run(X, C, metric, 3, group=group))


@pytest.mark.parametrize("group", [0, 1, 8])
@pytest.mark.parametrize("sign", [1, -1])
def test_centers_whose_numbers_lie_between_bytes(group, sign):
    """The center that becomes the best has 27 numbers of 24.4 units of a byte, and is best by little."""
    rng, d, count = np.random.default_rng(1), 64, 45
    light, heavy, start = [], [np.eye(d)], [np.eye(d)]  # which set the units
    for _ in range(count):
        columns = rng.permutation(d)
        row, best, second = np.zeros((3, d))
        row[columns[:40]] = best[columns[:27]] = second[columns[7:40]] = 1
        second[columns[40:48]] = sign
        before = best.copy()
        before[columns[48:58]] = 1
        light.append(row)
        heavy += [best, second]
        start += [before, second]
    X, C = sp.csr_array(np.vstack(light + heavy)), sp.csr_array(np.vstack(start))
    weights = np.repeat([0.0, 1.0], [count, X.shape[0] - count])
    plain = run(X, C, "cosine", 0, weights, screen=False)[0], run(X, C, "cosine", 1, weights, screen=False)[0]
    assert (plain[0][:count] == d + 2 * np.arange(count) + 1).all()
    assert (plain[1][:count] == d + 2 * np.arange(count)).all()
    for drop in (0, 3):
        assert (run(X, C, "cosine", 1, weights, group=group, drop=drop)[0] == plain[1]).all()


@pytest.mark.parametrize("group", [0, 1, 8])
@pytest.mark.parametrize("signed", [False, True])
def test_a_center_that_bytes_make_look_better(group, signed):
    """Its bound lies above the best center's; a first pass knows no score.

    Without signs, the second's numbers are 20.08 units of a byte, which become 21, and the best's are 29.93.
    With signs, all are 29.93, and a row's 1.49 become 1 where the best has its numbers.
    """
    rng, d, count = np.random.default_rng(2), 300, 45
    rows, centers = np.zeros((count, d)), [np.eye(d)]
    for row in rows:
        columns = 1 + rng.permutation(d - 1)
        best, second = np.zeros((2, d))
        if signed:
            row[0], row[columns[:18]], row[columns[18:31]] = -127, 1.49, 2
            best[columns[:18]] = second[columns[18:36]] = 1
        else:
            row[columns[:40]] = best[columns[:18]] = second[columns[14:54]] = 1
        centers += [best, second]
    X, C = sp.csr_array(rows), sp.csr_array(np.vstack(centers))
    wanted = d + 2 * np.arange(count)
    assert (((X @ C.T).toarray() / np.sqrt((C**2).sum(axis=1))).argmax(axis=1) == wanted).all()
    assert (run(X, C, "cosine", 0, group=group, drop=0)[0] == wanted).all()


def test_a_rare_term_that_speaks_against_a_neighbor_alone():
    """Eight centers are bounded together: what one of them loses is no loss of the one that is the best."""
    rng, d, count = np.random.default_rng(3), 300, 46
    light, heavy, start = np.zeros((count, d + count)), [np.eye(d, d + count)], [np.eye(d, d + count)]
    for i, row in enumerate(light):
        columns = rng.permutation(d)
        best, second = np.zeros((2, d + count))
        row[columns[:40]] = best[columns[:27]] = second[columns[16:41]] = 1
        row[d + i], best[d + (i ^ 1)] = 12, -1
        before = best.copy()
        before[columns[45:64]] = 2 + (count - i) / 64  # the first move farthest, and stand together
        heavy += [best, second]
        start += [before, second]
    X, C = sp.csr_array(np.vstack([light, *heavy])), sp.csr_array(np.vstack(start))
    weights = np.repeat([0.0, 1.0], [count, X.shape[0] - count])
    plain = run(X, C, "cosine", 0, weights, screen=False)[0], run(X, C, "cosine", 1, weights, screen=False)[0]
    assert (plain[0][:count] != plain[1][:count]).all()
    assert (plain[1][:count] == d + 2 * np.arange(count)).all()
    assert (run(X, C, "cosine", 1, weights, group=8, drop=0)[0] == plain[1]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_rows_and_centers_of_opposite_signs(metric):
    """Centers without negative entries for rows that have some: both must be rounded alike."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        rows = rng.random((40, 3)) + 0.05
        rows[20:] *= -1
        X = sp.csr_array(rows)
        w = np.where(rows[:, 0] < 0, 0.0, 1.0)
        plain = run(X, X[:8], metric, 4, weights=w, screen=False, drift=False)
        for group in (1, 8):
            same(plain, run(X, X[:8], metric, 4, weights=w, group=group))


def test_many_atoms():
    """Enough of them that groups are bounded first, on several tiles."""
    rng = np.random.default_rng(1)
    X = corpus(rng, 6000, 400, 300)
    start = X[rng.permutation(6000)[:4200]]
    same(run(X, start, "cosine", 2, screen=False, drift=False), run(X, start, "cosine", 2))


def test_million_rows_stay_within_memory():
    """The bound that the docstring gives, on a million short rows (in a process of its own)."""
    pytest.importorskip("resource")
    import subprocess
    import sys

    script = """
import resource, numpy as np, scipy.sparse as sp, latom
rng = np.random.default_rng(0)
n, d, m = 1_000_000, 5000, 100
indices = np.sort(rng.integers(0, d // 5, (n, 5)), axis=1) + np.arange(5) * (d // 5)
X = sp.csr_array((rng.random(5 * n, dtype=np.float32) + 0.1, indices.ravel().astype(np.int32),
                  np.arange(0, 5 * n + 1, 5, dtype=np.int32)), shape=(n, d))
latom.SphericalKMeans
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
km = latom.SphericalKMeans(m, init="random", max_iter=3, tol=0, random_state=0).fit(X)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, len(km.labels_))
"""
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    megabytes, rows = out.stdout.split()
    assert int(rows) == 1_000_000
    assert float(megabytes) < 150  # 40 bytes per row, copies of labels and scores, 8 MB of indptr, scratch


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_equal_predict_after_fit(metric, dtype):
    rng = np.random.default_rng(23)
    X = corpus(rng, 800, 100, 12, dtype=dtype)
    for max_iter in (1, 3, 100):
        km = ESTIMATORS[metric](15, max_iter=max_iter, random_state=1).fit(X)
        assert (km.labels_ == km.predict(X)).all()
        assert np.isclose(km.inertia_, -km.score(X), rtol=1e-12)
        assert km.cluster_centers_.dtype == dtype
        assert km.n_iter_ == len(km.history_) <= max_iter
