"""Factorization: codes and atoms under conditions of sign. NMF, its mini-batch and batched kin, semi-NMF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.factorize.nmf_batch import Factorizations, nmf_batch

if TYPE_CHECKING:
    from latom._base.history import CompletionState, FactorizationState
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
    from latom.factorize.nmf_function import non_negative_factorization
    from latom.factorize.nonnegative_cp import NonNegativeCP
    from latom.factorize.pmi import PMIFactorization
    from latom.factorize.pointwise import PointwiseFactorization
    from latom.factorize.rank.consensus import ConsensusNMF
    from latom.factorize.rank.selection import RankSelection, select_n_components
    from latom.factorize.rescal import RESCAL
    from latom.factorize.semi_nmf import SemiNMF
    from latom.factorize.truncated_svd import TruncatedSVD

__all__ = [
    "CUR",
    "NMF",
    "RESCAL",
    "AlternatingLeastSquares",
    "CURSearch",
    "CompletionState",
    "ConsensusNMF",
    "FactorizationState",
    "Factorizations",
    "FastRP",
    "IPSFactorization",
    "LatentLabelShift",
    "LowRankImputer",
    "MatrixCompletion",
    "MiniBatchNMF",
    "NonNegativeCP",
    "PMIFactorization",
    "PointwiseFactorization",
    "RankSelection",
    "SemiNMF",
    "TruncatedSVD",
    "nmf_batch",
    "non_negative_factorization",
    "select_n_components",
]

__getattr__ = lazily(
    globals(),
    {
        **dict.fromkeys(("CompletionState", "FactorizationState"), "latom._base.history"),
        "AlternatingLeastSquares": "latom.factorize.als",
        "CUR": "latom.factorize.cur",
        "CURSearch": "latom.factorize.cur_search",
        "FastRP": "latom.factorize.fast_rp",
        "IPSFactorization": "latom.factorize.ips_factorization",
        "LatentLabelShift": "latom.factorize.latent_label_shift",
        "LowRankImputer": "latom.factorize.low_rank_imputer",
        "MatrixCompletion": "latom.factorize.matrix_completion",
        "MiniBatchNMF": "latom.factorize.minibatch_nmf",
        "NMF": "latom.factorize.nmf",
        "non_negative_factorization": "latom.factorize.nmf_function",
        "NonNegativeCP": "latom.factorize.nonnegative_cp",
        "PMIFactorization": "latom.factorize.pmi",
        "PointwiseFactorization": "latom.factorize.pointwise",
        "ConsensusNMF": "latom.factorize.rank.consensus",
        **dict.fromkeys(("RankSelection", "select_n_components"), "latom.factorize.rank.selection"),
        "RESCAL": "latom.factorize.rescal",
        "SemiNMF": "latom.factorize.semi_nmf",
        "TruncatedSVD": "latom.factorize.truncated_svd",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
