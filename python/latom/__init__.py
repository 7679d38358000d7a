"""latom finds the latent atoms of a data set, exactly and fast.

A compiled core under a small API: sparse and dense k-means (spherical and Euclidean), nearest-center
assignment, k-means++ seeding and coresets, nearest or best atoms (top-k, thresholds), and sparse encoding
with its decoder. ``import latom`` imports numpy and scipy alone; what else there is comes when it is
first touched, the estimators with scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.config import __version__, config, show_config
from latom._base.lazy import lazily
from latom._base.threads import register_controller
from latom.encode import above, decode, encode, topk

# `latom.encode` names two things. As an attribute it is the function: importing the package binds its name
# here, and the import above binds the function over it, once and for all, since a module is bound to its
# parent only when it is first loaded. `from latom.encode.codes import ...` finds the package in sys.modules.
# What does not work is `import latom.encode.codes as codes`, which walks through attributes.

if TYPE_CHECKING:
    from latom._base.history import FactorizationState, IterationState, MiniBatchState
    from latom.cluster.assign import assign
    from latom.cluster.kmeans import KMeans, SphericalKMeans
    from latom.cluster.minibatch_kmeans import MiniBatchKMeans, MiniBatchSphericalKMeans
    from latom.encode.relative import RelativeRepresentation
    from latom.encode.topk_encoder import TopKEncoder
    from latom.factorize.minibatch_nmf import MiniBatchNMF
    from latom.factorize.nmf import NMF
    from latom.factorize.nmf_batch import Factorizations, nmf_batch
    from latom.factorize.nmf_function import non_negative_factorization
    from latom.factorize.semi_nmf import SemiNMF
    from latom.neighbors import DenseIndex, SparseIndex, match_anchors
    from latom.neighbors.estimators import KNeighborsTransformer, NearestNeighbors
    from latom.seed.afkmc2 import afkmc2
    from latom.seed.coreset import coreset, weighted_sample
    from latom.seed.kmeans_parallel import kmeans_parallel
    from latom.seed.kmeans_plusplus import kmeans_plusplus, kmeans_plusplus_init

__all__ = [
    "NMF",
    "DenseIndex",
    "FactorizationState",
    "Factorizations",
    "IterationState",
    "KMeans",
    "KNeighborsTransformer",
    "MiniBatchKMeans",
    "MiniBatchNMF",
    "MiniBatchSphericalKMeans",
    "MiniBatchState",
    "NearestNeighbors",
    "RelativeRepresentation",
    "SemiNMF",
    "SparseIndex",
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
    "match_anchors",
    "nmf_batch",
    "non_negative_factorization",
    "show_config",
    "topk",
    "weighted_sample",
]

__getattr__ = lazily(
    globals(),
    {
        "FactorizationState": "latom._base.history",
        "IterationState": "latom._base.history",
        "MiniBatchState": "latom._base.history",
        **dict.fromkeys(("KMeans", "SphericalKMeans", "assign"), "latom.cluster"),
        **dict.fromkeys(("MiniBatchKMeans", "MiniBatchSphericalKMeans"), "latom.cluster"),
        **dict.fromkeys(("RelativeRepresentation", "TopKEncoder"), "latom.encode"),
        **dict.fromkeys(("DenseIndex", "KNeighborsTransformer", "NearestNeighbors"), "latom.neighbors"),
        **dict.fromkeys(("SparseIndex", "match_anchors"), "latom.neighbors"),
        **dict.fromkeys(("NMF", "Factorizations", "MiniBatchNMF", "SemiNMF"), "latom.factorize"),
        **dict.fromkeys(("nmf_batch", "non_negative_factorization"), "latom.factorize"),
        **dict.fromkeys(("afkmc2", "coreset", "kmeans_parallel", "kmeans_plusplus"), "latom.seed"),
        **dict.fromkeys(("kmeans_plusplus_init", "weighted_sample"), "latom.seed"),
    },
)


register_controller()


def __dir__() -> list[str]:
    return sorted(__all__)
