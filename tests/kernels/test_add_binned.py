"""add_binned and scatter_binned: integers of scaled rows against exact fractions, in every variant."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100)


def cut(v: float, exponent: int, levels: int) -> list[int]:
    """v in integers of the units 2^exponent, 2^(exponent - 32), ..., each rounded half to even."""
    rest, out = Fraction(v), []
    for level in range(levels):
        unit = Fraction(2) ** (exponent - 32 * level)
        out.append(round(rest / unit))  # Python rounds fractions half to even
        rest -= out[-1] * unit
    return out


def grid(bound: float) -> tuple[int, NDArray[np.float64]]:
    exponent, magic = core.kernels.bin_grid(bound)
    assert magic == [1.5 * 2.0 ** (52 + exponent - 32 * level) for level in range(len(magic))]
    return exponent, np.array(magic)


@pytest.mark.parametrize("bound", [1.0, 3.0, 1e9, 1e-7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dense_rows_are_cut_exactly(isa: str, dtype: str, bound: float, rng: np.random.Generator) -> None:
    exponent, magic = grid(bound)
    for d in WIDTHS:
        x = (rng.uniform(-1, 1, (5, d)) * 2.0 ** -rng.integers(0, 60, (5, d))).astype(dtype)
        factor = bound * rng.uniform(-1, 1, 5)
        before = rng.integers(-(2**40), 2**40, (len(magic), d))
        got = core.kernels.add_binned(x, factor, magic, before)
        expected = before.astype(object)
        for i in range(5):
            for t in range(d):
                expected[:, t] += cut(float(x[i, t]) * factor[i], exponent, len(magic))
        assert (got == expected.astype(np.int64)).all(), d


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sparse_rows_are_cut_exactly(isa: str, dtype: str, index: str, rng: np.random.Generator) -> None:
    for bound in (1.0, 5e4):
        exponent, magic = grid(bound)
        for nnz in (0, *WIDTHS):
            column = rng.choice(200, nnz, replace=False).astype(index)
            factor = bound * rng.uniform(0.1, 1)
            several = rng.uniform(-1, 1, nnz).astype(dtype)
            one = np.full(nnz, 0.3, dtype)  # as codes have
            but_last = np.append(one[:-1], several[:1]).astype(dtype)
            for x in (several, one, but_last):
                before = rng.integers(-(2**40), 2**40, (200, len(magic)))
                expected = before.copy()
                for v, t in zip(x, column, strict=True):
                    expected[t] += cut(float(v) * factor, exponent, len(magic))
                got, none = core.kernels.scatter_binned(x, column, factor, magic, before, False)
                assert (got == expected).all(), nnz
                assert none == b""
                got, touched = core.kernels.scatter_binned(x, column, factor, magic, before, True)
                assert (got == expected).all(), nnz
                assert [t for t in range(25) if touched[t]] == sorted(set(column // 8)), nnz


def test_halves_of_a_unit_go_to_even(isa: str) -> None:
    exponent, magic = grid(1.0)
    unit = 2.0 ** (exponent - 32 * (len(magic) - 1))
    x = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 3.0, 0.0]]) * unit
    last = core.kernels.add_binned(x, np.ones(1), magic, np.zeros((len(magic), 8), np.int64))[-1]
    assert last.tolist() == [0, 2, 2, 0, -2, -2, 3, 0]


def test_all_variants_give_the_same_integers(rng: np.random.Generator) -> None:
    x, factor = rng.standard_normal((30, 77)).astype(np.float32), rng.standard_normal(30)
    _, magic = grid(40.0)
    start = np.zeros((len(magic), 77), np.int64)
    results: list[Any] = plain.on_every_isa(
        lambda: plain.bits(core.kernels.add_binned(x, factor, magic, start))
    )
    assert len(set(results)) == 1


def test_wrong_arguments_are_refused() -> None:
    x, ones = np.ones((2, 3), np.float32), np.ones(2)
    _, magic = grid(1.0)
    for bad in (
        (x, np.ones(3), magic, np.zeros((2, 3), np.int64)),
        (x, ones, magic[:1], np.zeros((1, 3), np.int64)),
        (x, ones, magic, np.zeros((3, 3), np.int64)),
        (x, ones, magic, np.zeros((2, 4), np.int64)),
    ):
        with pytest.raises(ValueError, match="must"):
            core.kernels.add_binned(*bad)
    column = np.array([0, 1, 9])
    with pytest.raises(IndexError, match="out of range"):
        core.kernels.scatter_binned(x[0], column, 1.0, magic, np.zeros((9, 2), np.int64), True)
