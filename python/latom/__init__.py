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
from latom.encode import above, decode, encode, matching_pursuit, orthogonal_matching_pursuit, steer, topk

# `latom.encode` names two things. As an attribute it is the function: importing the package binds its name
# here, and the import above binds the function over it, once and for all, since a module is bound to its
# parent only when it is first loaded. `from latom.encode.codes import ...` finds the package in sys.modules.
# What does not work is `import latom.encode.codes as codes`, which walks through attributes.

if TYPE_CHECKING:
    from latom._base.history import (
        AutoencoderState,
        CompletionState,
        DictionaryState,
        FactorizationState,
        HierarchyState,
        IterationState,
        MiniBatchState,
    )
    from latom._base.stream import Stream
    from latom.cluster.assign import assign
    from latom.cluster.balanced import balanced_sample
    from latom.cluster.batch import BatchClusters, kmeans_batch
    from latom.cluster.bisecting import BisectingKMeans
    from latom.cluster.hierarchical import HierarchicalKMeans
    from latom.cluster.kmeans import KMeans, SphericalKMeans
    from latom.cluster.late_interaction import maxsim
    from latom.cluster.loss_sample import loss_sample
    from latom.cluster.minibatch_kmeans import MiniBatchKMeans, MiniBatchSphericalKMeans
    from latom.cluster.near_duplicates import semdedup
    from latom.cluster.pack import pack_clusters
    from latom.cluster.pooling import pool_tokens
    from latom.cluster.quality import davies_bouldin, silhouette, silhouette_samples
    from latom.cluster.select import ClusterSweep, select_n_clusters
    from latom.cluster.ward import WardClusters, ward_batch
    from latom.encode.itda import ITDA
    from latom.encode.pursuit_encoder import MatchingPursuit
    from latom.encode.relative import RelativeRepresentation
    from latom.encode.sparse_autoencoder import SparseAutoencoder
    from latom.encode.threshold_encoder import ThresholdEncoder
    from latom.encode.topk_encoder import TopKEncoder
    from latom.factorize.als import AlternatingLeastSquares
    from latom.factorize.cur import CUR
    from latom.factorize.cur_search import CURSearch
    from latom.factorize.fast_rp import FastRP
    from latom.factorize.ips_factorization import IPSFactorization
    from latom.factorize.latent_label_shift import LatentLabelShift
    from latom.factorize.low_rank_imputer import LowRankImputer
    from latom.factorize.matrix_completion import MatrixCompletion
    from latom.factorize.minibatch_nmf import MiniBatchNMF
    from latom.factorize.nmf import NMF
    from latom.factorize.nmf_batch import Factorizations, nmf_batch
    from latom.factorize.nmf_function import non_negative_factorization
    from latom.factorize.nonnegative_cp import NonNegativeCP
    from latom.factorize.pmi import PMIFactorization
    from latom.factorize.pointwise import PointwiseFactorization
    from latom.factorize.rank.consensus import ConsensusNMF
    from latom.factorize.rank.selection import RankSelection, select_n_components
    from latom.factorize.rescal import RESCAL
    from latom.factorize.semi_nmf import SemiNMF
    from latom.factorize.truncated_svd import TruncatedSVD
    from latom.neighbors import DenseIndex, SparseIndex, match_anchors
    from latom.neighbors.estimators import KNeighborsTransformer, NearestNeighbors
    from latom.seed.afkmc2 import afkmc2
    from latom.seed.coreset import coreset, weighted_sample
    from latom.seed.kmeans_parallel import kmeans_parallel
    from latom.seed.kmeans_plusplus import kmeans_plusplus, kmeans_plusplus_init

__all__ = [
    "CUR",
    "ITDA",
    "NMF",
    "RESCAL",
    "AlternatingLeastSquares",
    "AutoencoderState",
    "BatchClusters",
    "BisectingKMeans",
    "CURSearch",
    "ClusterSweep",
    "CompletionState",
    "ConsensusNMF",
    "DenseIndex",
    "DictionaryState",
    "FactorizationState",
    "Factorizations",
    "FastRP",
    "HierarchicalKMeans",
    "HierarchyState",
    "IPSFactorization",
    "IterationState",
    "KMeans",
    "KNeighborsTransformer",
    "LatentLabelShift",
    "LowRankImputer",
    "MatchingPursuit",
    "MatrixCompletion",
    "MiniBatchKMeans",
    "MiniBatchNMF",
    "MiniBatchSphericalKMeans",
    "MiniBatchState",
    "NearestNeighbors",
    "NonNegativeCP",
    "PMIFactorization",
    "PointwiseFactorization",
    "RankSelection",
    "RelativeRepresentation",
    "SemiNMF",
    "SparseAutoencoder",
    "SparseIndex",
    "SphericalKMeans",
    "Stream",
    "ThresholdEncoder",
    "TopKEncoder",
    "TruncatedSVD",
    "WardClusters",
    "__version__",
    "above",
    "afkmc2",
    "assign",
    "balanced_sample",
    "config",
    "coreset",
    "davies_bouldin",
    "decode",
    "encode",
    "kmeans_batch",
    "kmeans_parallel",
    "kmeans_plusplus",
    "kmeans_plusplus_init",
    "loss_sample",
    "match_anchors",
    "matching_pursuit",
    "maxsim",
    "nmf_batch",
    "non_negative_factorization",
    "orthogonal_matching_pursuit",
    "pack_clusters",
    "pool_tokens",
    "select_n_clusters",
    "select_n_components",
    "semdedup",
    "show_config",
    "silhouette",
    "silhouette_samples",
    "steer",
    "topk",
    "ward_batch",
    "weighted_sample",
]

__getattr__ = lazily(
    globals(),
    {
        **dict.fromkeys(("AutoencoderState", "CompletionState", "DictionaryState"), "latom._base.history"),
        **dict.fromkeys(("FactorizationState", "HierarchyState"), "latom._base.history"),
        **dict.fromkeys(("IterationState", "MiniBatchState"), "latom._base.history"),
        "Stream": "latom._base.stream",
        **dict.fromkeys(("BatchClusters", "BisectingKMeans", "ClusterSweep"), "latom.cluster"),
        "HierarchicalKMeans": "latom.cluster",
        **dict.fromkeys(("KMeans", "MiniBatchKMeans", "MiniBatchSphericalKMeans"), "latom.cluster"),
        **dict.fromkeys(("SphericalKMeans", "WardClusters", "assign"), "latom.cluster"),
        **dict.fromkeys(("balanced_sample", "davies_bouldin", "kmeans_batch"), "latom.cluster"),
        **dict.fromkeys(("loss_sample", "maxsim", "pool_tokens", "select_n_clusters"), "latom.cluster"),
        **dict.fromkeys(("semdedup", "silhouette", "silhouette_samples"), "latom.cluster"),
        **dict.fromkeys(("pack_clusters", "ward_batch"), "latom.cluster"),
        **dict.fromkeys(("ITDA", "MatchingPursuit", "RelativeRepresentation"), "latom.encode"),
        **dict.fromkeys(("SparseAutoencoder", "ThresholdEncoder", "TopKEncoder"), "latom.encode"),
        **dict.fromkeys(("AlternatingLeastSquares", "CUR", "CURSearch"), "latom.factorize"),
        **dict.fromkeys(("ConsensusNMF", "Factorizations", "FastRP"), "latom.factorize"),
        **dict.fromkeys(("IPSFactorization", "LatentLabelShift", "LowRankImputer"), "latom.factorize"),
        **dict.fromkeys(("MatrixCompletion", "MiniBatchNMF", "NMF"), "latom.factorize"),
        **dict.fromkeys(("NonNegativeCP", "PMIFactorization"), "latom.factorize"),
        **dict.fromkeys(("PointwiseFactorization", "RESCAL", "RankSelection"), "latom.factorize"),
        **dict.fromkeys(("SemiNMF", "TruncatedSVD", "nmf_batch"), "latom.factorize"),
        **dict.fromkeys(("non_negative_factorization", "select_n_components"), "latom.factorize"),
        **dict.fromkeys(("DenseIndex", "KNeighborsTransformer", "NearestNeighbors"), "latom.neighbors"),
        **dict.fromkeys(("SparseIndex", "match_anchors"), "latom.neighbors"),
        **dict.fromkeys(("afkmc2", "coreset", "kmeans_parallel", "kmeans_plusplus"), "latom.seed"),
        **dict.fromkeys(("kmeans_plusplus_init", "weighted_sample"), "latom.seed"),
    },
    ("cluster", "compat", "dask", "factorize", "metrics", "neighbors", "seed", "torch"),
)


register_controller()


def __dir__() -> list[str]:
    return sorted(__all__)
