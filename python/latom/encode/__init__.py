"""Encoding: k atoms per row. The best atoms, sparse codes, and rows made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.encode.codes import decode, encode
from latom.encode.topk import above, topk

if TYPE_CHECKING:
    from latom.encode.sparse_autoencoder import SparseAutoencoder
    from latom.encode.topk_encoder import TopKEncoder

__all__ = ["SparseAutoencoder", "TopKEncoder", "above", "decode", "encode", "topk"]

__getattr__ = lazily(
    globals(),
    {
        "SparseAutoencoder": "latom.encode.sparse_autoencoder",
        "TopKEncoder": "latom.encode.topk_encoder",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
