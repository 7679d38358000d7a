"""binned_values: sums in integers on a grid as float64, against exact fractions, in every variant."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100)


def units(levels: int, exponent: int = -30) -> NDArray[np.float64]:
    return np.ldexp(1.0, exponent - 32 * np.arange(levels))


def sums(rng: np.random.Generator, levels: int, d: int) -> NDArray[np.int64]:
    """Of every magnitude, with ties and extremes of the carries among them."""
    out = rng.integers(-(2**62), 2**62, (levels, d)) >> rng.integers(0, 62, (levels, d))
    special = [0, 1, -1, 2**31, -(2**31), 2**31 - 1, 2**32, 3 * 2**31, -(2**40)]
    out[rng.random((levels, d)) < 0.2] = rng.choice(special)
    return out


@pytest.mark.parametrize("side_by_side", [False, True])
@pytest.mark.parametrize("levels", [2, 3])
def test_values_are_those_of_the_exact_sums(
    isa: str, levels: int, side_by_side: bool, rng: np.random.Generator
) -> None:
    for exponent in (-30, 98, -414):
        unit = units(levels, exponent)
        for d in WIDTHS:
            sum_ = sums(rng, levels, d)
            got = core.kernels.binned_values(
                np.ascontiguousarray(sum_.T if side_by_side else sum_), unit, side_by_side
            )
            for t in range(d):
                exact = sum(
                    Fraction(int(k)) * Fraction(float(u)) for k, u in zip(sum_[:, t], unit, strict=True)
                )
                assert abs(Fraction(float(got[t])) - exact) <= abs(exact) / 2**52, (d, t)


def test_one_sum_in_several_ways_is_one_value(isa: str) -> None:
    carried = np.array([[5, 5, 4, 6], [7, 7, 2**32 + 7, 7 - 2**32], [-3, -3, -3, -3]])
    values = core.kernels.binned_values(carried, units(3), False)
    assert len(set(values.tolist())) == 1


def test_small_sums_are_exact(isa: str, rng: np.random.Generator) -> None:
    k = np.vstack([rng.integers(-(2**20), 2**20, 50), rng.integers(-(2**31), 2**31, 50)])
    expected = k[0] * 2.0**-30 + k[1] * 2.0**-62
    assert (core.kernels.binned_values(k, units(2), False) == expected).all()


def test_all_variants_give_the_same_bits(rng: np.random.Generator) -> None:
    for levels in (2, 3):
        sum_ = sums(rng, levels, 77)
        results: list[Any] = plain.on_every_isa(
            lambda sum_=sum_, levels=levels: plain.bits(
                core.kernels.binned_values(sum_, units(levels), False)
            )
        )
        assert len(set(results)) == 1


def test_wrong_arguments_are_refused() -> None:
    for sum_, unit, side in (
        (np.zeros((2, 3), np.int64), units(3), False),
        (np.zeros((2, 3), np.int64), units(2), True),
        (np.zeros(3, np.int64), units(3), False),
        (np.zeros((1, 3), np.int64), units(1), False),
    ):
        with pytest.raises(ValueError, match="must"):
            core.kernels.binned_values(sum_, unit, side)
