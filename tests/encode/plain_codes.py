"""What top-k and codes must be, in numpy float64: the statements that tests of this folder share."""

from __future__ import annotations

import numpy as np


def scores(X, atoms, metric="dot", bias=None):
    """Scores [n, m] in float64."""
    X, W = np.asarray(X, np.float64), np.asarray(atoms, np.float64)
    if metric == "euclidean":
        return -((X[:, None] - W[None]) ** 2).sum(axis=2)
    S = X @ W.T
    if metric == "cosine":
        lengths = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(W, axis=1)
        return np.divide(S, lengths, out=np.zeros_like(S), where=lengths > 0)
    return S if bias is None else S + bias


def best(S, k, activation="identity"):
    """(values, indices), highest first, the lowest index among equals; padding is value 0, index 0."""
    key = np.abs(S) if activation == "abs" else S
    index = np.argsort(-key, axis=1, kind="stable")[:, :k]
    value = np.take_along_axis(S, index, axis=1)
    if activation == "relu":
        value, index = np.where(value > 0, value, 0), np.where(value > 0, index, 0)
    return value, index


def dense_codes(value, index, m):
    out = np.zeros((len(value), m), value.dtype)
    for i in range(len(value)):
        kept = value[i] != 0
        out[i, index[i, kept]] = value[i, kept]
    return out


def whole(rng, n, d, dtype=np.float32, low=-8, high=9):
    """Small integers: every sum is exact, so ties are ties in any order of summation."""
    return rng.integers(low, high, (n, d)).astype(dtype)
