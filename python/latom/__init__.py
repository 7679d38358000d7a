"""latom finds the latent atoms of a data set, exactly and fast.

A compiled core under a small API: sparse and dense k-means (spherical and Euclidean), nearest-centre
assignment, k-means++ seeding and coresets, nearest or best atoms (top-k, thresholds), and sparse encoding
with its decoder. ``import latom`` imports numpy and scipy alone; the estimators import scikit-learn when they
are first touched.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latom._base.config import __version__, config, show_config
from latom.cluster.assign import assign
from latom.encode.topk import above, decode, encode, topk
from latom.factorize.nmf_batch import Factorizations, nmf_batch
from latom.seed.coreset import coreset, weighted_sample
from latom.seed.kmeans_plusplus import afkmc2, kmeans_parallel, kmeans_plusplus, kmeans_plusplus_init

if TYPE_CHECKING:
    from latom.cluster.lloyd_estimator import IterationState, KMeans, SphericalKMeans
    from latom.encode.topk_encoder import TopKEncoder
    from latom.factorize.minibatch_nmf import MiniBatchNMF
    from latom.factorize.nmf import NMF, non_negative_factorization
    from latom.factorize.nmf_solvers import FactorizationState
    from latom.factorize.semi_nmf import SemiNMF

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
    "NMF": "factorize.nmf",
    "MiniBatchNMF": "factorize.minibatch_nmf",
    "FactorizationState": "factorize.nmf_solvers",
    "non_negative_factorization": "factorize.nmf",
    "IterationState": "cluster.lloyd_estimator",
    "KMeans": "cluster.lloyd_estimator",
    "SemiNMF": "factorize.semi_nmf",
    "SphericalKMeans": "cluster.lloyd_estimator",
    "TopKEncoder": "encode.topk_encoder",
}


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        return getattr(importlib.import_module(f"latom.{_ESTIMATORS[name]}"), name)
    raise AttributeError(f"module 'latom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
