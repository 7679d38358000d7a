"""Factorization: codes and atoms under conditions of sign. NMF, its mini-batch and batched kin, semi-NMF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.factorize.nmf_batch import Factorizations, nmf_batch

if TYPE_CHECKING:
    from latom._base.history import FactorizationState
    from latom.factorize.cur import CUR
    from latom.factorize.cur_search import CURSearch
    from latom.factorize.fast_rp import FastRP
    from latom.factorize.ips_factorization import IPSFactorization
    from latom.factorize.minibatch_nmf import MiniBatchNMF
    from latom.factorize.nmf import NMF
    from latom.factorize.nmf_function import non_negative_factorization
    from latom.factorize.pointwise import PointwiseFactorization
    from latom.factorize.semi_nmf import SemiNMF
    from latom.factorize.truncated_svd import TruncatedSVD

__all__ = [
    "CUR",
    "NMF",
    "CURSearch",
    "FactorizationState",
    "Factorizations",
    "FastRP",
    "IPSFactorization",
    "MiniBatchNMF",
    "PointwiseFactorization",
    "SemiNMF",
    "TruncatedSVD",
    "nmf_batch",
    "non_negative_factorization",
]

__getattr__ = lazily(
    globals(),
    {
        "FactorizationState": "latom._base.history",
        "CUR": "latom.factorize.cur",
        "CURSearch": "latom.factorize.cur_search",
        "FastRP": "latom.factorize.fast_rp",
        "IPSFactorization": "latom.factorize.ips_factorization",
        "MiniBatchNMF": "latom.factorize.minibatch_nmf",
        "NMF": "latom.factorize.nmf",
        "non_negative_factorization": "latom.factorize.nmf_function",
        "PointwiseFactorization": "latom.factorize.pointwise",
        "SemiNMF": "latom.factorize.semi_nmf",
        "TruncatedSVD": "latom.factorize.truncated_svd",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
