"""What tests of the emulated GPU share: equality to the bit, and arrays that pretend to lie on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from latom._base import device
from latom._base.device import place_of


def equal(found: Any, wanted: Any) -> None:
    """Holds arrays, CSR, or tuples of them to each other: types and all bits but the signs of zeros."""
    if isinstance(wanted, tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            equal(one, other)
        return
    if sp.issparse(wanted):
        assert found.shape == wanted.shape
        for part in ("indptr", "indices", "data"):
            equal(getattr(found, part), getattr(wanted, part))
        return
    if isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)  # no tolerance


def both(call: Callable[..., Any], **options: Any) -> Any:
    """Holds what a call gives on the GPU to what it gives on the CPU."""
    found = call(device="cuda", **options)
    equal(found, call(**options))
    return found


def upload(array: Any) -> Any:
    """A copy on the emulated device, which has no library."""
    place = place_of("test", "cuda")
    assert place is not None
    return place.upload(np.ascontiguousarray(array))


def pretend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of the CPU count as lying on the emulated GPU, which computes in the same memory.

    On a GPU torch's own operations wait on the stream; here what is queued is done before they come.
    """
    from latom.torch import on_device

    before, kernel, csr = device._home, on_device._kernel, device.Place.csr

    def wait(place: device.Place) -> None:
        place.memory(1).read(np.empty(1, np.uint8))

    def done(place: device.Place, *which: Any) -> Any:
        def run(*arguments: Any) -> None:
            kernel(place, *which)(*arguments)
            wait(place)

        return run

    def done_csr(place: device.Place, *parts: Any) -> Any:
        wait(place)
        return csr(place, *parts)

    monkeypatch.setattr(on_device, "_kernel", done)
    monkeypatch.setattr(device.Place, "csr", done_csr)

    def home(X: Any) -> Any:
        return (0, 0, "torch") if device.is_tensor(X) else before(X)

    monkeypatch.setattr(device, "_home", home)
    monkeypatch.setattr(device, "torch_device", lambda ordinal: "cpu")


def draw(rng: np.random.Generator, n: int, d: int, dtype: Any) -> Any:
    """Rows by chance."""
    return rng.standard_normal((n, d)).astype(dtype)
