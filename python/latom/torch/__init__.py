"""Sparse codes in torch: operators with gradients, and modules that are made of them.

>>> import torch
>>> import latom.torch as lt
>>> x, W_enc, W_dec = torch.randn(100, 8), torch.randn(64, 8), torch.randn(64, 8)
>>> values, indices = lt.topk_linear(x, W_enc, k=4)
>>> lt.sparse_linear(values, indices, W_dec).shape
torch.Size([100, 8])
"""

from __future__ import annotations

from latom.torch.modules import BatchTopKSAE, TopKSAE
from latom.torch.operators import sparse_linear, topk_linear
from latom.torch.pursuit import matching_pursuit

__all__ = ["BatchTopKSAE", "TopKSAE", "matching_pursuit", "sparse_linear", "topk_linear"]
