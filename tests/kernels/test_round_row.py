"""round_row and interleave: rows in fewer bits, what that leaves out, and cells by column."""

from __future__ import annotations

import math
from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

LENGTHS = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 255, 256, 257, 511, 513, 769]
TINY = np.float32(2.0**-60)


def to_float(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    return bits.astype(np.uint32).view(np.float32)


def model(x: NDArray[Any], scale: float, to: str) -> NDArray[np.float32]:
    """The rounded row as float32: nearest, ties to even; below 2^-60 nothing."""
    v = (x.astype(np.float64) * scale).astype(np.float32)
    if to == "int16":
        return (np.clip(np.rint(v * np.float32(32768)), -32767, 32767) / 32768).astype(np.float32)
    if to == "bfloat16":
        low = v.view(np.uint32) & 0xFFFF0000
        below, above = to_float(low), to_float(low + 0x10000)  # toward zero and away from it
        down, up = np.abs(v - below), np.abs(above - v)
        even = (low >> 16) % 2 == 0
        v = np.where((down < up) | ((down == up) & even), below, above)
    return np.where(np.abs(v) < TINY, np.float32(0) * v, v).astype(np.float32)


def as_float(out: NDArray[Any]) -> NDArray[np.float32]:
    if out.dtype == np.int16:
        return out.astype(np.float32) / np.float32(32768)
    return to_float(out.astype(np.uint32) << 16) if out.dtype == np.uint16 else out


def unit_scale(x: NDArray[Any]) -> float:
    length = math.sqrt(math.fsum(float(v) ** 2 for v in x))
    return 2.0 ** -(math.frexp(length)[1]) if length else 1.0


def rows(rng: np.random.Generator, d: int, dtype: str) -> list[NDArray[Any]]:
    ulp = 2.0**-7
    midpoint = (1 + ulp * (rng.integers(0, 128, d) + 0.5)) * rng.choice([-1, 1], d)
    near = np.nextafter(midpoint.astype(dtype), rng.choice([-9, 9], d).astype(dtype), dtype=dtype)
    wide = rng.standard_normal(d) * 10.0 ** rng.integers(-30, 20, d)
    zeros = np.where(rng.random(d) < 0.5, -0.0, rng.standard_normal(d))
    plain_rows = [rng.standard_normal(d), midpoint, near, wide, zeros, np.full(d, 2.0**-70), np.zeros(d)]
    carry = np.full(d, 2 - 2.0**-9)  # rounds up into the next power of two
    above_one = np.full(d, np.nextafter(np.float32(1), np.float32(2)))
    return [row.astype(dtype) for row in [*plain_rows, carry, above_one]]


@pytest.mark.parametrize("to", ["float32", "int16", "bfloat16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_rounded_to_nearest_even(isa: str, dtype: str, to: str, rng: np.random.Generator) -> None:
    for d in LENGTHS:
        for x in rows(rng, d, dtype):
            scale = unit_scale(x)
            out, residual, length2 = core.kernels.round_row(x, scale, to)
            expected = model(x, scale, to)
            kept = np.abs(expected) > 0
            assert plain.bits(as_float(out)[kept]) == plain.bits(expected[kept])
            assert not as_float(out)[~kept].any()
            left = x.astype(np.float64) * scale - expected.astype(np.float64)
            exact = math.fsum(left**2)
            assert abs(residual - exact) <= 2e-6 * exact + d * 2.0**-149, (d, residual, exact)
            assert length2 == pytest.approx(math.fsum(expected.astype(np.float64) ** 2), rel=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_bfloat16_midpoint(isa: str, dtype: str) -> None:
    """All upper halves within [2^-60, 2): on, just above and just below the midpoint, of both signs."""
    upper = np.arange(0x2180, 0x4000, dtype=np.uint32)
    for low in (0x0000, 0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        for sign in (0, 0x80000000):
            x = to_float((upper << 16) + low + sign)
            out, *_ = core.kernels.round_row(x.astype(dtype), 1.0, "bfloat16")
            up = (low > 0x8000) | ((low == 0x8000) & (upper % 2 == 1))
            assert np.array_equal(out, (upper + up + (sign >> 16)).astype(np.uint16))


@pytest.mark.parametrize("to", ["float32", "bfloat16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_dropped_counts_as_residual(isa: str, dtype: str, to: str) -> None:
    x = np.full(5, 2.0**-60, dtype)
    x[3] = np.nextafter(x[3], x.dtype.type(0))
    x[1] = -x[3]
    out, residual, _ = core.kernels.round_row(x, 1.0, to)
    kept = as_float(out)
    # bfloat16 rounds the two to 2^-60 first, and then they stay.
    assert np.array_equal(np.abs(kept) > 0, [True, to == "bfloat16" or dtype == "float64", True,
                                             to == "bfloat16" or dtype == "float64", True])  # fmt: skip
    exact = math.fsum((x.astype(np.float64) - kept.astype(np.float64)) ** 2)
    assert residual == pytest.approx(exact, rel=2e-6, abs=1e-44)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_int16_midpoint(isa: str, dtype: str) -> None:
    """On, just above and just below; what is beyond the ends counts as residual."""
    middle = (np.arange(-32768, 32768) + 0.5) / 32768
    for side in (-1, 0, 1):
        x = just(middle, side, dtype)
        out, residual, _ = core.kernels.round_row(x, 1.0, "int16")
        units = np.rint(x.astype(np.float32) * np.float32(32768))  # a float32, then to even
        assert np.array_equal(out, np.clip(units, -32767, 32767).astype(np.int16))
        exact = math.fsum((x.astype(np.float64) - out.astype(np.float64) / 32768) ** 2)
        assert residual == pytest.approx(exact, rel=2e-6)


def just(value: NDArray[np.float64], side: int, dtype: str) -> NDArray[Any]:
    value = value.astype(dtype)
    return np.nextafter(value, np.asarray(side * np.inf, dtype)) if side else value


def test_residual_of_float64_is_not_lost_in_float32(isa: str) -> None:
    x = np.full(300, 1 + 2.0**-30)
    out, residual, _ = core.kernels.round_row(x, 0.5, "float32")
    assert np.array_equal(out, np.full(300, 0.5, np.float32))
    assert residual == pytest.approx(300 * 2.0**-62, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_int8_is_nearest_and_what_it_leaves_is_known(isa: str, dtype: str, rng: np.random.Generator) -> None:
    for d in LENGTHS:
        for x in [*rows(rng, d, dtype), (np.arange(d) % 300 - 150 + 0.5).astype(dtype)]:
            largest = core.kernels.largest_magnitude(x)
            assert largest == np.abs(x).max()
            for scale in (127 / largest, 300 / largest) if largest else (1.0,):
                out, residual, length2 = core.kernels.round_row(x, scale, "int8")
                assert length2 == pytest.approx((out.astype(np.float64) ** 2).sum(), rel=2e-6)
                assert out.dtype == np.int8
                v = x * np.float32(scale) if dtype == "float32" else (x * scale).astype(np.float32)
                assert np.array_equal(out, np.clip(np.rint(v), -127, 127))
                exact = math.fsum((x.astype(np.float64) * scale - out) ** 2)
                scaled = 2.0**-23 * np.linalg.norm(x.astype(np.float64) * scale)  # what the caller adds
                assert abs(math.sqrt(residual) - math.sqrt(exact)) <= 2e-6 * math.sqrt(exact) + scaled


def test_the_largest_magnitude_of_extremes(isa: str) -> None:
    for dtype in (np.float32, np.float64):
        info = np.finfo(dtype)
        assert core.kernels.largest_magnitude(np.zeros(5, dtype)) == 0
        for d in LENGTHS:
            for value in (info.max, -info.max, info.smallest_subnormal, -info.tiny):
                x = np.zeros(d, dtype)
                x[-1] = value
                assert core.kernels.largest_magnitude(x) == abs(float(value))


@pytest.mark.parametrize("to", ["float32", "int16", "bfloat16", "int8"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variants_agree_to_the_bit(dtype: str, to: str, rng: np.random.Generator) -> None:
    for d in LENGTHS:
        for x in rows(rng, d, dtype):
            scale = unit_scale(x)
            found = plain.on_every_isa(
                lambda x=x, scale=scale: [plain.bits(part) for part in core.kernels.round_row(x, scale, to)]
            )
            assert all(other == found[0] for other in found), d


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="round_row: to must be"):
        core.kernels.round_row(np.ones(3), 1.0, "float16")
    for shape, cells in [((3, 4), 4), ((2, 4), 5), ((2, 3), 2), ((2, 4), -1)]:
        with pytest.raises(ValueError, match="interleave: rows must be"):
            core.kernels.interleave(np.zeros(shape, np.uint32), cells)


@pytest.mark.parametrize("width", [2, 6, 8, 14, 16, 32])
def test_interleave_is_a_transpose(isa: str, width: int, rng: np.random.Generator) -> None:
    for cells in [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 257]:
        for room in (0, 4, 17):
            stride = (cells + 3) // 4 * 4 + room
            rows = rng.integers(0, 2**32, (width, stride), np.uint32)
            out = core.kernels.interleave(rows, cells)
            assert np.array_equal(out, rows[:, :cells].T)
