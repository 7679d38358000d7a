"""Encoding: k atoms per row. The best atoms, sparse codes, and rows made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.encode.codes import decode, encode
from latom.encode.pursuit import matching_pursuit, orthogonal_matching_pursuit
from latom.encode.steering import steer
from latom.encode.topk import above, topk

if TYPE_CHECKING:
    from latom.encode.itda import ITDA
    from latom.encode.pursuit_encoder import MatchingPursuit
    from latom.encode.sparse_autoencoder import SparseAutoencoder
    from latom.encode.threshold_encoder import ThresholdEncoder
    from latom.encode.topk_encoder import TopKEncoder

__all__ = [
    "ITDA",
    "MatchingPursuit",
    "SparseAutoencoder",
    "ThresholdEncoder",
    "TopKEncoder",
    "above",
    "decode",
    "encode",
    "matching_pursuit",
    "orthogonal_matching_pursuit",
    "steer",
    "topk",
]

__getattr__ = lazily(
    globals(),
    {
        "ITDA": "latom.encode.itda",
        "MatchingPursuit": "latom.encode.pursuit_encoder",
        "SparseAutoencoder": "latom.encode.sparse_autoencoder",
        "ThresholdEncoder": "latom.encode.threshold_encoder",
        "TopKEncoder": "latom.encode.topk_encoder",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
