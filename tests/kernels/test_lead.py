"""lead: the best of few atoms, what it scores at least and the others at most, in every variant."""

from __future__ import annotations

import core
import numpy as np
import pytest

LENGTHS = (0.0, 0.7, 3e4)


def plain(dot, factor, bias, slope, base, length):
    score, error = dot.astype(float) * factor + bias, slope * length + base
    best = int(np.argmax(score))
    others = np.delete(score + error, best)
    return best, score[best] - error[best], others.max() if len(others) else -np.inf


@pytest.mark.parametrize("m", [*range(1, 19), 31, 32, 33, 127, 128])
def test_is_what_float64_says(isa: str, m: int, rng: np.random.Generator) -> None:
    for length in LENGTHS:
        for _ in range(20):
            dot = rng.standard_normal(m).astype(np.float32)
            parts = [rng.standard_normal(m) for _ in range(2)] + [rng.random(m) for _ in range(2)]
            assert core.kernels.lead(dot, *parts, length) == plain(dot, *parts, length)


def test_every_place_may_be_the_best_and_the_next(isa: str) -> None:
    for m in (2, 8, 9, 24):
        ones, zeros = np.ones(m), np.zeros(m)
        for best in range(m):
            for following in range(m):
                if best == following:
                    continue
                dot = np.full(m, -5, np.float32)
                dot[best], dot[following] = 2, 1
                found = core.kernels.lead(dot, ones, zeros, np.full(m, 0.25), zeros, 1.0)
                assert found == (best, 1.75, 1.25)


def test_of_equal_scores_the_first_wins(isa: str) -> None:
    dot = np.zeros(21, np.float32)
    dot[[5, 9, 13, 20]] = 4
    found = core.kernels.lead(dot, np.ones(21), np.zeros(21), np.zeros(21), np.zeros(21), 1.0)
    assert found == (5, 4.0, 4.0)


def test_wrong_arguments_are_refused() -> None:
    dot, part = np.ones(5, np.float32), np.ones(5)
    for bad in (dot[:0], dot[:4]):
        with pytest.raises(ValueError, match="must be"):
            core.kernels.lead(bad, part, part, part, part, 1.0)
    with pytest.raises(ValueError, match="must be"):
        core.kernels.lead(dot, part, part, part, part[:4], 1.0)
