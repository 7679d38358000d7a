"""Seeding: one adapter a library and method; a "fit" of s is one draw of m centers from seed s.

Every answer is row numbers, or centers where they are no rows. Rows have length 1 where the metric is the
cosine, so that Euclidean libraries draw by the same law.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import scipy.sparse as sp
from data import Problem

from peers.base import Answer, Fit, Peer, by_name, tuned


class Latom(Peer):
    """latom. `arguments` go to the function."""

    distribution = "latom"

    def __init__(
        self, name: str, note: str = "", function: str = "kmeans_plusplus", **arguments: Any
    ) -> None:
        self.name, self.note, self.function, self.arguments = name, note, function, arguments

    def load(self) -> None:
        self.draw = getattr(importlib.import_module("latom"), self.function)

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, m, metric = problem["X"], int(problem["m"]), str(problem["metric"])

        def fit(seed: int) -> Answer:
            drawn = self.draw(X, m, metric=metric, random_state=seed, n_threads=threads, **self.arguments)
            return Answer(lambda: drawn[1], seed)

        return fit


class LatomStart(Latom):
    """What latom's estimators start from, rows or centers; no function of its own gives them."""

    def load(self) -> None:
        self.rows = importlib.import_module("latom._base.rows").Rows
        self.refined = importlib.import_module("latom.cluster.refined_start").refined_start
        self.draw = importlib.import_module("latom.seed.kmeans_parallel").starting_rows

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, m, metric = problem["X"], int(problem["m"]), str(problem["metric"])

        def fit(seed: int) -> Answer:
            rng, rows = np.random.default_rng(seed), self.rows("seeding", X)
            start = self.refined("seeding", rows, m, None, metric, rng, threads)
            if start is None:
                start = self.draw("seeding", rows, m, None, metric, rng, threads)
            return Answer(lambda: start, seed)

        return fit


class ScikitLearn(Peer):
    """scikit-learn's kmeans_plusplus."""

    distribution = "scikit-learn"

    def __init__(self, name: str, trials: int | None, note: str = "") -> None:
        self.name, self.trials, self.note = name, trials, note

    def load(self) -> None:
        self.draw = importlib.import_module("sklearn.cluster").kmeans_plusplus

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, m = problem["X"], int(problem["m"])

        def fit(seed: int) -> Answer:
            drawn = self.draw(X, m, random_state=seed, n_local_trials=self.trials)
            return Answer(lambda: drawn[1], seed)

        return fit


class Faiss(Peer):
    """faiss's ClusteringInitialization: dense rows; one thread but for its distances."""

    distribution = "faiss-cpu"

    def __init__(self, name: str, method: str, note: str = "") -> None:
        self.name, self.method, self.note = name, method, note

    def load(self) -> None:
        self.faiss = importlib.import_module("faiss")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, m = problem["X"], int(problem["m"])
        if sp.issparse(X):
            raise TypeError("dense rows only")
        self.faiss.omp_set_num_threads(threads)
        n, d = X.shape
        pointer = self.faiss.swig_ptr

        def fit(seed: int) -> Answer:
            centers = np.empty((m, d), np.float32)
            init = self.faiss.ClusteringInitialization(d, m)
            init.method, init.seed = getattr(self.faiss, self.method), seed
            init.init_centroids(n, pointer(X), pointer(centers))
            return Answer(lambda: _rows_of(X, centers), seed)

        return fit


class SoyClustering(Peer):
    """soyclustering's similar_cut: a walk over a sample of the rows, one thread."""

    name = "soyclustering, similar_cut"
    distribution = "soyclustering"
    note = "no law; runs only with the removed `numpy.int` put back"

    def load(self) -> None:
        if not hasattr(np, "int"):
            setattr(np, "int", int)  # noqa: B010  (mypy knows that it is gone)
        self.initialize = importlib.import_module("soyclustering._kmeans").initialize

    def prepare(self, problem: Problem, threads: int) -> Fit:
        if not sp.issparse(problem["X"]):
            raise TypeError("sparse rows only")
        X, m = sp.csr_matrix(problem["X"]), int(problem["m"])

        def fit(seed: int) -> Answer:
            centers = self.initialize(X, m, "similar_cut", seed, 0.5, 3)  # it seeds the global generator
            return Answer(lambda: np.asarray((X @ centers.T).argmax(axis=0)).ravel(), seed)

        return fit


def _rows_of(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Row numbers of centers that are rows; of equal rows the last."""
    known = {row.tobytes(): i for i, row in enumerate(X)}
    return np.array([known[row.tobytes()] for row in centers])


SEEDING: dict[str, Peer] = by_name(
    Latom("latom", "the law of k-means++"),
    Latom("latom, exact", "the same law", method="exact"),
    LatomStart("latom, estimators' start", "their default: greedy, or runs on a coreset", "private"),
    Latom("latom, greedy", "2 + ln m draws a center, the best taken", n_local_trials=None),
    Latom("latom, paper's bound", "the same law", method="rejection", bound="paper"),
    Latom("latom, paper's bound, 50 trials", "approximate", method="rejection", bound="paper", max_trials=50),
    Latom("latom, AFK-MC2", "approximate", "afkmc2"),
    Latom("latom, k-means||", "5 rounds of 2 m rows, then greedy", "kmeans_parallel"),
    *tuned(ScikitLearn("scikit-learn, 1 trial", 1, "the law of k-means++")),
    *tuned(ScikitLearn("scikit-learn", None, "greedy: its default")),
    *tuned(Faiss("faiss, k-means++", "ClusteringInitMethod_KMEANS_PLUS_PLUS")),
    *tuned(Faiss("faiss, AFK-MC2", "ClusteringInitMethod_AFK_MC2", "approximate: chains of 50")),
    SoyClustering(),
)
