"""Calls leave no memory behind: neither bytes of malloc, which the core takes from, nor blocks of Python's.

Each of the fuzzer's calls is made again and again. What is made once, as threads and tables are, is made
in some of the rounds; what a call loses, it loses in each. ``-m long`` makes 100 000 calls.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import warnings

import numpy as np
import pytest
from api_calls import CALLS

NAMES = (
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
)


class Mallinfo(ctypes.Structure):
    """What glibc tells of its heap, of all arenas together."""

    _fields_ = [(name, ctypes.c_size_t) for name in NAMES]


@pytest.fixture(scope="module")
def used():
    """A function that says how many bytes malloc, and how many blocks Python, has given out."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        pytest.skip("mallinfo2 is glibc's, from 2.33 on")
    mallinfo.restype = Mallinfo
    gc.collect()
    gc.freeze()  # so that collections look at little

    def ask():
        gc.collect()
        heap = mallinfo()
        return np.array([heap.uordblks + heap.hblkhd, sys.getallocatedblocks()])

    yield ask
    gc.unfreeze()


def a_call(name):
    """A call that is taken."""
    for i in range(100):
        call = CALLS[name](np.random.default_rng([7, i]))
        try:
            call.run(2)
        except (ValueError, TypeError):
            continue
        return call
    raise AssertionError(f"{name} takes nothing")


def check_growth(name, used, times, rounds=30):
    """Rounds of calls until one leaves less than a chunk and a block per call: a leak has no such round."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = a_call(name)
        for _ in range(3):
            call.run(2)
        growth = []
        for _ in range(rounds):
            before = used()
            for _ in range(times):
                call.run(2)
            growth.append((used() - before).tolist())
            if growth[-1][0] < 16 * times and growth[-1][1] < times:
                return
    raise AssertionError(f"bytes and blocks in {times} calls, round after round: {growth}")


@pytest.mark.parametrize("name", CALLS)
def test_calls_leave_no_memory_behind(name, used):
    check_growth(name, used, 12)


@pytest.mark.long
@pytest.mark.parametrize("name", CALLS)
def test_a_hundred_thousand_calls_leave_no_memory_behind(name, used):
    check_growth(name, used, 100_000 // len(CALLS), 3)


def test_a_leak_is_seen(used, monkeypatch):
    """A byte array of 64 bytes per call."""
    kept = []

    class Leaking:
        def run(self, threads):
            kept.append(np.zeros(64, np.int8))

    monkeypatch.setitem(CALLS, "leaking", lambda rng: Leaking())
    with pytest.raises(AssertionError, match="bytes and blocks"):
        check_growth("leaking", used, 12)
