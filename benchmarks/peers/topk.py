"""Dense top-k: for each row of X the k atoms of highest dot product, or the k nearest.

Every answer is the indices [n, k]; the values are computed too, and both in descending order.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from data import Problem

from peers.base import Call, by_name, tuned
from peers.gemm import packed_product

Parts = tuple[np.ndarray, np.ndarray, int, str]

CANDIDATES = 2  # times k: how many a product in few bits hands on, to be scored again in float32
SCORED_AT_ONCE = 256  # rows, so that their candidates' atoms stay small


class TopK(Call):
    """A library that finds the k best atoms of each row.

    `metrics` are those it is asked for, and `most_columns` how many columns at most.
    """

    metrics: ClassVar[tuple[str, ...]] = ("dot",)
    most_columns: ClassVar[float] = math.inf

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


class TorchCompiled(Torch):
    """torch.compile of the layer with frozen weights and its topk."""

    name = "torch-compiled"
    # The first lets it pack the weights; the second compiles in this process, so that none outlives it.
    environment: ClassVar = {"TORCHINDUCTOR_FREEZING": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}

    def __init__(self) -> None:
        super().__init__("torch-compiled", "medium")
        self.note = "torch.compile, frozen weights, compiled beforehand; " + self.note

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        torch = self.torch
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(self.precision)
        X, atoms, k, _ = self.parts(problem)
        rows, weight = torch.from_numpy(X), torch.from_numpy(atoms)
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
        compiled = torch.compile(lambda rows: tuple(torch.topk(layer(rows), k)))

        def call() -> Any:
            with torch.no_grad():  # what freezing asks for
                return compiled(rows)

        return call


class TorchBfloat16(Torch):
    """oneDNN's packed layer in bfloat16; its best 2 k candidates are scored again in float32."""

    def __init__(self) -> None:
        super().__init__("torch-bfloat16")
        self.note = (
            "as torch-packed, but in bfloat16; 2 k candidates scored again in float32; n × m scores in memory"
        )

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        torch = self.torch
        torch.set_num_threads(threads)
        X, weights, k, _ = self.parts(problem)
        rows, atoms = torch.from_numpy(X), torch.from_numpy(weights)
        product = packed_product(torch, atoms.to(torch.bfloat16), X.shape[0])
        count = min(CANDIDATES * k, len(weights))

        def call() -> Any:
            with torch.inference_mode():
                found = torch.topk(product(rows.to(torch.bfloat16)), count, sorted=False).indices
                parts = []
                for start in range(0, len(rows), SCORED_AT_ONCE):
                    some = found[start : start + SCORED_AT_ONCE]
                    scores = torch.bmm(atoms[some], rows[start : start + SCORED_AT_ONCE, :, None])[..., 0]
                    best = torch.topk(scores, k)
                    parts.append((best.values, some.gather(1, best.indices)))
                return [torch.cat(part) for part in zip(*parts, strict=True)]

        return call

    def least_memory(self, n: int, d: int, m: int) -> int:
        return 2 * n * m


class Numpy(TopK):
    """numpy.matmul and numpy.argpartition, then the k alone are sorted."""

    name = "numpy"
    distribution = "numpy"
    note = "matmul, argpartition; n × m scores and int64 indices in memory"

    def load(self) -> None:
        pass

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k, _ = self.parts(problem)

        return lambda: best_of(X @ atoms.T, k)

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


class Tree(TopK):
    """scikit-learn's k-d tree, made beforehand."""

    name = "scikit-learn-tree"
    distribution = "scikit-learn"
    note = 'NearestNeighbors(algorithm="kd_tree"), the tree made beforehand, not timed'
    metrics = ("euclidean",)
    most_columns = 10

    def load(self) -> None:
        self.estimator = importlib.import_module("sklearn.neighbors").NearestNeighbors

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k, metric = self.parts(problem)
        model = self.estimator(n_neighbors=k, algorithm="kd_tree", metric=metric, n_jobs=threads)
        model.fit(atoms)
        return lambda: model.kneighbors(X)


class Scann(TopK):
    """ScaNN's brute force on atoms in 8 bits, whose best 2 k candidates it scores again in float32."""

    name = "scann"
    distribution = "scann"
    note = "score_brute_force(quantize=True), reorder(2 k); atoms in 8 bits beforehand, not timed"
    metrics = ("dot", "euclidean")

    def load(self) -> None:
        self.builder = importlib.import_module("scann").scann_ops_pybind.builder

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k, metric = self.parts(problem)
        builder = self.builder(atoms, k, "squared_l2" if metric == "euclidean" else "dot_product")
        searcher = builder.score_brute_force(quantize=True).reorder(CANDIDATES * k).build()
        searcher.set_num_threads(threads)
        search = searcher.search_batched_parallel if len(X) > 1 and threads > 1 else searcher.search_batched

        def call() -> Any:
            indices, values = search(X)
            return values, indices

        return call


class NumKong(TopK):
    """NumKong's packed products; below float32, 2 k candidates are scored again in float32 by numpy."""

    distribution = "numkong"

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.name = "numkong" if precision == "float32" else f"numkong-{precision}"
        again = "" if precision == "float32" else ", 2 k candidates scored again in float32"
        self.note = f"dots_packed, atoms packed beforehand, not timed; argpartition{again}; n × m scores"

    def load(self) -> None:
        self.numkong = importlib.import_module("numkong")

    def converted(self, rows: np.ndarray, axis: int | None) -> Any:
        """Rows as its product takes them; in 8 bits with a scale for each row (axis 1) or for all (None)."""
        tensor = self.numkong.from_dlpack
        if self.precision == "float32":
            return tensor(rows)
        if self.precision == "bfloat16":
            return tensor(rows).astype("bf16")
        largest = np.abs(rows).max(axis=axis, keepdims=True)
        return tensor(np.rint(rows * (127 / np.maximum(largest, np.float32(1e-30)))).astype(np.int8))

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        numkong = self.numkong
        X, atoms, k, _ = self.parts(problem)
        packed = numkong.dots_pack(self.converted(atoms, None))
        kinds = {"float32": "float64", "bfloat16": "float32", "int8": "int32"}
        out = numkong.zeros((len(X), len(atoms)), dtype=kinds[self.precision])
        pool = ThreadPoolExecutor(threads)
        bounds = np.linspace(0, len(X), min(threads, len(X)) + 1).astype(int).tolist()

        def call() -> Any:
            rows = self.converted(X, 1)  # a scale of its own moves no row's order

            def part(span: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
                start, end = span
                numkong.dots_packed(rows, packed, out=out, start_row=start, end_row=end)
                scores = np.asarray(out)[start:end]
                if self.precision == "float32":
                    return best_of(scores, k)
                count = min(CANDIDATES * k, len(atoms))
                found = np.argpartition(scores, -count, axis=1)[:, -count:]
                return again(X[start:end], atoms, found, k)

            spans = list(pairwise(bounds))
            parts = list(pool.map(part, spans)) if len(spans) > 1 else [part(spans[0])]
            values, indices = zip(*parts, strict=True)
            return np.concatenate(values), np.concatenate(indices)

        return call

    def least_memory(self, n: int, d: int, m: int) -> int:
        return (8 + (8 if self.precision == "float32" else 4)) * n * m


def best_of(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and columns of the k largest scores of each row, in descending order."""
    best = np.argpartition(scores, -k, axis=1)[:, -k:]
    values = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-values, axis=1)
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(best, order, axis=1)


def again(X: np.ndarray, atoms: np.ndarray, found: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of each row's candidates `found` [n, count], by float32 products."""
    values, indices = [], []
    for start in range(0, len(X), SCORED_AT_ONCE):
        some = found[start : start + SCORED_AT_ONCE]
        scores = np.matmul(atoms[some], X[start : start + SCORED_AT_ONCE, :, None])[..., 0]
        best, places = best_of(scores, k)
        values.append(best)
        indices.append(np.take_along_axis(some, places, axis=1))
    return np.concatenate(values), np.concatenate(indices)


TOPK: dict[str, TopK] = by_name(
    Latom(),
    LatomPacked(),
    Torch(),
    Torch("torch-tuned", precision="medium"),
    TorchPacked(),
    TorchCompiled(),
    TorchBfloat16(),
    *tuned(Numpy()),
    *tuned(Faiss()),
    *tuned(ScikitLearn()),
    Tree(),
    Scann(),
    NumKong("float32"),
    NumKong("bfloat16"),
    NumKong("int8"),
)
