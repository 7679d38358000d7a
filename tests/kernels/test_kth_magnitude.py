"""kth_magnitude: the k-th largest of many columns at once is a number of the column, to the bit."""

from __future__ import annotations

from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

COUNTS = (1, 2, 3, 7, 16, 33)


def column_numbers(kind: str, count: int, dtype: str, rng: np.random.Generator) -> NDArray[Any]:
    """Rows of 64 bytes: numbers that differ in their last bits, are equal or lie at the ends of the range."""
    shape = count, 64 // np.dtype(dtype).itemsize
    info = np.finfo(dtype)
    if kind == "ordinary":
        return rng.standard_normal(shape).astype(dtype)
    if kind == "neighbors":
        sign = rng.choice([-1, 1], shape)
        return (sign * (1 + rng.integers(0, 3, shape) * float(info.eps))).astype(dtype)
    if kind == "equal":
        return rng.choice([-1.5, 1.5], shape).astype(dtype)
    ends = [0.0, -0.0, info.smallest_subnormal, -info.tiny, info.max, -info.max, np.inf, -np.inf]
    return rng.choice(np.array(ends, dtype), shape)


@pytest.mark.parametrize("kind", ["ordinary", "neighbors", "equal", "ends"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_that_of_the_sorted_column(isa: str, dtype: str, kind: str, rng: np.random.Generator) -> None:
    for count in COUNTS:
        x = column_numbers(kind, count, dtype, rng)
        falling = np.sort(np.abs(x), axis=0)[::-1]
        for k in range(1, count + 1):
            found = core.kernels.kth_magnitude(x, k)
            assert found.dtype == x.dtype
            assert plain.bits(found) == plain.bits(falling[k - 1]), (count, k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_do_not_meet(isa: str, dtype: str, rng: np.random.Generator) -> None:
    """Each lane is found as it is alone, among others of zeros."""
    x = column_numbers("ordinary", 9, dtype, rng)
    whole = core.kernels.kth_magnitude(x, 4)
    for lane in range(x.shape[1]):
        alone = np.zeros_like(x)
        alone[:, lane] = x[:, lane]
        found = core.kernels.kth_magnitude(alone, 4)
        assert found[lane] == whole[lane] > 0
        assert np.count_nonzero(found) == 1


def test_wrong_arguments_are_refused() -> None:
    x = np.ones((3, 16), np.float32)
    for bad, k in ((x, 0), (x, 4), (x[:, :8].copy(), 1), (np.ones((3, 16)), 1), (x[0], 1)):
        with pytest.raises(ValueError, match="kth_magnitude"):
            core.kernels.kth_magnitude(bad, k)
