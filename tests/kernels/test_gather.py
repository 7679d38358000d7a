"""gather_add: weighted sums of rows in stored order, the same bits in every variant."""

from __future__ import annotations

from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

WIDTHS = (*range(1, 75), 95, 96, 97, 127, 128, 129, 130, 131, 135, 136, 137, 257, 768)


def expected(
    index: NDArray[Any], value: NDArray[Any], W: NDArray[Any], first: int, out: NDArray[Any]
) -> NDArray[Any]:
    """Product and sum are each rounded to the dtype, term after term."""
    result = out.copy()
    for j, v in zip(index[: len(value)], value, strict=True):
        result = result + v * W[j, first : first + len(out)]
    assert result.dtype == W.dtype
    return result


def case(rng: np.random.Generator, dtype: str, index: str, count: int, width: int) -> tuple[Any, ...]:
    """Sizes of many magnitudes, so that another order or a fused product shows."""
    W = (rng.standard_normal((17, width + 5)) * 10.0 ** rng.integers(-6, 6, (17, 1))).astype(dtype)
    indices = rng.integers(0, 17, count + 3).astype(index)
    value = rng.standard_normal(count).astype(dtype)
    return indices, value, W, 3, rng.standard_normal(width).astype(dtype)


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_are_those_of_the_stored_order(
    isa: str, dtype: str, index: str, rng: np.random.Generator
) -> None:
    for width in WIDTHS:
        for count in (0, 1, 2, 7, 33):
            arguments = case(rng, dtype, index, count, width)
            got = core.kernels.gather_add(*arguments)
            assert plain.bits(got) == plain.bits(expected(*arguments)), (width, count)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variants_agree_to_the_bit(dtype: str, rng: np.random.Generator) -> None:
    for width in WIDTHS:
        arguments = case(rng, dtype, "int32", 20, width)
        results = plain.on_every_isa(
            lambda arguments=arguments: plain.bits(core.kernels.gather_add(*arguments))
        )
        assert len(set(results)) == 1, width


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [3, 40, 128])
def test_products_are_rounded_before_they_are_added(isa: str, dtype: str, width: int) -> None:
    one_and = np.dtype(dtype).type(1) + np.finfo(dtype).eps
    W = np.full((2, width), one_and, dtype)
    W[1] = one_and * one_and  # rounded
    got = core.kernels.gather_add(
        np.array([0, 1], np.int32), np.array([one_and, -1], dtype), W, 0, np.zeros(width, dtype)
    )
    assert (got == 0).all()  # a fused multiply-add first keeps the product's last bit
    got = core.kernels.gather_add(np.array([0], np.int32), np.array([one_and], dtype), W, 0, -W[1])
    assert (got == 0).all()


def test_out_is_not_written_and_neighbors_are_not_touched(isa: str, rng: np.random.Generator) -> None:
    index, value, W, first, out = case(rng, "float32", "int32", 9, 21)
    before = out.copy()
    W[:, :first] = W[:, first + 21 :] = np.nan  # other columns' numbers must not get in
    assert np.isfinite(core.kernels.gather_add(index, value, W, first, out)).all()
    assert (out == before).all()


def test_wrong_arguments_are_refused() -> None:
    W, out = np.ones((3, 4), np.float32), np.zeros(4, np.float32)
    one = np.ones(1, np.float32)
    for index in (-1, 3):
        with pytest.raises(IndexError, match="out of range"):
            core.kernels.gather_add(np.array([index], np.int32), one, W, 0, out)
    for bad in ((np.zeros(0, np.int32), one, W, 0, out), (np.zeros(1, np.int32), one, W, 1, out)):
        with pytest.raises(ValueError, match="gather_add"):
            core.kernels.gather_add(*bad)
