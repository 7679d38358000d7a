"""Clustering: one atom per row. k-means, and the nearest of given centers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.cluster.assign import assign

if TYPE_CHECKING:
    from latom._base.history import IterationState, MiniBatchState
    from latom.cluster.batch import BatchClusters, kmeans_batch
    from latom.cluster.kmeans import KMeans, SphericalKMeans
    from latom.cluster.late_interaction import maxsim
    from latom.cluster.minibatch_kmeans import MiniBatchKMeans, MiniBatchSphericalKMeans
    from latom.cluster.pooling import pool_tokens
    from latom.cluster.quality import davies_bouldin, silhouette, silhouette_samples
    from latom.cluster.select import ClusterSweep, select_n_clusters
    from latom.cluster.ward import WardClusters, ward_batch

__all__ = [
    "BatchClusters",
    "ClusterSweep",
    "IterationState",
    "KMeans",
    "MiniBatchKMeans",
    "MiniBatchSphericalKMeans",
    "MiniBatchState",
    "SphericalKMeans",
    "WardClusters",
    "assign",
    "davies_bouldin",
    "kmeans_batch",
    "maxsim",
    "pool_tokens",
    "select_n_clusters",
    "silhouette",
    "silhouette_samples",
    "ward_batch",
]

__getattr__ = lazily(
    globals(),
    {
        "BatchClusters": "latom.cluster.batch",
        "ClusterSweep": "latom.cluster.select",
        "IterationState": "latom._base.history",
        "KMeans": "latom.cluster.kmeans",
        "MiniBatchKMeans": "latom.cluster.minibatch_kmeans",
        "MiniBatchSphericalKMeans": "latom.cluster.minibatch_kmeans",
        "MiniBatchState": "latom._base.history",
        "SphericalKMeans": "latom.cluster.kmeans",
        "WardClusters": "latom.cluster.ward",
        "davies_bouldin": "latom.cluster.quality",
        "kmeans_batch": "latom.cluster.batch",
        "maxsim": "latom.cluster.late_interaction",
        "pool_tokens": "latom.cluster.pooling",
        "select_n_clusters": "latom.cluster.select",
        "silhouette": "latom.cluster.quality",
        "silhouette_samples": "latom.cluster.quality",
        "ward_batch": "latom.cluster.ward",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
