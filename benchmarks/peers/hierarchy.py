"""Hierarchical k-means with resampling. Every answer is the finest cluster of each row.

No peer has it: theirs is the loop of latom.HierarchicalKMeans, written around their k-means.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from data import Problem

from peers.base import Call, by_name, tuned

ITERATIONS = 10  # of each k-means


class Latom(Call):
    """latom.HierarchicalKMeans."""

    name = "latom"
    distribution = "latom"

    def load(self) -> None:
        self.latom = importlib.import_module("latom")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, levels, rounds = problem["X"], tuple(problem["levels"].tolist()), int(problem["rounds"])
        model = self.latom.HierarchicalKMeans(
            levels, n_resampling=rounds, max_iter=ITERATIONS, random_state=0
        )
        return lambda: model.fit(X).labels_[0]


class Loop(Call):
    """The loop around a library's k-means of unit rows."""

    def centers(self, X: np.ndarray, m: int, threads: int) -> np.ndarray:
        """Centers of length 1 (rows of X have it)."""
        raise NotImplementedError

    def nearest(self, X: np.ndarray, centers: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray]:
        """The best center of each row and its cosine."""
        raise NotImplementedError

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, levels, rounds = problem["X"], problem["levels"].tolist(), int(problem["rounds"])

        def call() -> np.ndarray:
            rows, first = X, None
            for m in levels:
                part = rows
                for turn in range(rounds + 1):
                    centers = self.centers(part, m, threads)
                    labels, cosine = self.nearest(rows, centers, threads)
                    if turn < rounds:
                        order = np.lexsort((-cosine, labels))
                        counts = np.bincount(labels, minlength=m)
                        rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
                        taken = order[rank < max(1, len(rows) // (2 * m))]
                        part = rows[np.sort(taken)] if len(taken) >= m else part
                first, rows = labels if first is None else first, centers
            return first

        return call


class Faiss(Loop):
    """faiss.Kmeans(spherical=True) and an index of the centers."""

    name = "faiss"
    distribution = "faiss-cpu"
    note = "spherical, k-means++ off, no subsampling"

    def load(self) -> None:
        self.faiss = importlib.import_module("faiss")

    def centers(self, X: np.ndarray, m: int, threads: int) -> np.ndarray:
        self.faiss.omp_set_num_threads(threads)
        model = self.faiss.Kmeans(
            X.shape[1], m, niter=ITERATIONS, spherical=True, seed=0,
            min_points_per_centroid=1, max_points_per_centroid=len(X),
        )  # fmt: skip
        model.train(np.ascontiguousarray(X))
        return np.ascontiguousarray(model.centroids)

    def nearest(self, X: np.ndarray, centers: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray]:
        index = self.faiss.IndexFlatIP(X.shape[1])
        index.add(centers)
        cosine, labels = index.search(np.ascontiguousarray(X), 1)
        return labels[:, 0], cosine[:, 0]


class ScikitLearn(Loop):
    """sklearn.cluster.KMeans on unit rows, its centers scaled to length 1."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    note = "Euclidean on unit rows, init='random'"

    def load(self) -> None:
        self.cluster = importlib.import_module("sklearn.cluster")

    def centers(self, X: np.ndarray, m: int, threads: int) -> np.ndarray:
        model = self.cluster.KMeans(m, init="random", n_init=1, max_iter=ITERATIONS, random_state=0).fit(X)
        centers = model.cluster_centers_
        return centers / np.maximum(np.linalg.norm(centers, axis=1, keepdims=True), 1e-12)

    def nearest(self, X: np.ndarray, centers: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray]:
        labels, best = np.empty(len(X), np.int64), np.empty(len(X), X.dtype)
        for a in range(0, len(X), 4096):
            products = X[a : a + 4096] @ centers.T
            labels[a : a + 4096] = products.argmax(axis=1)
            best[a : a + 4096] = products.max(axis=1)
        return labels, best


HIERARCHY: dict[str, Call] = by_name(Latom(), *tuned(Faiss()), *tuned(ScikitLearn()))
