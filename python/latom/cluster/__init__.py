"""Clustering: one atom per row. k-means, and the nearest of given centers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.cluster.assign import assign
from latom.cluster.balanced import balanced_sample
from latom.cluster.loss_sample import loss_sample

if TYPE_CHECKING:
    from latom._base.history import HierarchyState, IterationState, MiniBatchState
    from latom.cluster.hierarchical import HierarchicalKMeans
    from latom.cluster.kmeans import KMeans, SphericalKMeans
    from latom.cluster.minibatch_kmeans import MiniBatchKMeans, MiniBatchSphericalKMeans
    from latom.cluster.semdedup import semdedup

__all__ = [
    "HierarchicalKMeans",
    "HierarchyState",
    "IterationState",
    "KMeans",
    "MiniBatchKMeans",
    "MiniBatchSphericalKMeans",
    "MiniBatchState",
    "SphericalKMeans",
    "assign",
    "balanced_sample",
    "loss_sample",
    "semdedup",
]

__getattr__ = lazily(
    globals(),
    {
        "HierarchicalKMeans": "latom.cluster.hierarchical",
        "HierarchyState": "latom._base.history",
        "IterationState": "latom._base.history",
        "KMeans": "latom.cluster.kmeans",
        "MiniBatchKMeans": "latom.cluster.minibatch_kmeans",
        "MiniBatchSphericalKMeans": "latom.cluster.minibatch_kmeans",
        "MiniBatchState": "latom._base.history",
        "SphericalKMeans": "latom.cluster.kmeans",
        "semdedup": "latom.cluster.semdedup",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
