"""top-k on an emulated GPU gives the CPU's bits: sets, order and values."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import latom
from latom._base import device_select
from latom._base.device import DeviceArray, as_device_rows, place_of
from latom.cli.main import main

ACTIVATIONS = ("identity", "relu", "abs")


def same(X: Any, W: Any, k: int, **options: Any) -> dict[str, int]:
    """Holds the GPU's answer to the CPU's; returns what the GPU counted."""
    values, indices, stats = latom.topk(X, W, k, device="cuda", return_stats=True, **options)
    wanted, places = latom.topk(X, W, k, **options)
    assert values.dtype == wanted.dtype
    assert indices.dtype == places.dtype
    np.testing.assert_array_equal(indices, places)
    np.testing.assert_array_equal(values, wanted)  # no tolerance: the same bits
    assert not (np.signbit(values) != np.signbit(wanted)).any()
    return dict(stats)


def draw(rng: np.random.Generator, n: int, d: int, dtype: Any) -> Any:
    return rng.standard_normal((n, d)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 7, 30, 3), (4, 96, 1000, 20), (2, 1, 100, 100), (17, 20, 259, 1)])
def test_every_rule(cuda: ModuleType, rng: np.random.Generator, dtype: Any, shape: Any) -> None:
    n, d, m, k = shape
    X, W = draw(rng, n, d, dtype), draw(rng, m, d, dtype)
    W[m // 2 : m // 2 + m // 4] = W[: m // 4]  # ties
    X[0] = 0
    for activation in ACTIVATIONS:
        same(X, W, k, activation=activation, bias=rng.standard_normal(m))
        same(X, W, k, activation=activation, metric="cosine")
    same(X - 1, W, k, activation="relu")  # rows with fewer than k above 0
    same(X, W, k, metric="euclidean")


def test_the_order_of_threads_does_not_matter(cuda: ModuleType, rng: np.random.Generator, order: str) -> None:
    X, W = draw(rng, 6, 33, np.float32), draw(rng, 2100, 33, np.float32)
    W[1000:1050] = W[:50]
    stats = same(X, W, 32)
    assert stats["overflowed"] == 0
    assert stats["scored"] < 6 * 120, "the screen discards most atoms"
    same(np.ones((3, 4)), np.ones((1500, 4)), 5)  # the exact path


def test_several_panels(cuda: ModuleType, rng: np.random.Generator) -> None:
    X, W = draw(rng, 3, 5, np.float32), draw(rng, 2 * 16384 + 77, 5, np.float32)
    W[-1] = W[0]
    assert same(X, W, 9)["overflowed"] == 0
    assert same(X, W, 9, bias=rng.standard_normal(len(W)))["overflowed"] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_far_below_the_lengths(cuda: ModuleType, rng: np.random.Generator, dtype: Any) -> None:
    """All atoms are nearly orthogonal to the row: the data's rounding decides what may be discarded."""
    x = rng.standard_normal(200)
    W = rng.standard_normal((3000, 200))
    W += np.outer(rng.normal(0, 0.4, 3000) - W @ x, x / (x @ x))
    stats = same(x[None].astype(dtype), W.astype(dtype), 8)
    assert 8 < stats["scored"] <= 3000


def test_near_ties(cuda: ModuleType, rng: np.random.Generator) -> None:
    """Scores that differ in the last bit of float64, and none of whose order float32 can tell."""
    W = np.repeat(rng.standard_normal((1, 40)), 300, axis=0)
    W[:, 3] += rng.permutation(300) * np.spacing(1.0)
    same(rng.standard_normal((4, 40)), W, 20)


def test_ties_beyond_the_room_take_the_exact_path(cuda: ModuleType) -> None:
    W = np.ones((1500, 6), np.float32)
    W[700] = 2
    stats = same(np.ones((2, 6), np.float32), W, 7)
    assert stats["overflowed"] == 2
    assert stats["scored"] == 2 * 1500


def test_large_k_takes_the_exact_path(cuda: ModuleType, rng: np.random.Generator) -> None:
    X, W = draw(rng, 3, 8, np.float64), draw(rng, 400, 8, np.float64)
    assert same(X, W, 129)["overflowed"] == 3
    assert same(X, W, 400, activation="abs")["overflowed"] == 3


@pytest.mark.parametrize("scale", [1e-140, 1e-30, 1e30, 1e140])
def test_scales_of_float64(cuda: ModuleType, rng: np.random.Generator, scale: float) -> None:
    X, W = draw(rng, 3, 12, np.float64), draw(rng, 400, 12, np.float64)
    same(X * scale, W, 5)
    same(X * scale, W / scale, 5, metric="cosine")
    same(X, W * scale, 5, bias=rng.standard_normal(400) * scale)
    same(X * scale, W, 5, bias=rng.standard_normal(400))


def test_rows_of_mixed_scales_and_subnormal_numbers(cuda: ModuleType, rng: np.random.Generator) -> None:
    X, W = draw(rng, 6, 16, np.float32), draw(rng, 500, 16, np.float32)
    X *= np.float32(10.0) ** np.arange(-36, 0, 6, dtype=np.float32)[:, None]
    X[0] *= np.float32(1e-6)  # subnormal
    same(X, W, 6)
    W[::7] *= np.float32(1e-30)  # atoms that float16 rounds to 0
    same(X, W, 6, metric="cosine")
    same(X, W, 6)
    same(np.zeros((2, 16), np.float32), W, 6, bias=rng.standard_normal(500))
    same(X, np.zeros((9, 16), np.float32), 2)


def test_chunks_of_rows(
    cuda: ModuleType, rng: np.random.Generator, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next chunk's product runs while one is selected from: buffers take turns."""
    monkeypatch.setattr(device_select, "CHUNK_ROWS", 4)
    X, W = draw(rng, 23, 2, np.float32), draw(rng, 16384 + 40, 2, np.float32)
    same(X, W, 2)
    same(X, W[:60], 2, bias=rng.standard_normal(60))


def test_what_is_refused(cuda: ModuleType, rng: np.random.Generator) -> None:
    X, W = draw(rng, 3, 4, np.float32), draw(rng, 20, 4, np.float32)
    bad = X.copy()
    bad[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"topk: X must hold finite numbers.* row 1"):
        latom.topk(bad, W, 2, device="cuda")
    with pytest.raises(ValueError, match=r"topk: atoms must hold finite numbers.* row 1"):
        latom.topk(X, bad, 2, device="cuda")
    with pytest.raises(ValueError, match="topk: X must have as many columns as atoms, 4; got 3"):
        latom.topk(X[:, :3], W, 2, device="cuda")
    with pytest.raises(ValueError, match=r"topk: k must .*20"):
        latom.topk(X, W, 21, device="cuda")
    with pytest.raises(ValueError, match="device must be one of the 1 GPUs"):
        latom.topk(X, W, 2, device="cuda:3")
    with pytest.raises(ValueError, match="device must be None, 'cpu' or 'cuda'; got 'tpu'"):
        latom.topk(X, W, 2, device="tpu")
    with pytest.raises(ValueError, match="bias must be None with metric='cosine'"):
        latom.topk(X, W, 2, device="cuda", bias=np.ones(20), metric="cosine")
    with pytest.raises(ValueError, match=r"device must be None or 'cpu'; got 'cuda'. README's table"):
        latom.NMF(2, device="cuda").fit(np.abs(X))


def test_device_arrays_stay_on_the_device(cuda: ModuleType, rng: np.random.Generator) -> None:
    X, W = draw(rng, 3, 4, np.float32), draw(rng, 20, 4, np.float32)
    place = place_of("topk", "cuda", X=X)
    assert place is not None
    there, atoms = place.upload(X), place.upload(W)
    values, indices = latom.topk(there, atoms, 2)
    wanted, places = latom.topk(X, W, 2)
    assert isinstance(values, DeviceArray)
    np.testing.assert_array_equal(values.to_numpy(), wanted)
    np.testing.assert_array_equal(indices.to_numpy(), places)
    with pytest.raises(ValueError, match="X on cuda:0, atoms on the CPU"):
        latom.topk(there, W, 2)
    with pytest.raises(ValueError, match="device must be the one that all arrays lie on; got 'cpu'"):
        latom.topk(there, atoms, 2, device="cpu")
    with pytest.raises(TypeError, match="X must hold float64 in C order"):
        as_device_rows("topk", there, "X", np.float64)


def test_a_build_without_cuda_says_so(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "latom._cuda", None)
    with pytest.raises(ValueError, match="built without CUDA"):
        latom.topk(draw(rng, 3, 4, np.float32), draw(rng, 3, 4, np.float32), 2, device="cuda")


def test_wrong_sizes_are_refused_by_the_extension(cuda: ModuleType) -> None:
    memory, rows = cuda.Memory(64), cuda.Memory(64)
    rows.fill(0)
    atoms = cuda.Atomsf32(rows.pointer, 4, 4, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="workspace"):
        atoms.topk(rows.pointer, 4, 0, False, 0, 2, 1, 1, 0, 8, memory, "", 0)
    with pytest.raises(ValueError, match="k must be at most m"):
        atoms.topk(rows.pointer, 4, 0, False, 0, 5, 1, 1, 0, 8, memory, "", 0)
    with pytest.raises(ValueError, match="workspace"):
        atoms.count_above(rows.pointer, 4, 1, memory, "", 0)
    with pytest.raises(ValueError, match="extents must be positive"):
        cuda.Atomsf32(rows.pointer, 0, 4, 0, 0, 0, 0)
    with pytest.raises(IndexError, match="begins beyond"):
        memory.read(np.zeros(1), 0, 65)
    with pytest.raises(IndexError, match="longer than its room"):
        cuda.RowFeed(8).put(np.zeros(2))
    with pytest.raises(IndexError, match="longer than the device memory"):
        memory.write(np.zeros(100))


def test_the_check_runs_on_an_emulated_gpu(
    cuda: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cuda-check", "--quick", "--json", str(tmp_path / "check.json")]) == 0
    printed = capsys.readouterr().out
    assert "all parts agree with the CPU" in printed
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["emulated"]
    error = next(value for name, value in report.items() if "d=64" in name)
    assert 0.5 < error < 1, "the emulation adds errors up to the bound"


def test_the_check_says_that_there_is_no_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "latom._cuda", None)
    assert main(["cuda-check"]) == 1
    assert "built without CUDA" in capsys.readouterr().out
