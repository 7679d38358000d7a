"""Matrix products alone: the probes of the arithmetic peak, see `peak.py`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from data import Problem

from peers.base import Call, by_name, tuned


class Gemm(Call):
    """X · atomsᵀ in one precision."""

    precision: str


class Numpy(Gemm):
    """numpy.matmul on the BLAS that its wheel brings."""

    name = "numpy"
    precision = "float32"
    distribution = "numpy"

    def load(self) -> None:
        pass

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms = problem["X"], problem["atoms"]
        return lambda: X @ atoms.T


class Torch(Gemm):
    """torch.matmul in one precision."""

    distribution = "torch"

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.name = f"torch {precision}"

    def load(self) -> None:
        self.torch = importlib.import_module("torch")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        torch = self.torch
        torch.set_num_threads(threads)
        dtype = getattr(torch, self.precision)
        X, atoms = (torch.from_numpy(problem[name]).to(dtype) for name in ("X", "atoms"))
        return lambda: X @ atoms.T

    def output(self, result: Any) -> np.ndarray:
        return np.asarray(result.float())


class TorchPacked(Torch):
    """oneDNN's linear layer with its weights packed once, beforehand."""

    def __init__(self, precision: str) -> None:
        super().__init__(precision)
        self.name = f"torch packed {precision}"

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        torch = self.torch
        torch.set_num_threads(threads)
        dtype = getattr(torch, self.precision)
        X, atoms = (torch.from_numpy(problem[name]).to(dtype) for name in ("X", "atoms"))
        product = packed_product(torch, atoms, X.shape[0])
        return lambda: product(X)


class Screen(Gemm):
    """latom's own inner loop of multiply-adds on a tile and a panel that stay in the first cache."""

    distribution = "latom"
    columns = 256

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.name = f"multiply-add loop {precision}"

    def load(self) -> None:
        self.kernels = importlib.import_module("latom._core").kernels

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        rows, atoms, _ = self.kernels.tile_shape()
        products = problem["X"].shape[0] * problem["X"].shape[1] * problem["atoms"].shape[0]
        cells = self.columns // {"float32": 1, "int8": 4}.get(self.precision, 2)
        times = products // (rows * atoms * self.columns)
        self.kernels.repeat_screen(self.precision, cells, 0, threads)  # raises if it has none
        return lambda: self.kernels.repeat_screen(self.precision, cells, times, threads)

    def output(self, result: Any) -> np.ndarray:
        return np.zeros(1)


def packed_product(torch: Any, atoms: Any, n: int) -> Callable[[Any], Any]:
    """X -> X · atomsᵀ for X of n rows, as torch.compile emits it for inference with frozen weights."""
    # The two operators are torch's own business: a version without them is reported as such.
    packed = torch.ops.mkldnn._reorder_linear_weight(atoms, n)
    linear = torch.ops.mkldnn._linear_pointwise

    def product(X: Any) -> Any:
        with torch.inference_mode():
            return linear(X, packed, None, "none", [], "")

    return product


GEMM: dict[str, Gemm] = by_name(
    *tuned(Numpy()),
    Torch("float32"),
    Torch("bfloat16"),
    Screen("float32"),
    Screen("int16"),
    Screen("bfloat16"),
    Screen("int8"),
)
