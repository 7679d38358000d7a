"""Neighbors of sparse rows: for each query the k rows of largest product, or cosine with rows of length 1.

Every answer is the indices [n, k]. An index that a library keeps is built beforehand (not timed).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from data import Problem

from peers.base import Call, by_name, tuned

Parts = tuple[Any, Any, int]


class Neighbors(Call):
    """A library that finds the k nearest rows of each query; `metrics` are those it is asked for."""

    metrics: ClassVar[tuple[str, ...]] = ("dot", "cosine")

    @staticmethod
    def parts(problem: Problem) -> Parts:
        """Queries, rows and k of a problem."""
        return problem["X"], problem["atoms"], int(problem["k"])


class Latom(Neighbors):
    """latom.neighbors.SparseIndex, packed beforehand."""

    name = "latom"
    distribution = "latom"

    def load(self) -> None:
        self.neighbors = importlib.import_module("latom.neighbors")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k = self.parts(problem)
        index = self.neighbors.SparseIndex(atoms, metric=str(problem["metric"]), n_threads=threads)
        return lambda: index.search(X, k)

    def output(self, result: Any) -> np.ndarray:
        return np.asarray(result[1])


class SparseDotTopN(Neighbors):
    """sparse_dot_topn: the product of CSR with CSR, of which it keeps the k largest of each row."""

    name = "sparse_dot_topn"
    distribution = "sparse_dot_topn"

    def load(self) -> None:
        self.multiply = importlib.import_module("sparse_dot_topn").sp_matmul_topn

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k = self.parts(problem)
        left, right = sp.csr_matrix(X), sp.csr_matrix(sp.csr_matrix(atoms).T)
        return lambda: self.multiply(left, right, top_n=k, n_threads=threads, sort=True)

    def output(self, result: Any) -> np.ndarray:
        return _padded(result)


class SimilariPy(Neighbors):
    """similaripy's dot product of CSR with CSR."""

    name = "similaripy"
    distribution = "similaripy"

    def load(self) -> None:
        self.dot_product = importlib.import_module("similaripy").dot_product

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k = self.parts(problem)
        left, right = sp.csr_matrix(X), sp.csr_matrix(sp.csr_matrix(atoms).T)
        return lambda: self.dot_product(left, right, k=k, num_threads=threads, verbose=False)

    def output(self, result: Any) -> np.ndarray:
        return _padded(result)


class ScikitLearn(Neighbors):
    """scikit-learn's NearestNeighbors by brute force."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    metrics = ("cosine",)

    def load(self) -> None:
        self.neighbors = importlib.import_module("sklearn.neighbors")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k = self.parts(problem)
        model = self.neighbors.NearestNeighbors(
            n_neighbors=k, metric="cosine", algorithm="brute", n_jobs=threads
        )
        model.fit(atoms)
        return lambda: model.kneighbors(X)

    def output(self, result: Any) -> np.ndarray:
        return np.asarray(result[1])


class Bm25s(Neighbors):
    """bm25s, whose index is given the weights of the rows; its queries are words, each of weight 1."""

    distribution = "bm25s"
    metrics = ("dot",)

    def __init__(self, name: str, backend: str) -> None:
        self.name, self.backend = name, backend
        self.note = f'retrieve, backend="{backend}", weights given; float32'

    def load(self) -> None:
        self.bm25s = importlib.import_module("bm25s")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, atoms, k = self.parts(problem)
        model, columns = self.bm25s.BM25(backend=self.backend), sp.csc_matrix(sp.csr_matrix(atoms))
        model.scores = {
            "data": columns.data,
            "indices": columns.indices,
            "indptr": columns.indptr,
            "num_docs": atoms.shape[0],
        }
        model.nonoccurrence_array = None
        model.unique_token_ids_set = set(range(atoms.shape[1]))
        queries = [X.indices[X.indptr[i] : X.indptr[i + 1]].tolist() for i in range(X.shape[0])]
        options = {"k": k, "show_progress": False, "n_threads": threads if len(queries) > 1 else 0}
        return lambda: model.retrieve(queries, **options)

    def output(self, result: Any) -> np.ndarray:
        return np.asarray(result.documents)


def _padded(graph: Any) -> np.ndarray:
    """The columns of each row of CSR; -1 where there are fewer than in the longest."""
    rows = sp.csr_matrix(graph)
    counts = np.diff(rows.indptr)
    out = np.full((len(counts), int(counts.max(initial=1))), -1, np.int64)
    at = np.arange(len(rows.indices)) - np.repeat(rows.indptr[:-1], counts)
    out[np.repeat(np.arange(len(counts)), counts), at] = rows.indices
    return out


NEIGHBORS: dict[str, Neighbors] = by_name(
    Latom(),
    SparseDotTopN(),
    SimilariPy(),
    *tuned(ScikitLearn()),
    Bm25s("bm25s", "numpy"),
    Bm25s("bm25s-numba", "numba"),
)
