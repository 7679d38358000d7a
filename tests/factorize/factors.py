"""Matrices with known factors, and starts."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def planted(n=300, d=40, k=4, noise=0.05, seed=0, dtype=np.float64):
    """Rows made of k signed components with sparse non-negative codes."""
    rng = np.random.default_rng(seed)
    codes = rng.random((n, k)) * (rng.random((n, k)) < 0.5)
    return (codes @ rng.standard_normal((k, d)) + noise * rng.standard_normal((n, d))).astype(dtype)


def matrix(rng, n=120, d=50, dtype="float64", sparse=False, rank=6):
    X = rng.random((n, rank)) @ rng.random((rank, d)) + 0.5 * rng.random((n, d))
    if sparse:
        X[rng.random(X.shape) < 0.7] = 0
        return sp.csr_array(X.astype(dtype))
    return X.astype(dtype)


def start(rng, X, k):
    n, d = X.shape
    return {"W": rng.random((n, k)).astype(X.dtype), "H": rng.random((k, d)).astype(X.dtype)}
