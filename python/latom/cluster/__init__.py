"""Clustering: one atom per row. k-means, and the nearest of given centers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.cluster.assign import assign

if TYPE_CHECKING:
    from latom._base.history import IterationState, MiniBatchState
    from latom.cluster.kmeans import KMeans, SphericalKMeans
    from latom.cluster.minibatch_kmeans import MiniBatchKMeans, MiniBatchSphericalKMeans

__all__ = [
    "IterationState",
    "KMeans",
    "MiniBatchKMeans",
    "MiniBatchSphericalKMeans",
    "MiniBatchState",
    "SphericalKMeans",
    "assign",
]

__getattr__ = lazily(
    globals(),
    {
        "IterationState": "latom._base.history",
        "KMeans": "latom.cluster.kmeans",
        "MiniBatchKMeans": "latom.cluster.minibatch_kmeans",
        "MiniBatchSphericalKMeans": "latom.cluster.minibatch_kmeans",
        "MiniBatchState": "latom._base.history",
        "SphericalKMeans": "latom.cluster.kmeans",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
