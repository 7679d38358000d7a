"""pull_rows: rows and a row that they meet step along each other, in turn and in the same bits everywhere."""

from __future__ import annotations

import core
import numpy as np
import pytest


@pytest.mark.parametrize("width", [16, 32, 48, 112])
def test_pull_rows_is_its_statement(isa, width, rng):
    F = rng.standard_normal((6, width)).astype(np.float32)
    x = rng.standard_normal(width).astype(np.float32)
    index = np.array([4, 0, 4, 2], np.int32)
    pull, keep = rng.standard_normal(4).astype(np.float32), np.float32(0.9)
    rows, total = F.copy(), np.zeros(width, np.float32)
    for j, amount in zip(index, pull, strict=True):
        total = total + amount * rows[j]
        rows[j] = keep * rows[j] + amount * x
    got, moved = core.kernels.pull_rows(index, pull, float(keep), x, F)
    assert got.tobytes() == rows.tobytes()
    assert moved.tobytes() == (keep * x + total).tobytes()
