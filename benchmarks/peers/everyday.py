"""k-means as most people call it: everything but the number of clusters left alone, and fitted models.

A default fit's answer is labels, of a "fit" of s from seed s. `predict` and `transform` are asked of models
that hold the centers of the problem.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from data import Problem

from peers.base import Answer, Call, Fit, Peer, by_name, tuned


class Default(Peer):
    """`KMeans(m, random_state=seed).fit(X)` of a module with scikit-learn's estimator."""

    def __init__(self, name: str, module: str, note: str = "", **arguments: Any) -> None:
        self.name, self.distribution, self.note = name, name.removesuffix("-elkan"), note
        self._module, self._arguments = module, arguments

    def load(self) -> None:
        self.estimator = importlib.import_module(self._module).KMeans

    def prepare(self, problem: Problem, threads: int) -> Fit:
        X, m = problem["X"], int(problem["m"])

        def fit(seed: int) -> Answer:
            model = self.estimator(m, random_state=seed, **self._arguments).fit(X)
            demand_onedal(self._module, model)
            return Answer(lambda: model.labels_, model.n_iter_)

        return fit


class DefaultFaiss(Peer):
    """faiss's Kmeans with its own number of iterations, and the search that gives labels."""

    distribution = "faiss-cpu"

    def __init__(self, sample: bool = False) -> None:
        self.sample = sample
        self.name = "faiss-sampled" if sample else "faiss"
        rows = "256 rows a cluster, its default" if sample else "every row, max_points_per_centroid = n"
        self.note = f"25 iterations from random rows, its default; {rows}"

    def load(self) -> None:
        self.faiss = importlib.import_module("faiss")

    def prepare(self, problem: Problem, threads: int) -> Fit:
        self.faiss.omp_set_num_threads(threads)
        X, m = problem["X"], int(problem["m"])
        options = {} if self.sample else {"max_points_per_centroid": len(X)}

        def fit(seed: int) -> Answer:
            model = self.faiss.Kmeans(X.shape[1], m, seed=seed, **options)
            model.train(X)
            labels = model.assign(X)[1]
            return Answer(lambda: labels, model.cp.niter)

        return fit


class Fitted(Call):
    """A method of a fitted estimator: one whose rows were the centers themselves, each twice."""

    def __init__(self, name: str, module: str, method: str) -> None:
        self.name = self.distribution = name
        self._module, self._method = module, method

    def load(self) -> None:
        self.estimator = importlib.import_module(self._module).KMeans

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, centers = problem["X"], problem["centers"]
        rows = np.concatenate([centers, centers])  # as many rows as clusters are refused by some
        model = self.estimator(len(centers), init=centers, n_init=1, max_iter=1).fit(rows)
        demand_onedal(self._module, model)
        if not np.allclose(model.cluster_centers_, centers, rtol=1e-5, atol=1e-6):
            raise RuntimeError("the fitted centers are not those of the problem")
        method = getattr(model, self._method)
        return lambda: method(X)


class FaissIndex(Call):
    """A flat faiss index of the centers: its search, or all distances."""

    name = "faiss"
    distribution = "faiss-cpu"

    def __init__(self, method: str) -> None:
        self.method = method
        self.note = "IndexFlatL2.search" if method == "predict" else "pairwise_distances and their roots"

    def load(self) -> None:
        self.faiss = importlib.import_module("faiss")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        self.faiss.omp_set_num_threads(threads)
        X, centers = problem["X"], problem["centers"]
        if self.method == "transform":
            return lambda: np.sqrt(np.maximum(self.faiss.pairwise_distances(X, centers), 0))
        index = self.faiss.IndexFlatL2(centers.shape[1])
        index.add(centers)
        return lambda: index.search(X, 1)[1][:, 0]


def demand_onedal(module: str, model: Any) -> None:
    """Raise where scikit-learn-intelex gave the work back to scikit-learn: that has entries of its own."""
    if module.startswith("sklearnex") and not hasattr(model, "_onedal_estimator"):
        raise RuntimeError("fell back to scikit-learn")


def _of_fitted(method: str) -> dict[str, Call]:
    return by_name(
        Fitted("latom", "latom", method),
        *tuned(Fitted("scikit-learn", "sklearn.cluster", method)),
        Fitted("scikit-learn-intelex", "sklearnex.cluster", method),
        *tuned(FaissIndex(method)),
    )


EVERYDAY_FIT: dict[str, Peer] = by_name(
    Default("latom", "latom"),
    *tuned(Default("scikit-learn", "sklearn.cluster")),
    Default("scikit-learn-elkan", "sklearn.cluster", "Elkan's bounds, n × m in memory", algorithm="elkan"),
    Default("scikit-learn-intelex", "sklearnex.cluster"),
    *tuned(DefaultFaiss()),
    *tuned(DefaultFaiss(sample=True)),
)
EVERYDAY_PREDICT = _of_fitted("predict")
EVERYDAY_TRANSFORM = _of_fitted("transform")
