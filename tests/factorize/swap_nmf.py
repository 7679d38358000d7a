"""A pytest plugin: scikit-learn's tests of NMF find latom's classes in scikit-learn's module."""

from __future__ import annotations

import sklearn.decomposition

import latom

for name in ("NMF", "MiniBatchNMF", "non_negative_factorization"):
    setattr(sklearn.decomposition, name, getattr(latom, name))
