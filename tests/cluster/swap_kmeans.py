"""A pytest plugin: scikit-learn's tests of k-means find latom's classes in scikit-learn's module."""

from __future__ import annotations

import sklearn.cluster

import latom

for name in ("KMeans", "MiniBatchKMeans"):
    setattr(sklearn.cluster, name, getattr(latom, name))
