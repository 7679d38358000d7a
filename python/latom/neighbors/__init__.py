"""Neighbors: the k best rows of a collection, and all above a threshold, dense and sparse, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.neighbors.graphs import kneighbors_graph, precomputed_knn
from latom.neighbors.hubness import Hubness, hubness, local_scaling, mutual_proximity
from latom.neighbors.index import DenseIndex, SparseIndex
from latom.neighbors.matching import match_anchors

if TYPE_CHECKING:
    from latom.neighbors.estimators import KNeighborsTransformer, NearestNeighbors

__all__ = [
    "DenseIndex",
    "Hubness",
    "KNeighborsTransformer",
    "NearestNeighbors",
    "SparseIndex",
    "hubness",
    "kneighbors_graph",
    "local_scaling",
    "match_anchors",
    "mutual_proximity",
    "precomputed_knn",
]

__getattr__ = lazily(
    globals(),
    dict.fromkeys(("KNeighborsTransformer", "NearestNeighbors"), "latom.neighbors.estimators"),
)


def __dir__() -> list[str]:
    return sorted(__all__)
