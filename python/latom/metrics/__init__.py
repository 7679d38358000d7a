"""Measures of what latom's models give, where no library has them in the shape needed."""

from __future__ import annotations

from latom.metrics.ranking import ndcg, recall

__all__ = ["ndcg", "recall"]
