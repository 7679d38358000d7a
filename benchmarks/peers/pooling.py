"""Clusters of the tokens of many documents. Every answer is the cluster of each token in its document."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from data import Problem

from peers.base import Call, by_name, tuned


class Latom(Call):
    """latom.ward_batch, or kmeans_batch from it or from k-means++."""

    distribution = "latom"

    def __init__(self, name: str, init: str = "", note: str = "") -> None:
        self.name, self.init, self.note = name, init, note

    def load(self) -> None:
        self.latom = importlib.import_module("latom")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, m = problem["X"], int(problem["m"])
        if not self.init:
            return lambda: self.latom.ward_batch(X, m, metric="cosine").labels
        return lambda: self.latom.kmeans_batch(X, m, init=self.init, random_state=0).labels


class Linkage(Call):
    """Ward's linkage of each document by itself, as token pooling calls it, cut by scipy."""

    def __init__(self, module: str, name: str, threaded: bool = False) -> None:
        self.module, self.name, self.threaded = module, name, threaded
        self.distribution = name.split(",")[0]
        self.note = "linkage(rows, 'ward') and fcluster, a document at a time"
        if threaded:
            self.note += ", from as many Python threads as there are CPUs"

    def load(self) -> None:
        self.linkage = importlib.import_module(self.module).linkage
        self.fcluster = importlib.import_module("scipy.cluster.hierarchy").fcluster

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        documents, m = problem["X"], int(problem["m"])

        def one(rows: np.ndarray) -> np.ndarray:
            return np.asarray(self.fcluster(self.linkage(rows, method="ward"), m, "maxclust")) - 1

        def call() -> np.ndarray:
            if not self.threaded:
                return np.concatenate([one(rows) for rows in documents])
            with ThreadPoolExecutor(threads) as pool:
                return np.concatenate(list(pool.map(one, documents)))

        return call


class ScikitLearn(Call):
    """A loop of KMeans from one k-means++ start."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    note = "KMeans(n_init=1, max_iter=10) of each document, in a loop"

    def load(self) -> None:
        self.cluster = importlib.import_module("sklearn.cluster")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        documents, m = problem["X"], int(problem["m"])

        def call() -> np.ndarray:
            model = self.cluster.KMeans(m, n_init=1, max_iter=10, random_state=0)
            return np.concatenate([model.fit(rows).labels_ for rows in documents])

        return call


POOLING: dict[str, Call] = by_name(
    Latom("latom", note="ward_batch"),
    Latom("latom, ward+kmeans", "ward", "kmeans_batch from Ward's clusters"),
    Latom("latom, k-means++", "k-means++", "kmeans_batch from k-means++"),
    Linkage("fastcluster", "fastcluster"),
    Linkage("fastcluster", "fastcluster, threads", threaded=True),
    Linkage("scipy.cluster.hierarchy", "scipy"),
    *tuned(ScikitLearn()),
)
