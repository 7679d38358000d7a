"""Philox4x32-10 against its published numbers."""

from __future__ import annotations

import core
import numpy as np
import plain_kernels as plain
import pytest

# Random123's kat_vectors: counter, key, words.
KNOWN = [
    (
        [0, 0, 0, 0],
        [0, 0],
        [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
    ),
    (
        [0xFFFFFFFF] * 4,
        [0xFFFFFFFF] * 2,
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
    ),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_the_plain_statement_gives_the_published_numbers(
    counter: list[int], key: list[int], words: list[int]
) -> None:
    assert plain.philox(counter, key) == words


def test_ours_gives_the_published_numbers() -> None:
    assert core.kernels.philox(0, 0, 0) == KNOWN[0][2]


def test_ours_is_the_plain_statement(rng: np.random.Generator) -> None:
    """The counter's words are counter (low, high), purpose, 0; the key is the seed (low, high)."""
    for _ in range(200):
        low, high, purpose, key0, key1 = (int(v) for v in rng.integers(0, 2**32, 5))
        words = core.kernels.philox(key1 << 32 | key0, purpose, high << 32 | low)
        assert words == plain.philox([low, high, purpose, 0], [key0, key1])


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**64 - 1])
def test_extreme_seeds_and_counters_are_taken(seed: int) -> None:
    for counter in (0, 2**32 - 1, 2**32, 2**64 - 1):
        expected = plain.philox([counter % 2**32, counter >> 32, 1, 0], [seed % 2**32, seed >> 32])
        assert core.kernels.philox(seed, 1, counter) == expected
