"""raise_bar and drop_below: a bar that k numbers reach, and the candidates that stay above it."""

from __future__ import annotations

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

COUNTS = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 255, 256, 257]
INF = np.float32(np.inf)


def numbers(rng: np.random.Generator, count: int) -> dict[str, NDArray[np.float32]]:
    values = {
        "ordinary": rng.standard_normal(count),
        "equal": np.full(count, -0.25),
        "two": rng.choice([1.0, -1.0], count),
        "wide": rng.standard_normal(count) * 10.0 ** rng.integers(-30, 30, count),
        "rising": np.arange(count) - count / 2,
        "one far above": np.where(np.arange(count) == count // 2, 1e30, rng.random(count)),
        "negative": -rng.random(count) - 1,
    }
    return {name: v.astype(np.float32) for name, v in values.items()}


def ks(count: int) -> list[int]:
    return sorted({k for k in (1, 2, count // 3, count // 2, count - 1, count) if 1 <= k <= count})


@pytest.mark.parametrize("halvings", [0, 1, 6, 20])
def test_at_least_k_numbers_reach_the_bar(isa: str, halvings: int, rng: np.random.Generator) -> None:
    for count in COUNTS:
        for name, v in numbers(rng, count).items():
            for low in (-INF, np.float32(-0.5), np.float32(0), np.median(v)):
                for k in ks(count):
                    bar = core.kernels.raise_bar(v, k, low, halvings)
                    assert bar >= low, (name, count, k)
                    if (v >= low).sum() >= k:
                        assert (v >= bar).sum() >= k, (name, count, k, low, bar)
                    else:
                        assert bar == low, (name, count, k)


def test_many_halvings_come_close_to_the_kth(isa: str, rng: np.random.Generator) -> None:
    for count in COUNTS:
        v = rng.standard_normal(count).astype(np.float32)
        for k in ks(count):
            bar = core.kernels.raise_bar(v, k, -np.inf, 30)
            assert 0 <= np.sort(v)[-k] - bar <= 1e-6 * (v.max() - v.min()) + 1e-7


def test_fewer_than_k_leave_the_bar(isa: str) -> None:
    v = np.ones(5, np.float32)
    assert core.kernels.raise_bar(v, 6, -3.0, 6) == -3
    assert core.kernels.raise_bar(v, 5, 2.0, 6) == 2
    assert core.kernels.raise_bar(v, 5, 1.0, 6) == 1
    assert core.kernels.raise_bar(v, 5, 0.0, 6) == 1  # all are equal
    assert core.kernels.raise_bar(v[:0], 1, -np.inf, 6) == -np.inf


def test_equal_numbers_at_the_top_are_the_bar(isa: str) -> None:
    for count in COUNTS:
        v = np.zeros(count, np.float32)
        v[::2] = 7
        assert core.kernels.raise_bar(v, (count + 1) // 2, -np.inf, 0) == 7


def test_bars_agree_to_the_bit(rng: np.random.Generator) -> None:
    for count in COUNTS:
        for v in numbers(rng, count).values():
            for k in ks(count):
                found = plain.on_every_isa(lambda v=v, k=k: core.kernels.raise_bar(v, k, -np.inf, 6))
                assert len(set(found)) == 1


def test_what_reaches_the_bar_stays_in_order(isa: str, rng: np.random.Generator) -> None:
    for count in [0, *COUNTS]:
        for upper in numbers(rng, count).values():
            lower = upper - np.abs(upper)
            position = rng.permutation(count).astype(np.int32)
            for bar in (-INF, *upper[:2], np.float32(0), INF):
                keep = upper >= bar
                got = core.kernels.drop_below(bar, lower, upper, position)
                for part, before in zip(got, (lower, upper, position), strict=True):
                    assert np.array_equal(part, before[keep]), (count, bar)


def test_wrong_arguments_are_refused() -> None:
    v, position = np.ones(3, np.float32), np.zeros(3, np.int32)
    for k, halvings in ((0, 1), (1, -1)):
        with pytest.raises(ValueError, match="raise_bar: k must be"):
            core.kernels.raise_bar(v, k, 0.0, halvings)
    for bad in ((v[:2].copy(), v, position), (v, v[:2].copy(), position), (v, v, position[:2].copy())):
        with pytest.raises(ValueError, match="drop_below: lower, upper and position"):
            core.kernels.drop_below(0.0, *bad)
