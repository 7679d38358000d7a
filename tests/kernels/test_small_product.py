"""small_product: each entry is summed term by term in the number type, the same bits in every variant."""

from __future__ import annotations

from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

ROWS = (*range(19), 31, 32, 33)  # eight go together
DEPTHS = (0, 1, 2, 3, 8, 40)


def lanes(dtype: str) -> int:
    return 64 // np.dtype(dtype).itemsize


def expected(X: NDArray[Any], F: NDArray[Any]) -> NDArray[Any]:
    """Product and sum are each rounded to the dtype, term after term."""
    out = np.zeros((len(X), F.shape[1]), X.dtype)
    for j in range(len(F)):
        out = out + X[:, j, None] * F[j]
    assert out.dtype == X.dtype
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_product_term_by_term(isa: str, dtype: str, rng: np.random.Generator) -> None:
    for rows in ROWS:
        for d in DEPTHS:
            for lines in (1, 2, 3, 5):
                X = (rng.standard_normal((rows, d)) * 10.0 ** rng.integers(-6, 6, d)).astype(dtype)
                F = rng.standard_normal((d, lines * lanes(dtype))).astype(dtype)
                found = core.kernels.small_product(X, F)
                assert plain.bits(found) == plain.bits(expected(X, F)), (rows, d, lines)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_rounded_before_they_are_added(isa: str, dtype: str) -> None:
    one_and = np.dtype(dtype).type(1) + np.finfo(dtype).eps
    X = np.tile(np.array([one_and, -1], dtype), (9, 1))
    F = np.full((2, lanes(dtype)), one_and, dtype)
    F[1] = one_and * one_and  # rounded
    assert (core.kernels.small_product(X, F) == 0).all()  # a fused multiply-add keeps the product's last bit
    assert (core.kernels.small_product(X[:, ::-1].copy(), F[::-1].copy()) == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_of_a_triangle_are_left_out(isa: str, dtype: str, rng: np.random.Generator) -> None:
    for rows in (1, 8, 11):
        for d, lines in ((5, 1), (lanes(dtype), 1), (3 * lanes(dtype), 3), (2 * lanes(dtype) + 3, 3)):
            X = rng.standard_normal((rows, d)).astype(dtype)
            full = rng.standard_normal((d, lines * lanes(dtype))).astype(dtype)
            for triangle, F in ((1, np.triu(full)), (-1, np.tril(full))):
                found = core.kernels.small_product(X, F, triangle)
                assert plain.bits(found) == plain.bits(expected(X, F)), (rows, d, triangle)


def test_wrong_arguments_are_refused() -> None:
    X = np.ones((3, 4))
    for F in (np.ones((4, 7)), np.ones((3, 8)), np.ones(8), np.ones((4, 0))[:0]):
        with pytest.raises(ValueError, match="small_product"):
            core.kernels.small_product(X, F)
