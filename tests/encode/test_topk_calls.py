"""AtomIndex.topk as callers use it: what it refuses, arrays that stay as they are, threads, fork, signals."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import core
import numpy as np
import pytest
from oracle import topk_model

METRICS = ["dot", "cosine", "euclidean"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_not_finite_is_named(isa, dtype, bad, rng):
    for n in (1, 5, 40, 300):
        X, W = rng.standard_normal((n, 20)).astype(dtype), rng.standard_normal((400, 20)).astype(dtype)
        wrong = X.copy()
        wrong[n // 2, 7] = wrong[n - 1, 19] = bad
        for k in (1, 5, 400):
            for metric in METRICS:
                for threads in (1, 5):
                    index = core.AtomIndex(W, None, metric)
                    with pytest.raises(ValueError, match=rf"find: X must be finite.* in row {n // 2}\."):
                        index.topk(wrong, "", k, "identity", threads, "find")
                    index.topk(X, "", k)
        atoms = W.copy()
        atoms[321, 3] = atoms[399, 0] = bad
        for rows in (X, np.zeros_like(X)):
            for metric in METRICS:
                with pytest.raises(ValueError, match=r"find: atoms must be finite.* in row 321\."):
                    core.AtomIndex(atoms, None, metric).topk(rows, "", 2, function="find")
        with pytest.raises(ValueError, match=r"pack: atoms must be finite.* in row 321\."):
            core.AtomIndex(atoms).pack()
    bias = np.zeros(400)
    bias[17] = bad
    with pytest.raises(ValueError, match=r"bias must be finite.* at 17"):
        core.AtomIndex(W, bias)


def test_bad_halves_are_named(isa, rng):
    W = rng.standard_normal((400, 20)).astype(np.float32)
    for storage, bits in (
        ("float16", 0x7C00),
        ("float16", 0x7E01),
        ("bfloat16", 0xFF80),
        ("bfloat16", 0x7FC0),
    ):
        for n in (2, 100):
            X = np.zeros((n, 20), np.uint16)
            X[1, 5] = bits
            with pytest.raises(ValueError, match=r"X must be finite.* in row 1"):
                core.AtomIndex(W).topk(X, storage, 3)


@pytest.mark.parametrize("length", [1e-160, 1e-150, 1e150])
def test_float64_lengths_whose_squares_underflow_or_overflow_are_refused(isa, length, rng):
    X, W = rng.standard_normal((50, 1)), rng.standard_normal((400, 1))
    tiny = W.copy()
    tiny[9] = length
    with pytest.raises(ValueError, match=r"atoms must have .*1e-145, 1e145.* in row 9\."):
        core.AtomIndex(tiny).topk(X, "", 3)
    X[5] = length
    for n in (6, 50):
        with pytest.raises(ValueError, match=r"X must have .*1e-145, 1e145.* in row 5\."):
            core.AtomIndex(W).topk(X[:n], "", 3)


def test_wrong_arguments(isa, rng):
    X, W = rng.standard_normal((9, 4)).astype(np.float32), rng.standard_normal((50, 4)).astype(np.float32)
    index = core.AtomIndex(W)
    for k in (0, -1, 51, 2**40, -(2**62)):
        with pytest.raises(ValueError, match=r"f: k must lie in \[1, 50\]; got"):
            index.topk(X, "", k, function="f")
    with pytest.raises(ValueError, match="f: X must have as many columns as atoms, 4; got 3"):
        index.topk(np.ones((9, 3), np.float32), "", 1, function="f")
    with pytest.raises(ValueError, match="activation must be"):
        index.topk(X, "", 1, "gelu")
    with pytest.raises(ValueError, match="metric must be"):
        core.AtomIndex(W, None, "manhattan")
    with pytest.raises(ValueError, match="screen must be"):
        core.AtomIndex(W, None, "dot", "int4")
    with pytest.raises(ValueError, match=r"bias must have shape \(50,\); got \(49,\)"):
        core.AtomIndex(W, np.zeros(49))
    for atoms, words in ((np.zeros((0, 4)), "at least one"), (np.zeros((5, 0)), "at least one column")):
        with pytest.raises(ValueError, match=words):
            core.AtomIndex(atoms)
    with pytest.raises(ValueError, match="two dimensions"):
        core.AtomIndex(np.zeros(4))
    for bad in (X.astype(np.float64), np.asfortranarray(X), X[0], X.astype(np.int32)):
        with pytest.raises((TypeError, ValueError), match="X must"):
            index.topk(bad, "", 1)
    with pytest.raises(TypeError, match="X must be a C-contiguous uint16 array; got float32"):
        index.topk(X, "float16", 1)
    with pytest.raises(TypeError, match="dtype of the atoms"):
        core.AtomIndex(W.astype(np.float64)).topk(X.astype(np.uint16), "float16", 1)
    if "bfloat16" not in core.kernels.tile_shape()[2]:
        with pytest.raises(ValueError, match="screen must be 'auto' or one that"):
            core.AtomIndex(W, None, "dot", "bfloat16")
    values, indices, scored, _ = index.topk(X[:0], "", 2)
    assert values.shape == indices.shape == (0, 2)
    assert scored == 0


def test_inputs_are_read_only_and_kept_alive(rng):
    X, W = rng.standard_normal((80, 30)).astype(np.float32), rng.standard_normal((500, 30)).astype(np.float32)
    before = X.copy(), W.copy()
    X.flags.writeable = W.flags.writeable = False
    index = core.AtomIndex(W, np.zeros(500))
    expected = topk_model(X, W, 4)
    del W
    for _ in range(2):
        values, indices, *_ = index.topk(X, "", 4)
        assert np.array_equal(values, expected[0])
        assert np.array_equal(indices, expected[1])
    assert np.array_equal(X, before[0])


def test_the_variant_may_change_between_calls(rng):
    X, W = rng.standard_normal((80, 33)).astype(np.float32), rng.standard_normal((500, 33)).astype(np.float32)
    expected = topk_model(X, W, 4)
    before, index = core.isa(), core.AtomIndex(W)
    try:
        for name in [*core.available_isas(), *core.available_isas()[::-1]]:
            core.set_isa(name)
            values, indices, *_ = index.topk(X, "", 4)
            assert np.array_equal(values, expected[0])
            assert np.array_equal(indices, expected[1])
            index.pack()
    finally:
        core.set_isa(before)


def test_two_python_threads_share_an_index(isa, rng):
    """One packs (many rows, or pack itself) while others scan without: nobody may see half-packed atoms."""
    X, W = (
        rng.standard_normal((300, 64)).astype(np.float32),
        rng.standard_normal((4000, 64)).astype(np.float32),
    )
    expected = topk_model(X, W, 6)
    for _ in range(5):
        index, found = core.AtomIndex(W), []

        def call(n, pack, index=index, found=found):
            if pack:
                index.pack(1)
            found.append((n, index.topk(X[:n], "", 6, "identity", 1)))

        threads = [
            threading.Thread(target=call, args=a) for a in ((20, 0), (60, 0), (60, 0), (300, 0), (5, 1))
        ]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        assert len(found) == 5
        for n, (values, indices, *_) in found:
            assert np.array_equal(values, expected[0][:n])
            assert np.array_equal(indices, expected[1][:n])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_index_works_after_fork(rng):
    X, W = (
        rng.standard_normal((200, 30)).astype(np.float32),
        rng.standard_normal((500, 30)).astype(np.float32),
    )
    index = core.AtomIndex(W)
    expected = index.topk(X, "", 4, "identity", 2)[1]

    def child(queue):
        queue.put(index.topk(X, "", 4, "identity", 2)[1])

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    found = queue.get(timeout=30)
    process.join(30)
    assert np.array_equal(found, expected)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers")
@pytest.mark.parametrize("what", ["screened", "overflowed", "overflowed, many atoms", "unscreened", "pack"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_stops_within_a_second(what, threads):
    """And the index is whole afterwards."""

    def ring(*_):
        raise TimeoutError

    rng = np.random.default_rng(0)
    d = 512 if what == "pack" else 256
    # With many atoms a block of rows takes seconds.
    m = {"pack": 40_000, "overflowed, many atoms": 60_000}.get(what, 6000)
    W = rng.standard_normal((m, d), np.float32)
    X = rng.standard_normal((60_000 if what == "screened" else 6000, d), np.float32)
    if what.startswith("overflowed"):
        W[:] = W[0]
    index = core.AtomIndex(W)
    run = {"pack": lambda: index.pack(threads)}.get(
        what, lambda: index.topk(X, "", 2000 if what == "unscreened" else 8, "identity", threads)
    )
    before = signal.signal(signal.SIGALRM, ring)
    try:
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, 0.03 if what == "pack" else 0.05)
        try:
            run()
            assert what == "pack"  # it may be faster than that
        except TimeoutError:
            assert time.perf_counter() - start < 2.5  # the machine may be busy
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    index.topk(X[:10], "", 2, "identity", 2)
    values, indices, *_ = index.topk(X[:3], "", 2, "identity", threads)
    expected = topk_model(X[:3], W, 2)
    assert np.array_equal(indices, expected[1])
    assert np.array_equal(values, expected[0])
