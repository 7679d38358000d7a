"""Seeding: atoms are chosen rows. k-means++, AFK-MC², k-means‖, coresets and weighted draws."""

from __future__ import annotations

from latom.seed.afkmc2 import afkmc2
from latom.seed.coreset import coreset, weighted_sample
from latom.seed.kmeans_parallel import kmeans_parallel
from latom.seed.kmeans_plusplus import kmeans_plusplus, kmeans_plusplus_init

__all__ = [
    "afkmc2",
    "coreset",
    "kmeans_parallel",
    "kmeans_plusplus",
    "kmeans_plusplus_init",
    "weighted_sample",
]
