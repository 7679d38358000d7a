"""turn_rows: rows column by column, less a point, in every variant."""

from __future__ import annotations

import core
import numpy as np
import pytest


@pytest.mark.parametrize("d", [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 38, 64])
@pytest.mark.parametrize("shifted", [False, True])
def test_columns_and_the_longest(isa: str, d: int, shifted: bool, rng: np.random.Generator) -> None:
    rows = core.kernels.best_rows()
    x = rng.standard_normal((rows, d), dtype=np.float32)
    origin = rng.standard_normal(d, dtype=np.float32) if shifted else None
    less = x - origin if shifted else x
    columns, longest2 = core.kernels.turn_rows(x, origin)
    assert columns.tobytes() == np.ascontiguousarray(less.T).tobytes()
    squares = (less.astype(np.float64) ** 2).sum(axis=1)
    assert longest2 == pytest.approx(squares.max(), rel=1e-5)
    for place in (0, 1, rows // 4, rows // 2, rows - 1) if d else ():  # wherever it stands
        x[place] *= 100
        longest2 = (x[place].astype(np.float64) ** 2).sum()
        assert core.kernels.turn_rows(x)[1] == pytest.approx(longest2, rel=1e-5)
        x[place] /= 100


def test_wrong_arguments_are_refused() -> None:
    x = np.ones((core.kernels.best_rows(), 3), np.float32)
    for bad in ((x[:-1],), (x, np.ones(2, np.float32)), (x[0],)):
        with pytest.raises(ValueError, match="turn_rows: x must be"):
            core.kernels.turn_rows(*bad)
