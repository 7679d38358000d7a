"""Sparse codes in torch: operators with gradients, and modules that are made of them.

>>> import latom.torch as lt
>>> values, indices = lt.topk_linear(x, W_enc, b_enc, k=32)  # doctest: +SKIP
>>> rows = lt.sparse_linear(values, indices, W_dec, b_dec)  # doctest: +SKIP
"""

from __future__ import annotations

from latom.torch.modules import BatchTopKSAE, TopKSAE
from latom.torch.operators import sparse_linear, topk_linear
from latom.torch.pursuit import matching_pursuit

__all__ = ["BatchTopKSAE", "TopKSAE", "matching_pursuit", "sparse_linear", "topk_linear"]
