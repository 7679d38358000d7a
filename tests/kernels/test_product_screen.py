"""screen_tile: scores of a tile of rows with a panel of atoms, and which reach their row's limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from latom import _core

CELLS = [0, 1, 2, 3, 7, 8, 9, 16, 31, 33, 257]


def rounded(x: NDArray[Any]) -> NDArray[np.float32]:
    """Nearest bfloat16, more or less: what is exact in 8 bits."""
    return (x.astype(np.float32).view(np.uint32) & 0xFFFF0000).astype(np.uint32).view(np.float32)


class Case:
    """Rows [tile_rows, d] and atoms [panel_atoms, d] as the kernel wants them."""

    def __init__(self, rng: np.random.Generator, cells: int, bfloat16: bool) -> None:
        self.rows, self.atoms, _ = _core.kernels.tile_shape()
        depth = 2 if bfloat16 else 1
        self.bfloat16 = bfloat16
        self.x = rng.standard_normal((self.rows, cells * depth)).astype(np.float32)
        self.w = rng.standard_normal((self.atoms, cells * depth)).astype(np.float32)
        if bfloat16:
            self.x, self.w = rounded(self.x), rounded(self.w)
        self.factor = rng.standard_normal(self.atoms).astype(np.float32)
        self.bias = rng.standard_normal(self.atoms).astype(np.float32)
        self.row_bias = rng.random(self.rows, np.float32)
        self.limit = np.full(self.rows, -np.inf, np.float32)

    def pack(self, v: NDArray[np.float32]) -> NDArray[Any]:
        if not self.bfloat16:
            return np.ascontiguousarray(v.T)
        upper = (v.view(np.uint32) >> 16).astype(np.uint16)
        return np.ascontiguousarray(upper).view(np.uint32).T.copy()  # a pair: the even column in the low half

    def exact(self) -> NDArray[np.float64]:
        product = self.x.astype(np.float64) @ self.w.astype(np.float64).T
        return self.factor.astype(np.float64) * product + np.outer(self.row_bias, self.bias).astype(
            np.float64
        )

    def size(self) -> NDArray[np.float64]:
        product = np.abs(self.x).astype(np.float64) @ np.abs(self.w).astype(np.float64).T
        return np.abs(self.factor) * product + np.outer(self.row_bias, np.abs(self.bias))

    def run(self, magnitude: bool = False) -> tuple[int, NDArray[np.uint32], NDArray[np.float32]]:
        return _core.kernels.screen_tile(
            self.pack(self.x),
            self.pack(self.w),
            self.factor,
            self.bias,
            self.limit,
            self.row_bias,
            magnitude,
        )


def kinds() -> list[bool]:
    return [False, True] if _core.kernels.tile_shape()[2] else [False]


def unpacked(hit: NDArray[np.uint32], atoms: int) -> NDArray[np.bool_]:
    return (hit[:, None] >> np.arange(atoms, dtype=np.uint32)) & 1 == 1


def test_shapes_are_known(isa: str) -> None:
    expected = {"baseline": (6, 8, False), "avx2": (6, 16, False), "avx512": (14, 32, False)}
    assert _core.kernels.tile_shape() == {**expected, "avx512bf16": (14, 32, True)}.get(isa)


@pytest.mark.parametrize("magnitude", [False, True])
def test_scores_are_within_the_roundings_that_the_header_names(
    isa: str, magnitude: bool, rng: np.random.Generator
) -> None:
    for bfloat16 in kinds():
        for cells in CELLS:
            case = Case(rng, cells, bfloat16)
            any_hit, hit, score = case.run(magnitude)
            exact = np.abs(case.exact()) if magnitude else case.exact()
            d = case.x.shape[1]
            assert (np.abs(score - exact) <= (d + 4) * 2.0**-24 * case.size()).all(), cells
            assert unpacked(hit, case.atoms).all()
            assert any_hit == 2**case.atoms - 1


@pytest.mark.parametrize("magnitude", [False, True])
def test_hits_are_the_scores_that_reach_the_limit(
    isa: str, magnitude: bool, rng: np.random.Generator
) -> None:
    for bfloat16 in kinds():
        for cells in CELLS:
            case = Case(rng, cells, bfloat16)
            _, _, score = case.run(magnitude)
            case.limit = score[np.arange(case.rows), rng.integers(0, case.atoms, case.rows)].copy()
            any_hit, hit, again = case.run(magnitude)
            expected = again >= case.limit[:, None]
            assert np.array_equal(again, score)
            assert np.array_equal(unpacked(hit, case.atoms), expected)
            assert any_hit == np.bitwise_or.reduce(hit)
            case.limit[:] = np.nextafter(score.max(), np.inf, dtype=np.float32)
            any_hit, hit, _ = case.run(magnitude)
            assert any_hit == 0
            assert not hit.any()


def test_an_error_that_is_no_number_discards_nothing(isa: str, rng: np.random.Generator) -> None:
    for bfloat16 in kinds():
        case = Case(rng, 8, bfloat16)
        case.limit[:] = np.nan
        assert case.run()[0] == 2**case.atoms - 1
        case.limit[:] = np.inf
        case.x[1, 3] = np.nan
        _, hit, _ = case.run()
        assert unpacked(hit, case.atoms)[1].all()
        assert not np.delete(hit, 1).any()


def test_each_pair_of_cells_reaches_its_score(isa: str, rng: np.random.Generator) -> None:
    """Powers of two: every score is exact, and tells which row and which atom met."""
    for bfloat16 in kinds():
        case = Case(rng, 4, bfloat16)
        case.factor[:], case.bias[:] = 1, 0
        d = case.x.shape[1]
        for t in range(d):
            case.x[:], case.w[:] = 0, 0
            case.x[:, t] = 2.0 ** np.arange(case.rows)
            case.w[:, t] = 1 + np.arange(case.atoms)
            assert np.array_equal(case.run()[2], np.outer(case.x[:, t], case.w[:, t]))


def test_wrong_shapes_are_refused(isa: str, rng: np.random.Generator) -> None:
    case = Case(rng, 4, False)
    tile, panel = case.pack(case.x), case.pack(case.w)
    scales = case.factor, case.bias, case.limit, case.row_bias
    for bad in ((tile[:3].copy(), panel, *scales), (tile[:, 1:].copy(), panel, *scales),
                (tile, panel[:, 1:].copy(), *scales), (tile[0].copy(), panel, *scales)):  # fmt: skip
        with pytest.raises(ValueError, match="screen_tile: tile must be"):
            _core.kernels.screen_tile(*bad, False)
    for at in range(4):
        short = [s[1:].copy() if i == at else s for i, s in enumerate(scales)]
        with pytest.raises(ValueError, match="screen_tile: factor and bias"):
            _core.kernels.screen_tile(tile, panel, *short, False)
    if not _core.kernels.tile_shape()[2]:
        with pytest.raises(ValueError, match="no bfloat16"):
            _core.kernels.screen_tile(tile.view(np.uint32), panel.view(np.uint32), *scales, False)
