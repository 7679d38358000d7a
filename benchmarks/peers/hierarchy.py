"""Hierarchical k-means with resampling: every answer is the finest centers, after the same rounds."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from data import Problem

from peers.base import Call, by_name, tuned

ITERATIONS = 20  # of each k-means


class Loop(Call):
    """The loop of HierarchicalKMeans around a library: fit, assign all, take the closest, fit again."""

    @abstractmethod
    def kmeans(self, X: np.ndarray, m: int, seed: int) -> np.ndarray:
        """Unit centers of a spherical k-means."""

    @abstractmethod
    def assign(self, X: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and cosines of all rows."""

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, counts, rounds = problem["X"], [int(m) for m in problem["counts"]], int(problem["rounds"])

        def call() -> np.ndarray:
            rows, levels = X, []
            for m in counts:
                size, taken = max(1, len(rows) // (2 * m)), np.arange(len(rows))
                for seed in range(rounds + 1):
                    centers = self.kmeans(np.ascontiguousarray(rows[taken]), m, seed)
                    labels, cosines = self.assign(rows, centers)
                    order = np.lexsort((-cosines, labels))
                    counted = np.bincount(labels, minlength=m)
                    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counted) - counted, counted)
                    taken = np.sort(order[rank < size])
                levels.append(centers)
                rows = centers
            return levels[0]

        return call


class Latom(Call):
    """latom.HierarchicalKMeans."""

    name = distribution = "latom"
    note = "HierarchicalKMeans"

    def load(self) -> None:
        self.latom = importlib.import_module("latom")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, counts, rounds = problem["X"], [int(m) for m in problem["counts"]], int(problem["rounds"])

        def call() -> Any:
            tree = self.latom.HierarchicalKMeans(
                counts, n_resampling=rounds, max_iter=ITERATIONS, tol=0, random_state=0
            )
            return tree.fit(X).cluster_centers_[0]

        return call


class Faiss(Loop):
    """faiss.Kmeans(spherical=True) and a flat index."""

    name = "faiss"
    distribution = "faiss-cpu"
    note = "the same loop around Kmeans(spherical=True) and IndexFlatIP; starts are random rows"

    def load(self) -> None:
        self.faiss = importlib.import_module("faiss")

    def kmeans(self, X: np.ndarray, m: int, seed: int) -> np.ndarray:
        model = self.faiss.Kmeans(
            X.shape[1],
            m,
            niter=ITERATIONS,
            seed=seed,
            spherical=True,
            min_points_per_centroid=1,
            max_points_per_centroid=len(X),
        )
        model.train(X)
        return np.asarray(model.centroids)

    def assign(self, X: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = self.faiss.IndexFlatIP(X.shape[1])
        index.add(centers)
        cosines, labels = index.search(X, 1)
        return labels[:, 0], cosines[:, 0]


class ScikitLearn(Loop):
    """KMeans on unit rows, and products."""

    name = distribution = "scikit-learn"
    note = "the same loop around KMeans(n_init=1) on unit rows"

    def load(self) -> None:
        self.cluster = importlib.import_module("sklearn.cluster")

    def kmeans(self, X: np.ndarray, m: int, seed: int) -> np.ndarray:
        model = self.cluster.KMeans(m, n_init=1, max_iter=ITERATIONS, tol=0, random_state=seed).fit(X)
        lengths = np.linalg.norm(model.cluster_centers_, axis=1, keepdims=True)
        return np.asarray(model.cluster_centers_ / np.maximum(lengths, 1e-12))

    def assign(self, X: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, cosines = np.empty(len(X), np.int64), np.empty(len(X), X.dtype)
        for first in range(0, len(X), 4096):
            products = X[first : first + 4096] @ centers.T
            labels[first : first + 4096] = products.argmax(axis=1)
            cosines[first : first + 4096] = products.max(axis=1)
        return labels, cosines


HIERARCHY: dict[str, Call] = by_name(Latom(), *tuned(Faiss()), *tuned(ScikitLearn()))
