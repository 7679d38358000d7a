"""pursuit_pairs and pursuit_row: a start less multiples of rows in 16 bits, and the largest of each 128."""

from __future__ import annotations

import core
import numpy as np
import pytest
from numpy.typing import NDArray

BLOCK = 128


def largest(out: NDArray[np.float32], magnitudes: bool) -> NDArray[np.float32]:
    score = np.abs(out) if magnitudes else out
    return np.where(np.isnan(score), -np.inf, score).reshape(-1, BLOCK).max(axis=1)


@pytest.mark.parametrize("magnitudes", [True, False])
def test_pairs_are_the_plain_statement(isa: str, magnitudes: bool, rng: np.random.Generator) -> None:
    for blocks in (1, 2, 5):
        for count in (0, 1, 2, 5):
            width = blocks * BLOCK
            start = rng.standard_normal(width).astype(np.float32)
            start[rng.permutation(width)[:7]] = np.nan
            rows = rng.integers(-32767, 32768, (2 * count, width)).astype(np.int16)
            factor = rng.integers(-6000, 6001, 2 * count).astype(np.int16)
            out, block = core.kernels.pursuit_pairs(start, rows, factor, 2.0**-29, magnitudes)
            want = start - 2.0**-29 * (factor.astype(np.int64) @ rows.astype(np.int64))
            assert np.allclose(out, want, rtol=1e-6, atol=1e-6, equal_nan=True)
            assert (block == largest(out, magnitudes)).all()


def test_sums_end_only_at_31_bits(isa: str) -> None:
    """The most that factors may be: their magnitudes sum up to less than 2^16."""
    rows = np.full((4, BLOCK), 32767, np.int16)
    rows[:, 1] *= -1
    factor = np.full(4, 16250, np.int16)
    out, _ = core.kernels.pursuit_pairs(np.zeros(BLOCK, np.float32), rows, factor, 1.0, True)
    assert out[0] == np.float32(-65000 * 32767)
    assert out[1] == -out[0]


@pytest.mark.parametrize("magnitudes", [True, False])
def test_a_row_is_the_plain_statement(isa: str, magnitudes: bool, rng: np.random.Generator) -> None:
    for blocks in (1, 2, 5):
        start = rng.standard_normal(blocks * BLOCK).astype(np.float32)
        start[rng.permutation(len(start))[:7]] = np.nan
        row = rng.integers(-32767, 32768, len(start)).astype(np.int16)
        factor = np.float32(1e-4 * rng.standard_normal())
        out, block = core.kernels.pursuit_row(row, factor, start, magnitudes)
        assert np.allclose(out, start - np.float64(factor) * row, rtol=1e-6, atol=1e-6, equal_nan=True)
        assert (block == largest(out, magnitudes)).all()


def test_of_nothing_that_may_be_taken_none_is_largest(isa: str) -> None:
    start, row = np.full(BLOCK, np.nan, np.float32), np.ones(BLOCK, np.int16)
    assert core.kernels.pursuit_row(row, 1.0, start, True)[1].tolist() == [-np.inf]


def test_wrong_arguments_are_refused() -> None:
    start, rows, factor = np.ones(BLOCK, np.float32), np.ones((2, BLOCK), np.int16), np.ones(2, np.int16)
    for bad in (
        (start[:7].copy(), rows[:, :7].copy(), factor),
        (start, rows[:, :64].copy(), factor),
        (start, rows[:1], factor[:1]),
        (start, rows, factor[:1]),
    ):
        with pytest.raises(ValueError, match="pursuit"):
            core.kernels.pursuit_pairs(*bad, 1.0, True)
    with pytest.raises(ValueError, match="pursuit"):
        core.kernels.pursuit_row(rows[0, :64].copy(), 1.0, start, True)
