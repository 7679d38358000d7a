"""The mean silhouette of labeled rows. Every answer is the silhouette of each row."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from data import Problem

from peers.base import Call, by_name, tuned


class Latom(Call):
    """latom.silhouette_samples."""

    name = "latom"
    distribution = "latom"

    def load(self) -> None:
        self.latom = importlib.import_module("latom")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, labels = problem["X"], problem["labels"]
        return lambda: self.latom.silhouette_samples(X, labels)


class ScikitLearn(Call):
    """sklearn.metrics.silhouette_samples, which looks at all pairs of rows, some at a time."""

    name = "scikit-learn"
    distribution = "scikit-learn"
    note = "silhouette_samples"

    def load(self) -> None:
        self.metrics = importlib.import_module("sklearn.metrics")

    def bind(self, problem: Problem, threads: int) -> Callable[[], Any]:
        X, labels = problem["X"], problem["labels"]
        return lambda: self.metrics.silhouette_samples(X, labels)


SILHOUETTE: dict[str, Call] = by_name(Latom(), *tuned(ScikitLearn()))
