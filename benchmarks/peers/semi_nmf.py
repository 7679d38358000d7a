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

from peers.base import Answer, Fit, Peer, by_name


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

    name = "torch"
    distribution = "torch"
    note = "the SNMF reference's update in float32; keeps the best iteration"

    def load(self) -> None:
        self.torch = importlib.import_module("torch")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        torch = self.torch
        torch.set_num_threads(threads)
        A = torch.from_numpy(np.ascontiguousarray(problem["X"].T))  # a neuron a row
        start, kept = torch.from_numpy(problem["codes"]), int(problem["kept"])
        ridge = 1e-6 * torch.eye(start.shape[1])

        def step(G: Any) -> tuple[Any, Any, float]:
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
            return F, G, float(((A - F @ G.T) ** 2).sum())

        def fit(n_iter: int) -> Answer:
            with torch.inference_mode():
                G, best = start, (float("inf"), None, None)
                for _ in range(n_iter):
                    F, G, loss = step(G)
                    if loss < best[0] - 1e-4:
                        best = loss, F, G
            return Answer(lambda: _stacked(best[2].numpy(), best[1].numpy().T), n_iter)

        return fit


class Turftopic(Peer):
    """turftopic's multiplicative semi-NMF. Its module alone is imported, without the models around it."""

    name = "turftopic"
    distribution = "turftopic"
    note = "inference_loop from the same codes; numpy where JAX is missing; no winner-take-all"

    def load(self) -> None:
        spec = find_spec("turftopic")
        if spec is None:
            raise ImportError("turftopic is not installed")
        for name in (
            "turftopic",
            "turftopic.models",
        ):  # their own __init__ import encoders and language models
            package = ModuleType(name)
            package.__path__ = [f"{folder}/{name[10:]}" for folder in spec.submodule_search_locations or ()]
            sys.modules[name] = package
        self.snmf = importlib.import_module("turftopic.models._snmf")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, start = problem["X"], problem["codes"]
        loop: Callable[..., dict[str, Any]] = self.snmf.inference_loop

        def fit(n_iter: int) -> Answer:
            F = self.snmf.update_F(X.T, start, F=None)
            state = loop(X, start.copy(), F, max_iter=n_iter, track_convergence=False)
            return Answer(
                lambda: _stacked(np.asarray(state["G"]), np.asarray(state["F"]).T), int(state["n_iter"])
            )

        return fit


ALL_KEPT, SOME_KEPT = ("turftopic",), ("latom, refit",)  # libraries for one of the two problems alone
SEMI_NMF: dict[str, Peer] = by_name(
    Torch(),
    Turftopic(),
    Latom("latom"),
    Latom("latom, refit", "solved once more for the entries kept", refit=True),
    Latom("latom, mu", "the reference's updates", solver="mu"),
)
