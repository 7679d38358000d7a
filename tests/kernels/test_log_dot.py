"""log_dot: logarithms to two units in the last place and their sum in one order, by every variant."""

from __future__ import annotations

import decimal
from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

LENGTHS = (*range(26), 63, 64, 65, 300)


def positive(dtype: str, rng: np.random.Generator) -> NDArray[Any]:
    """Normal numbers of every size, powers of two, and what lies beside 1 and root 1/2, where sums cancel."""
    info = np.finfo(dtype)
    steps = np.arange(-4, 5) * float(info.eps)
    sizes = rng.uniform(0.5, 1, 120) * 2.0 ** rng.integers(info.minexp + 1, info.maxexp, 120)
    near = [*(1 + steps), *(np.sqrt(0.5) * (1 + steps)), *(np.sqrt(2) * (1 + steps)), 1 - 1e-5, 1 + 1e-3]
    powers = 2.0 ** np.array([info.minexp, info.minexp + 1, -1, 1, 2, info.maxexp - 1])
    return np.array([info.tiny, info.max, *near, *powers, *sizes], np.float64).astype(dtype)


def each_logarithm(y: NDArray[Any]) -> NDArray[np.float64]:
    """The kernel's own logarithms: a sum of one term is that term."""
    one = np.ones(1, y.dtype)
    return np.array([core.kernels.log_dot(one, number) for number in y[:, None]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logarithms_are_within_two_units_in_the_last_place(
    isa: str, dtype: str, rng: np.random.Generator
) -> None:
    y = positive(dtype, rng)
    context = decimal.Context(prec=40)
    for number, found in zip(y.tolist(), each_logarithm(y).tolist(), strict=True):
        exact = context.ln(decimal.Decimal(number))
        unit = float(np.spacing(abs(float(exact))))
        assert abs(context.subtract(decimal.Decimal(found), exact)) <= 2 * decimal.Decimal(unit), number
    assert core.kernels.log_dot(np.ones(3, dtype), np.ones(3, dtype)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sum_is_the_eight_partial_sums(isa: str, dtype: str, rng: np.random.Generator) -> None:
    numbers = positive(dtype, rng)
    logarithms = each_logarithm(numbers)
    for length in LENGTHS:
        chosen = rng.integers(0, len(numbers), length)
        v = (rng.standard_normal(length) * 10.0 ** rng.integers(-9, 9, length)).astype(dtype)
        found = core.kernels.log_dot(v, numbers[chosen])
        assert plain.bits(found) == plain.bits(plain.dot(v, logarithms[chosen])), length


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variants_agree_to_the_bit(dtype: str, rng: np.random.Generator) -> None:
    y = positive(dtype, rng)
    for length in LENGTHS:
        v = rng.standard_normal(length).astype(dtype)
        results = plain.on_every_isa(lambda v=v, y=y[:length]: plain.bits(core.kernels.log_dot(v, y)))
        assert len(set(results)) == 1, length
    assert len(set(plain.on_every_isa(lambda: plain.bits(each_logarithm(y))))) == 1
