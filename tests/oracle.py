"""Plain statements in numpy float64 of what the core computes, and data to hold it to them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def dense(X):
    return np.asarray(X.todense() if sp.issparse(X) else X, dtype=np.float64)


def scores(X, centers, metric):
    """Decision scores [n, m]: cosines, or minus squared distances."""
    X, C = dense(X), dense(centers)
    if metric == "euclidean":
        return -((X[:, None, :] - C[None, :, :]) ** 2).sum(axis=2)
    x, c = np.linalg.norm(X, axis=1, keepdims=True), np.linalg.norm(C, axis=1, keepdims=True)
    unit_x = np.divide(X, x, out=np.zeros_like(X), where=x > 0)
    unit_c = np.divide(C, c, out=np.zeros_like(C), where=c > 0)
    return unit_x @ unit_c.T


def check_labels(X, centers, labels, metric, tol=1e-12):
    """Labels are the argmax, ties (within rounding) aside."""
    s = scores(X, centers, metric)
    scale = 1.0 if metric == "cosine" else 1 + np.abs(s).max()
    chosen = s[np.arange(len(s)), labels]
    assert (chosen >= s.max(axis=1) - tol * scale).all()


def lloyd(X, centers, metric, n_iter, weights=None):
    """Plain Lloyd with latom's rules but relocation; returns labels and centres after n_iter updates."""
    X, C = dense(X), dense(centers)
    w = np.ones(len(X)) if weights is None else weights
    norm = np.linalg.norm(X, axis=1, keepdims=True)
    rows = np.divide(X, norm, out=np.zeros_like(X), where=norm > 0) if metric == "cosine" else X
    for _ in range(n_iter):
        labels = scores(X, C, metric).argmax(axis=1)
        for j in range(len(C)):
            members = labels == j
            total = (w[members, None] * rows[members]).sum(axis=0)
            length = np.linalg.norm(total) if metric == "cosine" else w[members].sum()
            if length > 0:
                C[j] = total / length
    return scores(X, C, metric).argmax(axis=1), C


def corpus(rng, n, d, topics, signed=False, dtype=np.float32, density=0.1):
    """Sparse rows around `topics` directions: a Zipf-like share of terms, a few of the topic's own."""
    words = max(2, int(density * d))
    share = 1 / np.arange(1, d + 1)
    rows = np.zeros((n, d))
    own = [rng.choice(d, max(1, words // 2), replace=False) for _ in range(topics)]
    for i in range(n):
        common = rng.choice(d, words, p=share / share.sum())
        rows[i, common] += rng.random(words)
        rows[i, own[i % topics]] += rng.random(len(own[0]))
    if signed:
        rows *= rng.choice([-1, 1], size=d)
        rows[rng.random(rows.shape) < 0.05] *= -1
    return sp.csr_array(rows.astype(dtype))
