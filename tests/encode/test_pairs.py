"""Rows that are the atoms, with one product for each two of them: bit by bit what all pairs give."""

from __future__ import annotations

import signal
import threading

import core
import numpy as np
import pytest
from oracle import topk_model

from latom.neighbors import DenseIndex, NearestNeighbors

METRICS = ("dot", "cosine", "euclidean")


def screens():
    return ["auto", *core.kernels.tile_shape()[2]]


def check(X, k, metric="dot", screen="auto", threads=2, bias=None, pairs="always", note=""):
    values, indices = topk_model(X, X, k, bias, metric)
    index = core.AtomIndex(X, bias, metric, screen, threads, pairs=pairs)
    note = f"{note} {X.shape} {X.dtype} {k=} {metric} {screen} {threads=} {pairs}"
    for _ in range(2):  # the first call decides for later ones
        found = index.topk(X, "", k, "identity", threads)
        wrong = np.flatnonzero((found[1] != indices).any(axis=1))
        assert len(wrong) == 0, f"{note}: indices of rows {wrong[:9]}"
        assert np.array_equal(found[0], values), f"{note}: values"
    return found[2:]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_shape(isa, dtype, rng):
    """n around blocks, panels and tiles, with k to n."""
    turn = 0
    for n in (1, 13, 31, 33, 127, 128, 129, 141, 160, 256, 257, 300, 385, 511, 513, 700):
        for d in (1, 5, 33):
            X = rng.standard_normal((n, d)).astype(dtype)
            turn += 1
            ks = sorted({min(n, k) for k in (1, 2, 3, 16, n // 8 + 1, n // 2 + 1, n)})
            metric = METRICS[turn % 3]
            bias = rng.standard_normal(n) if metric == "dot" and turn % 2 else None
            for at in range(2):
                screen = screens()[(turn + at) % len(screens())]
                check(X, ks[(turn + 3 * at) % len(ks)], metric, screen, (1, 2, 5)[(turn + at) % 3], bias)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_option(isa, metric, threads, rng):
    for dtype in ("float32", "float64"):
        X = rng.standard_normal((1100, 20)).astype(dtype)
        for screen in screens():
            for k in (1, 2, 16):
                _, overflowed = check(X, k, metric, screen, threads)
                assert overflowed == 0


def hard(rng, n):
    normal = rng.standard_normal
    X = normal((n, 24))
    yield "each row twice", np.concatenate([X[: n // 2], X[: n // 2]])
    yield "rows equal", np.tile(X[:1], (n, 1))
    yield "few distinct rows", X[rng.integers(0, 7, n)]
    yield "integers", rng.integers(-2, 3, (n, 24))
    yield "bits", rng.integers(0, 2, (n, 24))
    zeros = X.copy()
    zeros[::3] = 0
    zeros[5] = -0.0
    yield "rows of zeros", zeros
    yield "all zero", X * 0
    for width in (3, 12, 17):
        yield f"lengths of 10^{width}", X * 10.0 ** rng.uniform(-width, width, (n, 1))
    yield "heavy tails", X * np.exp(3 * normal(X.shape))
    yield "one huge row", X * np.where(np.arange(n) == n // 3, 1e12, 1)[:, None]
    yield "one tiny row", X * np.where(np.arange(n) == n // 3, 1e-30, 1)[:, None]
    yield "long rows last", X * np.linspace(0.01, 10, n)[:, None] ** 2
    yield "far from the origin", X + 40
    yield "close together", X[:1] + 1e-5 * normal((n, 24))
    yield "clusters in order", np.repeat(normal((n // 50 + 1, 24)) * 9, 50, axis=0)[:n] + 0.1 * X
    yield "tiny", X * 1e-30
    yield "one-hot", np.eye(24)[rng.integers(0, 24, n)]
    yield "sorted", np.sort(np.abs(X), axis=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("metric", METRICS)
def test_hard_rows(isa, metric, dtype, rng):
    for turn, (name, X) in enumerate(hard(rng, 700)):
        X = np.ascontiguousarray(X, np.float64).astype(dtype)
        for at, screen in enumerate(screens()):
            check(X, (16, 5, 1)[(turn + at) % 3], metric, screen, 1 + (turn + at) % 2, note=name)


def test_biases(isa, rng):
    X = rng.standard_normal((600, 19)).astype(np.float32)
    for bias in (
        rng.standard_normal(600) * 3,
        rng.standard_normal(600) * 10.0 ** rng.uniform(-40, 3, 600),
        np.where(np.arange(600) % 7, 1e30, -1e30),
        -(X[0].astype(float) @ X.astype(float).T),
    ):
        for screen in screens():
            check(X, 9, "dot", screen, 2, bias)
            check(X * np.float32(1e-25), 9, "dot", screen, 2, bias)


def test_many_rows(isa, rng):
    """Where pairs are chosen, and 8 bits come first if the variant has them."""
    X = rng.standard_normal((2400, 1320)).astype(np.float32)
    for turn, (name, rows) in enumerate(
        (("ordinary", X), ("ties", X[rng.integers(0, 400, 2400)]), ("far", X + 40))
    ):
        for pairs in ("auto", "never"):
            check(np.ascontiguousarray(rows), 16, METRICS[turn], pairs=pairs, note=name)


def test_pairs_are_chosen_by_what_X_holds(rng):
    """A copy of the atoms is the atoms, and one bit makes it none; scores are no less right."""
    X = rng.standard_normal((900, 12)).astype(np.float32)
    for other in (X.copy(), np.where(np.arange(900)[:, None] == 899, -X, X)):
        values, indices, *_ = core.AtomIndex(X, None, "euclidean", pairs="always").topk(other, "", 7)
        expected = topk_model(other, X, 7, None, "euclidean")
        assert np.array_equal(indices, expected[1])
        assert np.array_equal(values, expected[0])


def test_neither_side_counts_twice(rng):
    """What is decided in float64 is no more than without pairs, give or take what thresholds leave."""
    X = rng.standard_normal((4000, 30)).astype(np.float32)
    for metric in METRICS:
        once = check(X, 16, metric, pairs="always")[0]
        plain = core.AtomIndex(X, None, metric, pairs="never").topk(X, "", 16)[2]
        assert once < 1.5 * plain, metric


def test_who_searches_its_own_rows_is_answered_so(rng):
    X = rng.standard_normal((2400, 1320)).astype(np.float32)
    X[7] = X[2000]
    for metric in ("cosine", "euclidean"):
        values, indices = topk_model(X, X, 12, None, metric)
        rest = [[j for j in row if j != i][:9] for i, row in enumerate(indices)]
        found = NearestNeighbors(n_neighbors=9, metric=metric).fit(X).kneighbors(return_distance=False)
        assert found.tolist() == rest, metric
        scores, again = DenseIndex(X, metric=metric).search(X, 9, exclude_self=True)
        assert again.tolist() == rest, metric
        assert (scores <= values[:, :9]).all(), metric


def test_an_interrupt_ends_it(rng):
    """Between rounds and within them."""
    X = rng.standard_normal((30000, 256)).astype(np.float32)
    index = core.AtomIndex(X, pairs="always")
    index.pack()
    timer = threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        index.topk(X, "", 16)
    timer.join()


def test_a_wrong_name_is_refused():
    with pytest.raises(ValueError, match="pairs must be 'auto', 'always' or 'never'"):
        core.AtomIndex(np.ones((3, 2)), pairs="both")
