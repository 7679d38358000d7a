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
from latom.nmf_batch import Factorizations, nmf_batch
from latom.seeding import afkmc2, kmeans_parallel, kmeans_plusplus, kmeans_plusplus_init

if TYPE_CHECKING:
    from latom._nmf_solvers import FactorizationState
    from latom.cluster import IterationState, KMeans, SphericalKMeans
    from latom.minibatch_nmf import MiniBatchNMF
    from latom.nmf import NMF, non_negative_factorization
    from latom.semi_nmf import SemiNMF
    from latom.topk_encoder import TopKEncoder

__all__ = [
    "NMF",
    "FactorizationState",
    "Factorizations",
    "IterationState",
    "KMeans",
    "MiniBatchNMF",
    "SemiNMF",
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
    "nmf_batch",
    "non_negative_factorization",
    "show_config",
    "topk",
    "weighted_sample",
]

_ESTIMATORS = {
    "NMF": "nmf",
    "MiniBatchNMF": "minibatch_nmf",
    "FactorizationState": "_nmf_solvers",
    "non_negative_factorization": "nmf",
    "IterationState": "cluster",
    "KMeans": "cluster",
    "SemiNMF": "semi_nmf",
    "SphericalKMeans": "cluster",
    "TopKEncoder": "topk_encoder",
}


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        return getattr(importlib.import_module(f"latom.{_ESTIMATORS[name]}"), name)
    raise AttributeError(f"module 'latom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
