"""Encoding: k atoms per row. The best atoms, sparse codes, and rows made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latom._base.lazy import lazily
from latom.encode.codes import decode, encode
from latom.encode.topk import above, topk

if TYPE_CHECKING:
    from latom.encode.relative import RelativeRepresentation
    from latom.encode.topk_encoder import TopKEncoder

__all__ = ["RelativeRepresentation", "TopKEncoder", "above", "decode", "encode", "topk"]

__getattr__ = lazily(
    globals(),
    {
        "RelativeRepresentation": "latom.encode.relative",
        "TopKEncoder": "latom.encode.topk_encoder",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
