"""Clustering: one atom per row. k-means, and the nearest of given centers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.cluster.assign import assign
from latom.cluster.balanced import balanced_sample
from latom.cluster.loss_sample import loss_sample

if TYPE_CHECKING:
    from latom._base.history import HierarchyState, IterationState, MiniBatchState
    from latom.cluster.batch import BatchClusters, kmeans_batch
    from latom.cluster.bisecting import BisectingKMeans
    from latom.cluster.hierarchical import HierarchicalKMeans
    from latom.cluster.kmeans import KMeans, SphericalKMeans
    from latom.cluster.late_interaction import maxsim
    from latom.cluster.minibatch_kmeans import MiniBatchKMeans, MiniBatchSphericalKMeans
    from latom.cluster.near_duplicates import semdedup
    from latom.cluster.pack import pack_clusters
    from latom.cluster.pooling import pool_tokens
    from latom.cluster.quality import davies_bouldin, silhouette, silhouette_samples
    from latom.cluster.ranks import KMeansShard
    from latom.cluster.select import ClusterSweep, select_n_clusters
    from latom.cluster.ward import WardClusters, ward_batch

__all__ = [
    "BatchClusters",
    "BisectingKMeans",
    "ClusterSweep",
    "HierarchicalKMeans",
    "HierarchyState",
    "IterationState",
    "KMeans",
    "KMeansShard",
    "MiniBatchKMeans",
    "MiniBatchSphericalKMeans",
    "MiniBatchState",
    "SphericalKMeans",
    "WardClusters",
    "assign",
    "balanced_sample",
    "davies_bouldin",
    "kmeans_batch",
    "loss_sample",
    "maxsim",
    "pack_clusters",
    "pool_tokens",
    "select_n_clusters",
    "semdedup",
    "silhouette",
    "silhouette_samples",
    "ward_batch",
]

__getattr__ = lazily(
    globals(),
    {
        **dict.fromkeys(("HierarchyState", "IterationState", "MiniBatchState"), "latom._base.history"),
        **dict.fromkeys(("BatchClusters", "kmeans_batch"), "latom.cluster.batch"),
        "BisectingKMeans": "latom.cluster.bisecting",
        "HierarchicalKMeans": "latom.cluster.hierarchical",
        **dict.fromkeys(("KMeans", "SphericalKMeans"), "latom.cluster.kmeans"),
        "KMeansShard": "latom.cluster.ranks",
        "maxsim": "latom.cluster.late_interaction",
        **dict.fromkeys(("MiniBatchKMeans", "MiniBatchSphericalKMeans"), "latom.cluster.minibatch_kmeans"),
        "pack_clusters": "latom.cluster.pack",
        "pool_tokens": "latom.cluster.pooling",
        **dict.fromkeys(("davies_bouldin", "silhouette", "silhouette_samples"), "latom.cluster.quality"),
        **dict.fromkeys(("ClusterSweep", "select_n_clusters"), "latom.cluster.select"),
        "semdedup": "latom.cluster.near_duplicates",
        **dict.fromkeys(("WardClusters", "ward_batch"), "latom.cluster.ward"),
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
