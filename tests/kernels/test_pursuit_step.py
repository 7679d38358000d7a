"""pursuit_step: a start less multiples of rows, each product rounded, and its two largest numbers."""

from __future__ import annotations

from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

LINES = (1, 2, 3, 4, 5, 8, 11)
COUNTS = (0, 1, 2, 5)


def lanes(dtype: str) -> int:
    return 64 // np.dtype(dtype).itemsize


def expected(start: NDArray[Any], rows: NDArray[Any], factor: NDArray[Any], magnitudes: bool) -> Any:
    out = start.copy()
    for f, row in zip(factor, rows, strict=True):
        out = out - f * row
    score = np.abs(out) if magnitudes else out
    place = int(np.nanargmax(score))
    others = np.delete(score, place)
    return out, place, np.array([score[place], np.nanmax(others)], start.dtype)


@pytest.mark.parametrize("magnitudes", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_plain_statement(isa: str, dtype: str, magnitudes: bool, rng: np.random.Generator) -> None:
    for lines in LINES:
        for count in COUNTS:
            width = lines * lanes(dtype)
            start = rng.standard_normal(width).astype(dtype)
            rows = rng.standard_normal((count, width)).astype(dtype)
            factor = rng.standard_normal(count).astype(dtype)
            out, place, best = core.kernels.pursuit_step(start, rows, factor, magnitudes)
            want = expected(start, rows, factor, magnitudes)
            assert plain.bits(out) == plain.bits(want[0])
            assert place == want[1]
            assert plain.bits(best) == plain.bits(want[2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_lowest_of_equal_places_wins(isa: str, dtype: str, rng: np.random.Generator) -> None:
    none = np.zeros((0, 6 * lanes(dtype)), dtype), np.zeros(0, dtype)
    for _ in range(50):
        start = rng.integers(-3, 4, 6 * lanes(dtype)).astype(dtype)
        _, place, best = core.kernels.pursuit_step(start, *none, True)
        order = np.sort(np.abs(start))
        assert place == np.abs(start).argmax()
        assert best.tolist() == [order[-1], order[-2]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_is_never_best(isa: str, dtype: str, rng: np.random.Generator) -> None:
    width = 6 * lanes(dtype)
    for kept in (0, 1, 2, 40):
        start = np.full(width, np.nan, dtype)
        start[rng.permutation(width)[:kept]] = -rng.random(kept) - 1
        out, place, best = core.kernels.pursuit_step(
            start, np.ones((1, width), dtype), np.ones(1, dtype), False
        )
        assert np.isnan(out).sum() == width - kept
        falling = np.sort(out[~np.isnan(out)])[::-1].tolist() + [-np.inf] * 2
        assert best.tolist() == falling[:2]
        assert place == (np.nanargmax(out) if kept else 0)


def test_wrong_arguments_are_refused() -> None:
    start, rows, factor = np.ones(16), np.ones((2, 16)), np.ones(2)
    for bad in ((start[:7].copy(), rows[:, :7].copy(), factor), (start, rows[:, :8].copy(), factor)):
        with pytest.raises(ValueError, match="pursuit_step"):
            core.kernels.pursuit_step(*bad, True)
    with pytest.raises(ValueError, match="pursuit_step"):
        core.kernels.pursuit_step(start, rows, np.ones(3), True)
