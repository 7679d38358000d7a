"""Clustering: one atom per row. k-means, and the nearest of given centres."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.cluster.assign import assign

if TYPE_CHECKING:
    from latom._base.history import IterationState
    from latom.cluster.kmeans import KMeans, SphericalKMeans

__all__ = ["IterationState", "KMeans", "SphericalKMeans", "assign"]

__getattr__ = lazily(
    globals(),
    {
        "IterationState": "latom._base.history",
        "KMeans": "latom.cluster.kmeans",
        "SphericalKMeans": "latom.cluster.kmeans",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
