"""Dense top-k: for each row of X the k atoms of highest dot product, or the k nearest.

Every answer is the indices [n, k]; the values are computed too, and both in descending order.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from data import Problem

from peers.base import Call, by_name
from peers.gemm import SKYLAKEX, packed_product

Parts = tuple[np.ndarray, np.ndarray, int, str]


class TopK(Call):
    """A library that finds the k best atoms of each row; `metrics` are those it is asked for."""

    metrics: ClassVar[tuple[str, ...]] = ("dot",)

    @staticmethod
    def parts(problem: Problem) -> Parts:
        """X, atoms, k and metric of a problem."""
        return problem["X"], problem["atoms"], int(problem["k"]), str(problem["metric"])

    def output(self, result: Any) -> np.ndarray:
        return np.asarray(result[1])


class Latom(TopK):
    """latom.topk; the atoms are converted for the screen in every call."""

    name = "latom"
    distribution = "latom"
    metrics = ("dot", "euclidean")

    def load(self) -> None:
        self.latom = importlib.import_module("latom")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k, metric = self.parts(problem)
        # Threads come from LATOM_NUM_THREADS, and the metric that topk defaults to is not named.
        options = {} if metric == "dot" else {"metric": metric}
        return lambda: self.latom.topk(X, atoms, k, **options)


class LatomPacked(Latom):
    """The core's index, packed beforehand: what an encoder that keeps its atoms gives."""

    name = "latom-packed"
    note = "atoms packed beforehand, not timed"

    def load(self) -> None:
        self.base = importlib.import_module("latom._base.backend")
        self.rows = importlib.import_module("latom._base.rows").Rows

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k, metric = self.parts(problem)
        context = self.base.call("topk", threads)
        index = self.base.backend().AtomIndex(context, atoms, None, metric, "auto")
        index.pack(context)
        return lambda: index.topk(context, self.rows("topk", X).core, k, "identity")[:2]


class Torch(TopK):
    """torch.matmul and torch.topk; scores of all rows and atoms in memory."""

    distribution = "torch"
    note = "matmul, topk; n × m scores in memory"

    def __init__(self, name: str = "torch", precision: str = "") -> None:
        self.name, self.precision = name, precision
        if precision:
            self.note = f'set_float32_matmul_precision("{precision}"); ' + self.note

    def load(self) -> None:
        self.torch = importlib.import_module("torch")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        torch = self.torch
        torch.set_num_threads(threads)
        if self.precision:
            torch.set_float32_matmul_precision(self.precision)
        X, atoms, k, _ = self.parts(problem)
        X, atoms = torch.from_numpy(X), torch.from_numpy(atoms)

        def call() -> Any:
            with torch.inference_mode():
                return torch.topk(X @ atoms.T, k)

        return call

    def least_memory(self, n: int, d: int, m: int) -> int:
        return 4 * n * m


class TorchPacked(Torch):
    """torch with oneDNN's linear layer, whose atoms are packed beforehand, like those of latom-packed."""

    def __init__(self) -> None:
        super().__init__("torch-packed")
        self.note = (
            "torch.ops.mkldnn._linear_pointwise, atoms packed beforehand for the n of the case, not timed; "
            "topk; n × m scores in memory"
        )

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        torch = self.torch
        torch.set_num_threads(threads)
        X, atoms, k, _ = self.parts(problem)
        rows, product = torch.from_numpy(X), packed_product(torch, torch.from_numpy(atoms), X.shape[0])

        def call() -> Any:
            with torch.inference_mode():
                return torch.topk(product(rows), k)

        return call


class Numpy(TopK):
    """numpy.matmul and numpy.argpartition, then the k alone are sorted."""

    distribution = "numpy"
    note = "matmul, argpartition; n × m scores and int64 indices in memory"

    def __init__(self, name: str = "numpy", tuned: bool = False) -> None:
        self.name = name
        if tuned:
            self.environment = SKYLAKEX
            self.note = "OPENBLAS_CORETYPE=SkylakeX; " + self.note

    def load(self) -> None:
        pass

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k, _ = self.parts(problem)

        def call() -> Any:
            scores = X @ atoms.T
            best = np.argpartition(scores, -k, axis=1)[:, -k:]
            values = np.take_along_axis(scores, best, axis=1)
            order = np.argsort(-values, axis=1)
            return np.take_along_axis(values, order, axis=1), np.take_along_axis(best, order, axis=1)

        return call

    def least_memory(self, n: int, d: int, m: int) -> int:
        return (4 + 8) * n * m


class Faiss(TopK):
    """faiss.knn, brute force in blocks."""

    name = "faiss"
    distribution = "faiss-cpu"
    metrics = ("dot", "euclidean")

    def load(self) -> None:
        self.faiss = importlib.import_module("faiss")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        self.faiss.omp_set_num_threads(threads)
        X, atoms, k, metric = self.parts(problem)
        kind = self.faiss.METRIC_L2 if metric == "euclidean" else self.faiss.METRIC_INNER_PRODUCT
        return lambda: self.faiss.knn(X, atoms, k, metric=kind)


class ScikitLearn(TopK):
    """scikit-learn's brute-force neighbors."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    note = 'NearestNeighbors(algorithm="brute")'
    metrics = ("euclidean",)

    def load(self) -> None:
        self.estimator = importlib.import_module("sklearn.neighbors").NearestNeighbors

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k, metric = self.parts(problem)
        model = self.estimator(n_neighbors=k, algorithm="brute", metric=metric).fit(atoms)
        return lambda: model.kneighbors(X)


TOPK: dict[str, TopK] = by_name(
    Latom(),
    LatomPacked(),
    Torch(),
    Torch("torch-tuned", precision="medium"),
    TorchPacked(),
    Numpy(),
    Numpy("numpy-tuned", tuned=True),
    Faiss(),
    ScikitLearn(),
)
