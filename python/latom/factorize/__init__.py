"""Factorization: codes and atoms under conditions of sign, or on observed entries alone.

NMF, its mini-batch and batched kin, semi-NMF; alternating least squares, completion and imputation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.factorize.nmf_batch import Factorizations, nmf_batch

if TYPE_CHECKING:
    from latom._base.history import FactorizationState
    from latom.factorize.als import AlternatingLeastSquares
    from latom.factorize.low_rank_imputer import LowRankImputer
    from latom.factorize.matrix_completion import MatrixCompletion
    from latom.factorize.minibatch_nmf import MiniBatchNMF
    from latom.factorize.nmf import NMF
    from latom.factorize.nmf_function import non_negative_factorization
    from latom.factorize.semi_nmf import SemiNMF

__all__ = [
    "NMF",
    "AlternatingLeastSquares",
    "FactorizationState",
    "Factorizations",
    "LowRankImputer",
    "MatrixCompletion",
    "MiniBatchNMF",
    "SemiNMF",
    "nmf_batch",
    "non_negative_factorization",
]

__getattr__ = lazily(
    globals(),
    {
        "NMF": "latom.factorize.nmf",
        "AlternatingLeastSquares": "latom.factorize.als",
        "LowRankImputer": "latom.factorize.low_rank_imputer",
        "MatrixCompletion": "latom.factorize.matrix_completion",
        "FactorizationState": "latom._base.history",
        "MiniBatchNMF": "latom.factorize.minibatch_nmf",
        "SemiNMF": "latom.factorize.semi_nmf",
        "non_negative_factorization": "latom.factorize.nmf_function",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
