"""block_max: upper bounds in float32 and their maxima, the same bits in every variant."""

from __future__ import annotations

import core
import numpy as np
import plain_kernels as plain
import pytest

COUNTS = [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 200, 256, 1000]


@pytest.mark.parametrize("least", [-np.inf, 0.0])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("count", COUNTS)
def test_maxima_of_every_64(
    isa: str, count: int, scaled: bool, least: float, rng: np.random.Generator
) -> None:
    for size in (100, 10**6, 2**31 - 1):
        acc = rng.integers(-size, size, count).astype(np.int32)
        step, shift, bias_scale = np.float32(0.7 / size), np.float32(0.013), np.float32(0.3)
        scale = rng.random(count, np.float32) if scaled else None
        bias = -rng.random(count, np.float32) if scaled else None
        best, block = core.kernels.block_max(acc, step, shift, least, scale, bias, bias_scale)
        ub = plain.upper_bounds(acc, step, shift, least, scale, bias, bias_scale)
        assert plain.bits(block) == plain.bits(plain.block_maxima(ub))
        assert best == ub.max()


def test_the_best_is_found_at_every_position(isa: str) -> None:
    for at in range(130):
        acc = np.full(130, -7, np.int32)
        acc[at] = 3
        for scale in (None, np.ones(130, np.float32)):
            bias = None if scale is None else np.zeros(130, np.float32)
            best, block = core.kernels.block_max(acc, 1.0, 0.5, -np.inf, scale, bias, 1.0)
            assert best == 3.5
            assert [b == 3.5 for b in block] == [at // 64 == i for i in range(3)]


def test_no_atoms_give_minus_infinity(isa: str) -> None:
    best, block = core.kernels.block_max(np.zeros(0, np.int32), 1.0, 0.0, 0.0, None, None, 0.0)
    assert best == -np.inf
    assert len(block) == 0


def test_variants_agree_to_the_bit(rng: np.random.Generator) -> None:
    for count in COUNTS:
        acc = rng.integers(-(2**20), 2**20, count).astype(np.int32)
        scale, bias = rng.random(count, np.float32), -rng.random(count, np.float32)
        for s, b in ((None, None), (scale, bias)):
            found = plain.on_every_isa(
                lambda acc=acc, s=s, b=b: [
                    plain.bits(part) for part in core.kernels.block_max(acc, 1.7e-6, 1e-3, 0.0, s, b, 0.9)
                ]
            )
            assert all(other == found[0] for other in found)
