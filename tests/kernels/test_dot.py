"""dense_dot and sparse_dot: float64 sums in one order, the same bits in every variant."""

from __future__ import annotations

from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

LENGTHS = [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1000]
KINDS = ["ordinary", "subnormal", "huge", "cancelling", "mixed", "signed zeros"]


def values(rng: np.random.Generator, kind: str, size: int, dtype: str) -> NDArray[Any]:
    """Numbers of one kind: those that a wrong order, a fused product or flushed subnormals would betray."""
    x = rng.standard_normal(size)
    if kind == "subnormal":
        x *= float(np.finfo(dtype).smallest_subnormal) * 1000
    elif kind == "huge":
        x *= 1e30 if dtype == "float32" else 1e140
    elif kind == "cancelling":
        x = np.where(np.arange(size) % 2 == 0, 1e10, -1e10) + x
    elif kind == "mixed":
        x *= 10.0 ** rng.integers(-20, 20, size)
    elif kind == "signed zeros":
        x = np.where(rng.random(size) < 0.7, -0.0, x)
    return x.astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_dot_is_the_eight_partial_sums(
    isa: str, dtype: str, kind: str, rng: np.random.Generator
) -> None:
    for d in LENGTHS:
        x, y = values(rng, kind, d, dtype), values(rng, kind, d, dtype)
        assert plain.bits(core.kernels.dense_dot(x, y)) == plain.bits(plain.dot(x, y)), d


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sparse_dot_is_the_eight_partial_sums(
    isa: str, dtype: str, index: str, kind: str, rng: np.random.Generator
) -> None:
    d = 1100
    y = values(rng, kind, d, dtype)
    for nnz in LENGTHS:
        x = values(rng, kind, nnz, dtype)
        column = np.sort(rng.choice(d, nnz, replace=False)).astype(index)
        got = core.kernels.sparse_dot(x, column, y)
        assert plain.bits(got) == plain.bits(plain.dot(x, y[column])), nnz


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variants_agree_to_the_bit(dtype: str, rng: np.random.Generator) -> None:
    for d in range(130):
        x, y = values(rng, "mixed", d, dtype), values(rng, "mixed", d, dtype)
        column = rng.permutation(d)
        dense = plain.on_every_isa(lambda x=x, y=y: plain.bits(core.kernels.dense_dot(x, y)))
        sparse = plain.on_every_isa(
            lambda x=x, y=y, column=column: plain.bits(core.kernels.sparse_dot(x, column, y))
        )
        assert len(set(dense)) == len(set(sparse)) == 1, d


def test_float32_products_are_exact(isa: str) -> None:
    x = np.array([1 + 2**-23, 1.0], np.float32)
    y = np.array([1 + 2**-23, -1.0], np.float32)
    assert core.kernels.dense_dot(x, y) == 2**-22 + 2**-46


def test_float64_products_are_rounded_before_they_are_added(isa: str) -> None:
    x = np.zeros(16)
    x[[0, 8]] = 1 + 2**-52, 1.0
    y = np.zeros(16)
    y[[0, 8]] = 1.0, 0.0
    y[0], y[8] = 1 + 2**-52, -(1 + 2**-51)
    # A fused multiply-add would keep the product's last bit, 2^-104.
    assert core.kernels.dense_dot(x, y) == 0.0


def test_column_out_of_range_is_refused(isa: str) -> None:
    x, y = np.ones(1, np.float32), np.ones(3, np.float32)
    for column in (-1, 3):
        with pytest.raises(IndexError, match="out of range"):
            core.kernels.sparse_dot(x, np.array([column], np.int32), y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_dots_are_dense_dots_of_each_pair(
    isa: str, dtype: str, kind: str, rng: np.random.Generator
) -> None:
    for d in (1, 7, 8, 9, 17, 33, 257):
        for count in (0, 1, 2, 3, 4, 5, 7, 8, 9):
            x = values(rng, kind, count * d, dtype).reshape(count, d)
            y = values(rng, kind, count * d, dtype).reshape(count, d)
            expected = np.array([plain.dot(a, b) for a, b in zip(x, y, strict=True)], np.float64)
            assert plain.bits(core.kernels.dense_dots(x, y)) == plain.bits(expected), (d, count)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_dots_agree_to_the_bit(dtype: str, rng: np.random.Generator) -> None:
    for d in range(70):
        x, y = values(rng, "mixed", 7 * d, dtype), values(rng, "mixed", 7 * d, dtype)
        x, y = x.reshape(7, d), y.reshape(7, d)
        found = plain.on_every_isa(lambda x=x, y=y: plain.bits(core.kernels.dense_dots(x, y)))
        assert len(set(found)) == 1, d


def test_dense_dots_want_one_shape() -> None:
    for x, y in (
        (np.ones((2, 3)), np.ones((2, 4))),
        (np.ones((2, 3)), np.ones((3, 3))),
        (np.ones(3), np.ones(3)),
    ):
        with pytest.raises(ValueError, match="dense_dots: x and y must be"):
            core.kernels.dense_dots(x, y)
