"""Semi-NMF from given codes. An answer is the codes [n, m] above the transposed components [d, m]."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from data import Problem

from peers.base import Answer, Fit, Peer, by_name, tuned


def _stacked(W: np.ndarray, H: np.ndarray) -> np.ndarray:
    return np.concatenate([W, H.T])


class Latom(Peer):
    """latom.SemiNMF from the codes of the problem."""

    distribution = "latom"

    def __init__(self, name: str, note: str = "", **arguments: Any) -> None:
        self.name, self.note, self._arguments = name, note, arguments
        if arguments.get("solver") != "mu":
            self.lengths = (*range(1, 11), 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200)

    def load(self) -> None:
        self.SemiNMF = importlib.import_module("latom").SemiNMF

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, start, kept = problem["X"], problem["codes"], int(problem["kept"])
        fraction = kept / X.shape[1] if kept else None

        def fit(n_iter: int) -> Answer:
            model = self.SemiNMF(
                start.shape[1], keep_fraction=fraction, max_iter=n_iter, tol=0, **self._arguments
            )
            W = model.fit_transform(X, W=start)
            return Answer(lambda: _stacked(W, model.components_), n_iter)

        return fit


class Torch(Peer):
    """The SNMF reference's update: least squares, winner-take-all, a multiplicative step, full residual."""

    distribution = "torch"
    note = "the SNMF reference's update in float32; keeps the best iteration"

    def __init__(self, name: str = "torch", precision: str = "", compiled: bool = False) -> None:
        self.name, self.precision, self.compiled = name, precision, compiled
        if precision:
            self.note += f'; set_float32_matmul_precision("{precision}")'
        if compiled:
            self.note += "; an iteration by torch.compile, compiled beforehand"
            self.environment = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}  # none outlives it

    def load(self) -> None:
        self.torch = importlib.import_module("torch")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        torch = self.torch
        torch.set_num_threads(threads)
        if self.precision:
            torch.set_float32_matmul_precision(self.precision)
        A = torch.from_numpy(np.ascontiguousarray(problem["X"].T))  # a neuron a row
        start, kept = torch.from_numpy(problem["codes"]), int(problem["kept"])
        ridge = 1e-6 * torch.eye(start.shape[1])

        def step(G: Any) -> tuple[Any, Any, Any]:
            F = A @ G @ torch.linalg.inv(G.T @ G + ridge)
            if kept:
                bar = F.abs().topk(kept, dim=0).values[-1]
                F = torch.where(F.abs() >= bar, F, 0)
            lengths = G.norm(dim=0).clamp(min=1e-8)
            G, F = G / lengths, F * lengths
            P, Q = A.T @ F, F.T @ F
            above = P.clamp(min=0) + G @ (-Q).clamp(min=0)
            below = (-P).clamp(min=0) + G @ Q.clamp(min=0) + 1e-6
            G = G * torch.sqrt(above / below)
            return F, G, ((A - F @ G.T) ** 2).sum()

        iterate = torch.compile(step) if self.compiled else step

        def fit(n_iter: int) -> Answer:
            with torch.inference_mode():
                G, best = start, (float("inf"), None, None)
                for _ in range(n_iter):
                    F, G, squares = iterate(G)
                    loss = float(squares)
                    if loss < best[0] - 1e-4:
                        best = loss, F, G
            return Answer(lambda: _stacked(best[2].numpy(), best[1].numpy().T), n_iter)

        return fit


class Turftopic(Peer):
    """turftopic's multiplicative semi-NMF. Its module alone is imported, without the models around it."""

    name = "turftopic"
    distribution = "turftopic"
    note = "inference_loop from the same codes, on numpy as without JAX; no winner-take-all"

    def load(self) -> None:
        spec = find_spec("turftopic")
        if spec is None:
            raise ImportError("turftopic is not installed")
        self.choose()
        for name in ("turftopic", "turftopic.models"):  # whose __init__ import encoders and language models
            package = ModuleType(name)
            package.__path__ = [f"{folder}/{name[10:]}" for folder in spec.submodule_search_locations or ()]
            sys.modules[name] = package
        self.snmf = importlib.import_module("turftopic.models._snmf")

    def choose(self) -> None:
        """It takes JAX where that is installed."""
        sys.modules["jax"] = None  # type: ignore[assignment]

    def loop(self) -> Callable[..., dict[str, Any]]:
        """Its loop of so many iterations: rows, codes, components, iterations -> its state."""
        inference_loop: Callable[..., dict[str, Any]] = self.snmf.inference_loop
        return lambda X, G, F, n: inference_loop(X, G, F, max_iter=n, track_convergence=False)

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, start = problem["X"], problem["codes"]
        loop = self.loop()

        def fit(n_iter: int) -> Answer:
            F = self.snmf.update_F(X.T, start, F=None)
            state = loop(X, start.copy(), F, n_iter)
            G, F = np.asarray(state["G"]), np.asarray(state["F"])  # waits for what runs on
            return Answer(lambda: _stacked(G, F.T), int(state["n_iter"]))

        return fit


class TurftopicJax(Turftopic):
    """The same loop on JAX, compiled in the fit of one iteration that warms up."""

    name = "turftopic-jax"
    note = "inference_loop from the same codes, by jax.jit; no winner-take-all"

    def choose(self) -> None:
        self.jax = importlib.import_module("jax")

    def loop(self) -> Callable[..., dict[str, Any]]:
        compiled: Callable[..., dict[str, Any]] = self.jax.jit(super().loop())
        return compiled


# Libraries for one of the two problems alone.
ALL_KEPT, SOME_KEPT = ("turftopic", "turftopic-tuned", "turftopic-jax"), ("latom, refit",)
SEMI_NMF: dict[str, Peer] = by_name(
    Torch(),
    Torch("torch-tuned", "medium"),
    Torch("torch-compiled", "medium", compiled=True),
    *tuned(Turftopic()),
    TurftopicJax(),
    Latom("latom"),
    Latom("latom, refit", "solved once more for the entries kept", refit=True),
    Latom("latom, mu", "the reference's updates", solver="mu"),
)
