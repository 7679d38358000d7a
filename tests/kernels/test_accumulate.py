"""accumulate: integer sums over head lines, exact in every variant."""

from __future__ import annotations

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

WIDTHS = [64, 128, 192, 256, 320, 512, 1024]


def expected(
    acc: NDArray[np.int32], q: NDArray[np.int8], line: NDArray[np.int32], p: NDArray[np.uint8]
) -> NDArray[np.int64]:
    return acc.astype(np.int64) + p.astype(np.int64) @ q[line].astype(np.int64)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [0, 4, 8, 12, 100])
@pytest.mark.parametrize("room", [0, 64, 448])
def test_sums_are_exact(isa: str, width: int, count: int, room: int, rng: np.random.Generator) -> None:
    q = rng.integers(-127, 128, (30, width), np.int8)
    slab = plain.slab_of(q, width + room)
    slab[:, width:] = 99  # beyond the width: another tile's bytes
    line = rng.integers(0, 30, count, np.int32)
    p = rng.integers(0, 128, count, np.uint8)
    acc = rng.integers(-(10**6), 10**6, width, np.int32)
    before = acc.copy()
    got = core.kernels.accumulate(acc, slab, line, p)
    assert np.array_equal(got, expected(acc, q, line, p))
    assert np.array_equal(acc, before)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("signs", [(1, 1, 1, 1), (-1, -1, -1, -1), (1, -1, 1, -1), (1, 1, -1, -1)])
def test_extreme_values_do_not_saturate(isa: str, width: int, signs: tuple[int, ...]) -> None:
    # Two products of 127 * 127 fit into 16 bits, four do not.
    q = np.repeat(np.int8(127) * np.array(signs, np.int8)[:, None], width, axis=1)
    line, p = np.arange(4, dtype=np.int32), np.full(4, 127, np.uint8)
    acc = np.zeros(width, np.int32)
    got = core.kernels.accumulate(acc, plain.slab_of(q), line, p)
    assert np.array_equal(got, expected(acc, q, line, p))
    assert set(got) == {127 * 127 * sum(signs)}


@pytest.mark.parametrize("sign", [1, -1])
def test_longest_row_fits_into_32_bits(isa: str, sign: int) -> None:
    count = 133_000  # 133 000 * 127 * 127 < 2^31
    q = np.full((1, 64), 127 * sign, np.int8)
    got = core.kernels.accumulate(
        np.zeros(64, np.int32),
        plain.slab_of(q),
        np.zeros(count, np.int32),
        np.full(count, 127, np.uint8),
    )
    assert set(got) == {sign * count * 127 * 127}


def test_each_byte_reaches_its_atom(isa: str) -> None:
    width = 192
    for byte in range(width):
        slab = np.zeros((2, width), np.int8)
        slab[1, byte] = -5
        line, p = np.array([0, 1, 0, 0], np.int32), np.array([9, 3, 0, 127], np.uint8)
        got = core.kernels.accumulate(np.zeros(width, np.int32), slab, line, p)
        (atom,) = np.flatnonzero(got)
        assert got[atom] == -15
        assert plain.line_layout(width)[atom] == byte


def test_variants_agree(rng: np.random.Generator) -> None:
    for width in WIDTHS:
        slab = rng.integers(-127, 128, (50, width), np.int8)
        line = rng.integers(0, 50, 64, np.int32)
        p = rng.integers(0, 128, 64, np.uint8)
        acc = rng.integers(-1000, 1000, width, np.int32)
        first, *others = plain.on_every_isa(
            lambda acc=acc, slab=slab, line=line, p=p: core.kernels.accumulate(acc, slab, line, p)
        )
        assert all(np.array_equal(first, other) for other in others)


def test_wrong_shapes_are_refused() -> None:
    acc, slab = np.zeros(64, np.int32), np.zeros((2, 64), np.int8)
    line, p = np.zeros(4, np.int32), np.zeros(4, np.uint8)
    for bad in (
        (acc[:63].copy(), slab, line, p),
        (np.zeros(128, np.int32), slab, line, p),
        (acc, slab, line[:3].copy(), p[:3].copy()),
        (acc, slab, line[:3].copy(), p),
    ):
        with pytest.raises(ValueError, match="accumulate"):
            core.kernels.accumulate(*bad)
    with pytest.raises(IndexError, match="out of range"):
        core.kernels.accumulate(acc, slab, line + 2, p)


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("count", [0, 4, 8, 60, 200])
def test_a_group_of_eight(isa: str, count: int, shift: int, rng: np.random.Generator) -> None:
    """accumulate_group: eight atoms at once; line >> shift numbers the values."""
    for low, high in ((-127, 128), (127, 128), (-127, -126)):
        values = rng.integers(low, high, (37, 8)).astype(np.int8)
        line = rng.integers(0, 37 << shift, count).astype(np.int32)
        p = (rng.integers(0, 128, count) if low == -127 else np.full(count, 127)).astype(np.uint8)
        acc = rng.integers(-1000, 1000, 8).astype(np.int32)
        expected = acc + p.astype(np.int64) @ values[line >> shift].astype(np.int64)
        assert (core.kernels.accumulate_group(acc, values, line, shift, p) == expected).all()
