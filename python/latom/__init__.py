"""latom finds the latent atoms of a data set, exactly and fast.

A compiled core under a small API: sparse and dense k-means (spherical and Euclidean), nearest-centre
assignment, k-means++ seeding and coresets, nearest or best atoms (top-k, thresholds), and sparse encoding
with its decoder. ``import latom`` imports numpy and scipy alone; the estimators import scikit-learn when they
are first touched.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latom._config import __version__, config, show_config
from latom.assignment import assign
from latom.coreset import coreset, weighted_sample
from latom.encoding import above, decode, encode, topk
from latom.seeding import afkmc2, kmeans_parallel, kmeans_plusplus, kmeans_plusplus_init

if TYPE_CHECKING:
    from latom.cluster import IterationState, KMeans, SphericalKMeans
    from latom.topk_encoder import TopKEncoder

__all__ = [
    "IterationState",
    "KMeans",
    "SphericalKMeans",
    "TopKEncoder",
    "__version__",
    "above",
    "afkmc2",
    "assign",
    "config",
    "coreset",
    "decode",
    "encode",
    "kmeans_parallel",
    "kmeans_plusplus",
    "kmeans_plusplus_init",
    "show_config",
    "topk",
    "weighted_sample",
]

_ESTIMATORS = {
    "IterationState": "cluster",
    "KMeans": "cluster",
    "SphericalKMeans": "cluster",
    "TopKEncoder": "topk_encoder",
}


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        return getattr(importlib.import_module(f"latom.{_ESTIMATORS[name]}"), name)
    raise AttributeError(f"module 'latom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
