"""A pytest plugin: scikit-learn's tests of nearest neighbors find latom's class where it has the metric."""

from __future__ import annotations

from typing import Any

import sklearn.neighbors

from latom.neighbors import NearestNeighbors as Latom

Host = sklearn.neighbors.NearestNeighbors


class Ours(Latom):
    """latom's class with scikit-learn's parameters, of which some choose nothing."""

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        radius: float = 1.0,
        algorithm: str = "auto",
        leaf_size: int = 30,
        metric: str = "euclidean",
        p: float = 2,
        metric_params: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(n_neighbors=n_neighbors, radius=radius, metric=metric)
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p
        self.metric_params = metric_params
        self.n_jobs = n_jobs


class NearestNeighbors(Host):
    """latom's class for Euclid and cosines, else scikit-learn's."""

    def __new__(cls, **parameters: Any) -> Any:
        """What answers for these parameters."""
        metric = parameters.get("metric", "minkowski")
        if isinstance(metric, str) and metric == "minkowski" and parameters.get("p", 2) == 2:
            metric = parameters["metric"] = "euclidean"
        known = isinstance(metric, str) and metric in ("euclidean", "cosine")
        return (Ours if known and not parameters.get("metric_params") else Host)(**parameters)


sklearn.neighbors.NearestNeighbors = NearestNeighbors
