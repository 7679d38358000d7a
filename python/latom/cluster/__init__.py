"""Clustering: one atom per row. k-means, and the nearest of given centers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.cluster.assign import assign

if TYPE_CHECKING:
    from latom._base.history import IterationState, MiniBatchState
    from latom.cluster.kmeans import KMeans, SphericalKMeans
    from latom.cluster.batch import BatchClusters, kmeans_batch
    from latom.cluster.late_interaction import maxsim
    from latom.cluster.minibatch_kmeans import MiniBatchKMeans, MiniBatchSphericalKMeans
    from latom.cluster.pooling import pool_tokens
    from latom.cluster.ward import WardClusters, ward_batch

__all__ = [
    "BatchClusters",
    "IterationState",
    "KMeans",
    "MiniBatchKMeans",
    "MiniBatchSphericalKMeans",
    "MiniBatchState",
    "SphericalKMeans",
    "WardClusters",
    "assign",
    "kmeans_batch",
    "maxsim",
    "pool_tokens",
    "ward_batch",
]

__getattr__ = lazily(
    globals(),
    {
        "BatchClusters": "latom.cluster.batch",
        "IterationState": "latom._base.history",
        "KMeans": "latom.cluster.kmeans",
        "MiniBatchKMeans": "latom.cluster.minibatch_kmeans",
        "MiniBatchSphericalKMeans": "latom.cluster.minibatch_kmeans",
        "MiniBatchState": "latom._base.history",
        "SphericalKMeans": "latom.cluster.kmeans",
        "WardClusters": "latom.cluster.ward",
        "kmeans_batch": "latom.cluster.batch",
        "maxsim": "latom.cluster.late_interaction",
        "pool_tokens": "latom.cluster.pooling",
        "ward_batch": "latom.cluster.ward",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
