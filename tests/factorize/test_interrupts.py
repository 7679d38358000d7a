"""Ctrl-C within long parts of factorizations."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest

import latom


def stops_within_a_second(call, after):
    pressed = []

    def press():
        time.sleep(after)
        pressed.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call()
    assert time.perf_counter() - pressed[0] < 1
    thread.join()


@pytest.mark.parametrize("shape", [(300, 200, 20, 2000), (2500, 2000, 150, 2)])
def test_ctrl_c_stops_batches(shape):
    n, d, k, problems = shape
    X = np.random.default_rng(0).random((n, d), dtype=np.float32)
    stops_within_a_second(lambda: latom.nmf_batch(X, k, problems, tol=0, max_iter=1000), 0.8)


def test_ctrl_c_stops_the_start_of_semi_nmf():
    X = np.random.default_rng(0).random((20_000, 800), dtype=np.float32)
    model = latom.SemiNMF(350, init="svd", random_state=0)
    stops_within_a_second(lambda: model.fit(X), 0.3)
