"""A pytest plugin: scikit-learn's tests find latom.compat.sklearn in scikit-learn's modules."""

from __future__ import annotations

import sklearn.cluster
import sklearn.decomposition
from sklearn.decomposition import _nmf

from latom.compat import sklearn as compat

for module, names in (
    (sklearn.cluster, ("KMeans", "MiniBatchKMeans", "kmeans_plusplus")),
    (
        sklearn.decomposition,
        ("NMF", "MiniBatchNMF", "SparseCoder", "TruncatedSVD", "non_negative_factorization"),
    ),
    (_nmf, ("_initialize_nmf",)),
):
    for name in names:
        setattr(module, name, getattr(compat, name))
