"""sift: which 16-bit sums of bytes reach a cut, in every variant."""

from __future__ import annotations

import core
import numpy as np
import plain_kernels as plain
import pytest
from numpy.typing import NDArray

WIDTHS = [64, 128, 192, 256, 320, 576]


def bytes_of(width: int) -> NDArray[np.int64]:
    """Byte of each document in a line: document 32 h + 8 l + e of 64 stands at byte 16 l + 8 h + e."""
    j = np.arange(width)
    return j // 64 * 64 + 16 * (j % 32 // 8) + 8 * (j % 64 // 32) + j % 8


def laid_out(q: NDArray[np.uint8], room: int = 0) -> NDArray[np.uint8]:
    """Lines that hold q [terms, documents]; what stands beyond belongs to another tile."""
    slab = np.full((len(q), q.shape[1] + room), 99, np.uint8)
    slab[:, bytes_of(q.shape[1])] = q
    return slab


def sums(
    acc: NDArray[np.int16], q: NDArray[np.uint8], line: NDArray[np.int32], p: NDArray[np.uint8]
) -> NDArray[np.int64]:
    return np.minimum(acc + p.astype(np.int64) @ q[line].astype(np.int64), 32767)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [0, 2, 4, 14])
@pytest.mark.parametrize("room", [0, 192])
def test_documents_that_reach_the_cut(
    isa: str, width: int, count: int, room: int, rng: np.random.Generator
) -> None:
    q = rng.integers(0, 128, (9, width), np.uint8)
    line, p = rng.integers(0, 9, count, np.int32), rng.integers(0, 60, count, np.uint8)
    acc = rng.integers(0, 3000, width, np.int16)
    total = sums(acc, q, line, p)
    for cut in {0, int(total.min()), int(np.median(total)), int(total.max()), int(total.max()) + 1}:
        if cut > 32767:
            continue
        passed, left = core.kernels.sift(acc, laid_out(q, room), line, p, cut)
        assert np.array_equal(passed, np.flatnonzero(total >= cut))
        assert not left.any()


def test_sums_saturate_and_pass(isa: str) -> None:
    q = np.full((4, 64), 127, np.uint8)
    for weight, pairs in ((127, 2), (127, 40), (126, 3)):
        line, p = np.zeros(2 * pairs, np.int32), np.full(2 * pairs, weight, np.uint8)
        for start in (0, 500, 32767):
            acc = np.full(64, start, np.int16)
            passed, left = core.kernels.sift(acc, laid_out(q), line, p, 32000)
            assert len(passed) == 64
            assert not left.any()


def test_each_byte_reaches_its_document(isa: str) -> None:
    width = 320
    for byte in range(width):
        slab = np.zeros((2, width), np.uint8)
        slab[1, byte] = 5
        line, p = np.array([0, 1], np.int32), np.array([9, 3], np.uint8)
        passed, _ = core.kernels.sift(np.zeros(width, np.int16), slab, line, p, 15)
        assert bytes_of(width)[passed].tolist() == [byte]
        assert len(core.kernels.sift(np.zeros(width, np.int16), slab, line, p, 16)[0]) == 0


def test_variants_agree(rng: np.random.Generator) -> None:
    for width in WIDTHS:
        q, acc = rng.integers(0, 128, (30, width), np.uint8), rng.integers(0, 32767, width, np.int16)
        line, p = rng.integers(0, 30, 32, np.int32), rng.integers(0, 128, 32, np.uint8)
        cut = int(rng.integers(0, 32768))
        first, *others = plain.on_every_isa(
            lambda acc=acc, q=q, line=line, p=p, cut=cut: core.kernels.sift(acc, laid_out(q), line, p, cut)[0]
        )
        for other in others:
            assert np.array_equal(first, other)
