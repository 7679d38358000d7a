"""Rows in blocks of given lengths, and fits that must have the same bits."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from oracle import corpus

import latom

KINDS = {"cosine": latom.SphericalKMeans, "euclidean": latom.KMeans}


class Cuts:
    """Blocks of given lengths."""

    def __init__(self, X, cuts):
        self.X, self.cuts = X, [0, *cuts, X.shape[0]]

    def __iter__(self):
        for a, b in zip(self.cuts[:-1], self.cuts[1:], strict=True):
            yield self.X[a:b]


def rows(sparse, dtype, n=700, seed=0):
    rng = np.random.default_rng(seed)
    if sparse:
        return corpus(rng, n, 90, 9, True, dtype)
    return rng.normal(size=(n, 19)).astype(dtype) + rng.integers(0, 3, (n, 1)).astype(dtype)


def same(a, b):
    for name in ("labels_", "cluster_centers_"):
        x, y = getattr(a, name), getattr(b, name)
        if sp.issparse(x):
            assert np.array_equal(x.indptr, y.indptr)
            assert np.array_equal(x.indices, y.indices)
            x, y = x.data, y.data
        assert x.dtype == y.dtype
        assert np.array_equal(x, y), name
    assert a.inertia_ == b.inertia_
    assert a.n_iter_ == b.n_iter_
    for field in ("objective", "changed", "moved"):
        assert np.array_equal(a.history_[field], b.history_[field]), field
