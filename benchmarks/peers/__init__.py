"""The adapters of every library, a table a family. None imports its library before it is asked to."""

from peers.als import ALS, RECOMMEND
from peers.base import Answer, Call, Fit, Peer
from peers.completion import COMPLETION
from peers.decode import DECODE
from peers.everyday import EVERYDAY_FIT, EVERYDAY_PREDICT, EVERYDAY_TRANSFORM
from peers.gemm import GEMM
from peers.hierarchy import HIERARCHY
from peers.kmeans import DENSE_KMEANS, EVERYDAY_KMEANS, SPARSE_KMEANS
from peers.neighbors import NEIGHBORS
from peers.nmf import NMF, NMF_KL, REPLICATES
from peers.pairs import PAIRS
from peers.pooling import POOLING
from peers.pursuit import OMP, PLAIN_PURSUIT
from peers.seeding import SEEDING
from peers.semi_nmf import SEMI_NMF
from peers.silhouette import SILHOUETTE
from peers.spectral import LABEL_SHIFT, POWERS, RANKS, SVD
from peers.topk import TOPK
from peers.train import TRAIN

__all__ = [
    "ALS",
    "COMPLETION",
    "DECODE",
    "DENSE_KMEANS",
    "EVERYDAY_FIT",
    "EVERYDAY_KMEANS",
    "EVERYDAY_PREDICT",
    "EVERYDAY_TRANSFORM",
    "GEMM",
    "HIERARCHY",
    "LABEL_SHIFT",
    "NEIGHBORS",
    "NMF",
    "NMF_KL",
    "OMP",
    "PAIRS",
    "PLAIN_PURSUIT",
    "POOLING",
    "POWERS",
    "RANKS",
    "RECOMMEND",
    "REPLICATES",
    "SEEDING",
    "SEMI_NMF",
    "SILHOUETTE",
    "SPARSE_KMEANS",
    "SVD",
    "TOPK",
    "TRAIN",
    "Answer",
    "Call",
    "Fit",
    "Peer",
]
