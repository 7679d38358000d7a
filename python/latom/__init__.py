"""latom finds the latent atoms of a data set, exactly and fast.

A compiled core under a small API: sparse and dense k-means (spherical and Euclidean), nearest-centre
assignment and k-means++ seeding. ``import latom`` imports numpy and scipy alone; the estimators
import scikit-learn when they are first touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latom._config import __version__, config, show_config
from latom.assignment import assign
from latom.seeding import kmeans_plusplus

if TYPE_CHECKING:
    from latom.cluster import IterationState, KMeans, SphericalKMeans

__all__ = [
    "IterationState",
    "KMeans",
    "SphericalKMeans",
    "__version__",
    "assign",
    "config",
    "kmeans_plusplus",
    "show_config",
]

_ESTIMATORS = {"IterationState", "KMeans", "SphericalKMeans"}


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        from latom import cluster

        return getattr(cluster, name)
    raise AttributeError(f"module 'latom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
