"""Factorization: codes and atoms under conditions of sign. NMF, its mini-batch and batched kin, semi-NMF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.factorize.nmf_batch import Factorizations, nmf_batch

if TYPE_CHECKING:
    from latom._base.history import FactorizationState
    from latom.factorize.fast_rp import FastRP
    from latom.factorize.latent_label_shift import LatentLabelShift
    from latom.factorize.minibatch_nmf import MiniBatchNMF
    from latom.factorize.nmf import NMF
    from latom.factorize.nmf_function import non_negative_factorization
    from latom.factorize.nonnegative_cp import NonNegativeCP
    from latom.factorize.pmi import PMIFactorization
    from latom.factorize.rank.consensus import ConsensusNMF
    from latom.factorize.rank.selection import RankSelection, select_n_components
    from latom.factorize.rescal import RESCAL
    from latom.factorize.semi_nmf import SemiNMF
    from latom.factorize.truncated_svd import TruncatedSVD

__all__ = [
    "NMF",
    "RESCAL",
    "ConsensusNMF",
    "FactorizationState",
    "Factorizations",
    "FastRP",
    "LatentLabelShift",
    "MiniBatchNMF",
    "NonNegativeCP",
    "PMIFactorization",
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
        "NMF": "latom.factorize.nmf",
        "FactorizationState": "latom._base.history",
        "FastRP": "latom.factorize.fast_rp",
        "LatentLabelShift": "latom.factorize.latent_label_shift",
        "NonNegativeCP": "latom.factorize.nonnegative_cp",
        "PMIFactorization": "latom.factorize.pmi",
        "RESCAL": "latom.factorize.rescal",
        "RankSelection": "latom.factorize.rank.selection",
        "select_n_components": "latom.factorize.rank.selection",
        "ConsensusNMF": "latom.factorize.rank.consensus",
        "MiniBatchNMF": "latom.factorize.minibatch_nmf",
        "SemiNMF": "latom.factorize.semi_nmf",
        "TruncatedSVD": "latom.factorize.truncated_svd",
        "non_negative_factorization": "latom.factorize.nmf_function",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
