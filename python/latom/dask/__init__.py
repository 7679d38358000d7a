"""Estimators and functions on dask arrays: rows stay on the workers that hold them.

Needs dask and distributed (``pip install latom[dask]``). Imported when asked for: ``import latom.dask``.
"""

from __future__ import annotations

from latom.dask.functions import assign, encode, half_step, topk
from latom.dask.kmeans import KMeans, MiniBatchKMeans, SphericalKMeans

__all__ = ["KMeans", "MiniBatchKMeans", "SphericalKMeans", "assign", "encode", "half_step", "topk"]
