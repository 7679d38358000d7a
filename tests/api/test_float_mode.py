"""What others set for a thread's arithmetic, as torch.set_flush_denormal does, stays and changes nothing."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import core
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import latom

LIBM = ctypes.CDLL(ctypes.util.find_library("m")) if ctypes.util.find_library("m") else None
FLUSH = 0x8040  # flush to zero, and subnormal numbers read as zero
UPWARD = 0x4000

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or not hasattr(LIBM, "fesetenv"),
    reason="sets the control register of x86-64 by the C library's fenv_t",
)


def register() -> int:
    """MXCSR, which ends fenv_t."""
    environment = ctypes.create_string_buffer(32)
    LIBM.fegetenv(environment)
    return struct.unpack_from("<I", environment, 28)[0]


@contextmanager
def mode(bits: int) -> Iterator[None]:
    before, changed = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    LIBM.fegetenv(before)
    LIBM.fegetenv(changed)
    struct.pack_into("<I", changed, 28, register() | bits)
    LIBM.fesetenv(changed)
    try:
        yield
    finally:
        LIBM.fesetenv(before)


def test_the_mode_of_this_test_is_felt_by_numpy():
    tiny = np.full(64, 1e-40, np.float32)
    with mode(FLUSH):
        assert not (tiny * np.float32(1.5)).any()
    assert (tiny * np.float32(1.5)).all()


@pytest.mark.parametrize("bits", [FLUSH, UPWARD])
@pytest.mark.parametrize("threads", [1, 2])
def test_half_precision_keeps_its_subnormal_numbers(bits, threads, rng, isa):
    X = (rng.standard_normal((400, 16)) * 2e-5).astype(np.float16)
    W = rng.standard_normal((50, 16), dtype=np.float32)
    wanted = np.argsort(-(X.astype(np.float64) @ W.T.astype(np.float64)), axis=1, kind="stable")[:, :3]
    with mode(bits):
        found = latom.topk(X, W, 3, n_threads=threads)[1]
        assert register() & bits == bits
    assert (found == wanted).all()


@pytest.mark.parametrize("bits", [FLUSH, UPWARD])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_subnormal_rows_keep_their_labels(bits, container, rng, isa):
    X = container((rng.standard_normal((1000, 8)) * 1e-41).astype(np.float32))
    C = X[:100]
    wanted = latom.assign(X, C, metric="euclidean", n_threads=1)
    sparse = sp.issparse(
        X
    )  # centers as the core gives them: scipy's toarray adds, in the mode of the process
    km = latom.KMeans(20, random_state=0, max_iter=3, sparse_centers=sparse)
    fitted = clone(km).fit(X)
    for threads in (1, 2):
        with mode(bits):
            found = latom.assign(X, C, metric="euclidean", n_threads=threads)
            again = clone(km).set_params(n_threads=threads).fit(X)
            assert register() & bits == bits
        for a, b in zip(found, wanted, strict=True):
            assert (a == b).all()
        assert (again.labels_ == fitted.labels_).all()
        a, b = (k.cluster_centers_.data if sparse else k.cluster_centers_ for k in (again, fitted))
        assert np.array_equal(a, b)
        assert a.any()


@pytest.mark.parametrize("bits", [FLUSH, UPWARD])
def test_products_of_subnormal_numbers(bits, rng, isa):
    V = (rng.standard_normal((300, 5)) * 1e-41).astype(np.float32)
    wanted = core.gram(V, 1)
    assert np.allclose(wanted, V.T.astype(np.float64) @ V.astype(np.float64), rtol=1e-12, atol=0)
    for threads in (1, 2):
        with mode(bits):
            found = core.gram(V, threads)
        assert (found == wanted).all()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX signals")
def test_a_signal_handler_cannot_change_the_mode_of_the_call_that_it_interrupts(rng):
    X = (rng.standard_normal((8000, 64)) * 1e-41).astype(np.float32)
    C = X[:1000].copy()
    wanted = latom.assign(X, C, metric="euclidean", n_threads=1)[0]
    seen = []

    def handler(*_):
        changed = ctypes.create_string_buffer(32)
        LIBM.fegetenv(changed)
        struct.pack_into("<I", changed, 28, register() | FLUSH)
        LIBM.fesetenv(changed)
        seen.append(True)

    before = signal.signal(signal.SIGALRM, handler)
    outside = register()
    try:
        with mode(0):
            signal.setitimer(signal.ITIMER_REAL, 0.03)
            found = latom.assign(X, C, metric="euclidean", n_threads=1)[0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen
    assert (found == wanted).all()
    assert register() & FLUSH == outside & FLUSH
