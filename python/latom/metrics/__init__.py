"""Measures of what latom's models give, where no library has them in the shape needed."""

from __future__ import annotations

from latom.metrics.codes import cooccurrence, dead_share, fvu, jaccard, l0, mean_max_cosine
from latom.metrics.ranking import ndcg, recall

__all__ = ["cooccurrence", "dead_share", "fvu", "jaccard", "l0", "mean_max_cosine", "ndcg", "recall"]
