"""screen_tile: scores of a tile of rows with a panel of atoms, and which reach their row's limit."""

from __future__ import annotations

from typing import Any

import core
import numpy as np
import pytest
from numpy.typing import NDArray

CELLS = [0, 1, 2, 3, 7, 8, 9, 16, 31, 33, 257]


def rounded(x: NDArray[Any]) -> NDArray[np.float32]:
    """Nearest bfloat16, more or less: what is exact in 8 bits."""
    return (x.astype(np.float32).view(np.uint32) & 0xFFFF0000).astype(np.uint32).view(np.float32)


class Case:
    """Rows [tile_rows, d] and atoms [panel_atoms, d] as the kernel wants them."""

    def __init__(self, rng: np.random.Generator, cells: int, screen: str) -> None:
        self.rows, self.atoms, _ = core.kernels.tile_shape()
        depth = {"float32": 1, "int8": 4}.get(screen, 2)
        self.screen, self.unit = screen, np.float32(2.0**-15 if screen == "int16" else 1)
        self.x = rng.standard_normal((self.rows, cells * depth)).astype(np.float32)
        self.w = rng.standard_normal((self.atoms, cells * depth)).astype(np.float32)
        if screen == "bfloat16":
            self.x, self.w = rounded(self.x), rounded(self.w)
        if screen == "int8":
            self.x, self.w = (
                np.clip(np.rint(40 * v), -127, 127).astype(np.float32) for v in (self.x, self.w)
            )
        if screen == "int16":  # rows of length 1, or a little more
            for v in (self.x, self.w):
                v /= np.linalg.norm(v, axis=1, keepdims=True) + 1e-9
                v[:] = np.clip(np.rint(v / self.unit), -32767, 32767) * self.unit
        self.factor = rng.standard_normal(self.atoms).astype(np.float32)
        self.bias = rng.standard_normal(self.atoms).astype(np.float32)
        self.row_bias = rng.random(self.rows, np.float32)
        self.limit = np.full(self.rows, -np.inf, np.float32)

    def pack(self, v: NDArray[np.float32], panel: bool = False) -> NDArray[Any]:
        if self.screen == "float32":
            return v.T.copy().view(np.uint32)
        if self.screen == "int8":  # rows q + 128; the panel starts with what that adds
            bytes_ = (v + 128 * (not panel)).astype(np.int16).astype(np.uint8)
            cells = np.ascontiguousarray(bytes_).view(np.uint32).T
            start = (-128 * v.sum(axis=1)).astype(np.int32).view(np.uint32)
            return np.ascontiguousarray(np.vstack([start, cells]) if panel else cells)
        half = (v / self.unit).astype(np.int16) if self.screen == "int16" else v.view(np.uint32) >> 16
        half = np.ascontiguousarray(half.astype(np.uint16))
        return half.view(np.uint32).T.copy()  # a pair: the even column in the low half

    def exact(self) -> NDArray[np.float64]:
        product = self.x.astype(np.float64) @ self.w.astype(np.float64).T
        return self.factor.astype(np.float64) * product + np.outer(self.row_bias, self.bias).astype(
            np.float64
        )

    def size(self) -> NDArray[np.float64]:
        product = np.abs(self.x).astype(np.float64) @ np.abs(self.w).astype(np.float64).T
        return np.abs(self.factor) * product + np.outer(self.row_bias, np.abs(self.bias))

    def run(self, magnitude: bool = False) -> tuple[int, NDArray[np.uint32], NDArray[np.float32]]:
        return core.kernels.screen_tile(
            self.screen,
            self.pack(self.x),
            self.pack(self.w, panel=True),
            self.factor,
            self.bias,
            self.limit,
            self.row_bias,
            magnitude,
        )


def screens() -> list[str]:
    return core.kernels.tile_shape()[2]


def unpacked(hit: NDArray[np.uint32], atoms: int) -> NDArray[np.bool_]:
    return (hit[:, None] >> np.arange(atoms, dtype=np.uint32)) & 1 == 1


def test_shapes_are_known(isa: str) -> None:
    rows, atoms = {"baseline": (6, 8), "avx2": (6, 16)}.get(isa, (14, 32))
    found = core.kernels.tile_shape()
    assert found[:2] == (rows, atoms)
    assert set(found[2]) <= {"float32", "int16", "bfloat16", "int8"}
    assert isa == "baseline" or "int16" in found[2]
    assert ("bfloat16" in found[2]) == ("int8" in found[2]) == (isa == "avx512bf16")


@pytest.mark.parametrize("magnitude", [False, True])
def test_scores_are_within_the_roundings_that_the_header_names(
    isa: str, magnitude: bool, rng: np.random.Generator
) -> None:
    for screen in screens():
        for cells in CELLS:
            case = Case(rng, cells, screen)
            any_hit, hit, score = case.run(magnitude)
            exact = np.abs(case.exact()) if magnitude else case.exact()
            d = case.x.shape[1]
            assert (np.abs(score - exact) <= (d + 4) * 2.0**-24 * case.size()).all(), cells
            assert unpacked(hit, case.atoms).all()
            assert any_hit == 2**case.rows - 1


@pytest.mark.parametrize("magnitude", [False, True])
def test_hits_are_the_scores_that_reach_the_limit(
    isa: str, magnitude: bool, rng: np.random.Generator
) -> None:
    for screen in screens():
        for cells in CELLS:
            case = Case(rng, cells, screen)
            _, _, score = case.run(magnitude)
            case.limit = score[np.arange(case.rows), rng.integers(0, case.atoms, case.rows)].copy()
            any_hit, hit, again = case.run(magnitude)
            expected = again >= case.limit[:, None]
            assert np.array_equal(again, score)
            assert np.array_equal(unpacked(hit, case.atoms), expected)
            assert any_hit == sum(1 << r for r in range(case.rows) if hit[r])
            case.limit[:] = np.nextafter(score.max(), np.inf, dtype=np.float32)
            any_hit, hit, _ = case.run(magnitude)
            assert any_hit == 0
            assert not hit.any()


def test_an_error_that_is_no_number_discards_nothing(isa: str, rng: np.random.Generator) -> None:
    for screen in screens():
        case = Case(rng, 8, screen)
        case.limit[:] = np.nan
        assert case.run()[0] == 2**case.rows - 1
        case.limit[:] = np.inf
        (case.row_bias if screen.startswith("int") else case.x[:, 3])[1] = np.nan
        _, hit, _ = case.run()
        assert unpacked(hit, case.atoms)[1].all()
        assert not np.delete(hit, 1).any()


def test_each_pair_of_cells_reaches_its_score(isa: str, rng: np.random.Generator) -> None:
    """Every score is exact, and tells which row and which atom met."""
    for screen in screens():
        case = Case(rng, 4, screen)
        case.factor[:], case.bias[:] = 1, 0
        d = case.x.shape[1]
        for t in range(d):
            case.x[:], case.w[:] = 0, 0
            case.x[:, t] = (
                7 * np.arange(case.rows) + 3 if screen == "int8" else 2.0 ** np.arange(case.rows)
            ) * case.unit
            case.w[:, t] = (1 + np.arange(case.atoms)) * case.unit
            assert np.array_equal(case.run()[2], np.outer(case.x[:, t], case.w[:, t]))


def test_wrong_shapes_are_refused(isa: str, rng: np.random.Generator) -> None:
    case = Case(rng, 4, "float32")
    tile, panel = case.pack(case.x), case.pack(case.w)
    scales = case.factor, case.bias, case.limit, case.row_bias
    for bad in ((tile[:3].copy(), panel, *scales), (tile[:, 1:].copy(), panel, *scales),
                (tile, panel[:, 1:].copy(), *scales), (tile[0].copy(), panel, *scales)):  # fmt: skip
        with pytest.raises(ValueError, match="screen_tile: tile must be"):
            core.kernels.screen_tile("float32", *bad, False)
    for at in range(4):
        short = [s[1:].copy() if i == at else s for i, s in enumerate(scales)]
        with pytest.raises(ValueError, match="screen_tile: factor and bias"):
            core.kernels.screen_tile("float32", tile, panel, *short, False)
    for unknown in ("float16", *({"int16", "bfloat16", "int8"} - set(screens()))):
        with pytest.raises(ValueError, match="screen_tile: screen must be 'auto' or one that"):
            core.kernels.screen_tile(unknown, tile, panel, *scales, False)


def test_sums_of_int16_are_exact_to_the_last_bit_of_32(isa: str, rng: np.random.Generator) -> None:
    """Parallel rows as long as int16 goes, all in one column or in many: sums that touch 2^31."""
    if "int16" not in screens():
        pytest.skip("this variant has no products of int16")
    case = Case(rng, 512, "int16")
    case.factor[:], case.bias[:] = 1, 0
    d = case.x.shape[1]
    for columns in (1, 2, 3, d):
        size = min(32767, int(2**15.5 / np.sqrt(columns)))
        for sign in (1, -1):
            case.x[:], case.w[:] = 0, 0
            case.x[:, -columns:], case.w[:, -columns:] = size * case.unit, sign * size * case.unit
            whole = sign * size * size * columns
            assert abs(whole) < 2**31
            assert (case.run()[2] == np.float32(whole) * np.float32(2.0**-30)).all()
