"""What the kernels must compute, in numpy: the statements that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import core
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


def on_every_isa(compute: Callable[[], T]) -> list[T]:
    """The result of every variant that this processor can run, the baseline's first."""
    before = core.isa()
    try:
        results = []
        for name in core.available_isas():
            core.set_isa(name)
            assert core.isa() == name
            results.append(compute())
        return results
    finally:
        core.set_isa(before)


def bits(value: Any) -> bytes:
    """Bits of a float or an array, for comparisons that tell -0 from 0."""
    return np.ascontiguousarray(value).tobytes()


def dot(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Sum of x * y in float64: term p goes to partial sum p mod 8, then one fixed tree."""
    s = np.zeros(8)
    for p, product in enumerate(x.astype(np.float64) * y.astype(np.float64)):
        s[p % 8] += product
    return float(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])))


def line_layout(width: int) -> NDArray[np.int64]:
    """Byte of each atom in a head line: atom 16 k + 4 l + e of 64 stands at byte 16 l + 4 k + e."""
    j = np.arange(width)
    k, quad, e = j % 64 // 16, j % 16 // 4, j % 4
    return j // 64 * 64 + 16 * quad + 4 * k + e


def slab_of(q: NDArray[np.int8], stride: int | None = None) -> NDArray[np.int8]:
    """Lines [terms, stride] that hold q [terms, atoms], padded with zeros."""
    terms, atoms = q.shape
    width = (atoms + 63) // 64 * 64
    padded = np.zeros((terms, width), np.int8)
    padded[:, :atoms] = q
    slab = np.zeros((terms, stride or width), np.int8)
    slab[:, line_layout(width)] = padded
    return slab


def upper_bounds(
    acc: NDArray[np.int32],
    step: float,
    shift: float,
    least: float = -np.inf,
    scale: NDArray[np.float32] | None = None,
    bias: NDArray[np.float32] | None = None,
    bias_scale: float = 0.0,
) -> NDArray[np.float32]:
    """The bound of each atom, every operation rounded to float32."""
    ub = acc.astype(np.float32) * np.float32(step) + np.float32(shift)
    if scale is not None and bias is not None:
        ub = np.maximum(ub, np.float32(least)) * scale + np.float32(bias_scale) * bias
    assert ub.dtype == np.float32
    return ub


def block_maxima(ub: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maximum of each 64."""
    return np.array([ub[j : j + 64].max() for j in range(0, len(ub), 64)], np.float32)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 (Salmon, Moraes, Dror & Shaw, SC 2011)."""
    c, k, mask = list(counter), list(key), 2**32 - 1
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & mask, (a >> 32) ^ c[3] ^ k[1], a & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c
