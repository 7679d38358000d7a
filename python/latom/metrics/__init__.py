"""Metrics: how good codes are."""

from __future__ import annotations

from latom.metrics.codes import cooccurrence, dead_share, fvu, jaccard, l0, mean_max_cosine

__all__ = ["cooccurrence", "dead_share", "fvu", "jaccard", "l0", "mean_max_cosine"]
