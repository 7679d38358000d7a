"""Interrupts, signals, forks and threads: calls end soon, and others go on as if alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import core
import numpy as np
import pytest
from oracle import corpus

import latom


@pytest.fixture
def X():
    return corpus(np.random.default_rng(0), 200, 50, 6)


SLOW = """
import numpy as np, scipy.sparse as sp, latom, sys, time
rng = np.random.default_rng(0)
X = rng.standard_normal((60_000, 400)){convert}
km = latom.SphericalKMeans(20_000, init="random", n_init=1, max_iter=1000, tol=0, random_state=0)
km.set_params(n_threads={threads})
print("ready", flush=True)
start = time.perf_counter()
try:
    km.fit(X)
except KeyboardInterrupt:
    again = km.set_params(n_clusters=3, max_iter=2, tol=0)
    print("stopped", hasattr(km, "labels_"), again.fit(X[:100]).n_iter_)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("sparse", "threads"), [(False, 2), (False, 1), (True, 2)])
def test_ctrl_c_stops_within_a_second(sparse, threads):
    """In the dense assignment, with and without threads, and in the sparse one."""
    convert = ".clip(0).astype(np.float32); X[X < 1.2] = 0; X = sp.csr_array(X)" if sparse else ""
    script = SLOW.format(convert=convert, threads=threads)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)  # a fit takes more than a second
    process.send_signal(signal.SIGINT)
    start = time.perf_counter()
    out, _ = process.communicate(timeout=20)
    assert out.split() == ["stopped", "False", "2"]
    assert time.perf_counter() - start < 2.5  # the second, and a new fit and the interpreter's end


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers")
def test_a_signal_stops_a_long_row_of_short_passes():
    """Exact seeding: a pass per center, each far shorter than the time between two looks for a signal."""

    def ring(*_):
        raise TimeoutError

    X = np.random.default_rng(0).random((10_000, 64))
    before = signal.signal(signal.SIGALRM, ring)
    try:
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(TimeoutError):
            core.kmeans_plusplus(X, 10_000, None, "cosine", 0, 1, "test", method="exact")
        assert time.perf_counter() - start < 0.6
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _fit_labels(X):
    return latom.SphericalKMeans(4, random_state=0, n_threads=2).fit(X).labels_


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_after_use(X):
    expected = _fit_labels(X)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for labels in pool.map_async(_fit_labels, [X] * 4).get(timeout=60):
            assert (labels == expected).all()


def test_two_python_threads_at_once(X):
    expected, found = _fit_labels(X), []
    threads = [threading.Thread(target=lambda: found.append(_fit_labels(X))) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert len(found) == 4
    assert all((labels == expected).all() for labels in found)
