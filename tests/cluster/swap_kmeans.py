"""A pytest plugin: scikit-learn's tests of k-means find latom's classes in scikit-learn's module."""

from __future__ import annotations

import sklearn.cluster
from plain_minibatch import PlainMiniBatch

import latom
from latom import _core

if not hasattr(_core, "MiniBatch"):
    _core.MiniBatch = PlainMiniBatch
for name in ("KMeans", "MiniBatchKMeans"):
    setattr(sklearn.cluster, name, getattr(latom, name))
