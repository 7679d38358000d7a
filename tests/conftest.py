"""Fixtures for all tests."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import hypothesis
import numpy as np
import pytest

from latom import _core

# Times vary with the machine and what else it does, so no example has a deadline.
hypothesis.settings.register_profile("latom", deadline=None, print_blob=True)
hypothesis.settings.load_profile("latom")


@pytest.fixture(autouse=True, scope="session")
def ctrl_c() -> None:
    """Python's own handler: a shell starts what runs in its background with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_garbage(request: pytest.FixtureRequest) -> Iterator[None]:
    """No collection of garbage while a test waits for Ctrl-C or another signal.

    What a handler raises inside a callback of a weak reference is lost, and libraries that were imported
    leave such callbacks behind.
    """
    waits = "ctrl_c" in request.node.name or "a_signal_stops" in request.node.name
    if waits:
        gc.collect()
        gc.disable()
    yield
    if waits:
        gc.enable()


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each kernel variant that this processor can run, in force during the test."""
    before = _core.isa()
    _core.set_isa(request.param)
    assert _core.isa() == request.param
    yield request.param
    assert _core.isa() == request.param, "the test changed the variant"
    _core.set_isa(before)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20)
