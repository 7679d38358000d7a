"""Plain statements in numpy float64 of what the core computes, and data to hold it to them."""

from __future__ import annotations

import hashlib

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
    """Plain Lloyd with latom's rules but relocation; returns labels and centers after n_iter updates."""
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


def random_rows(rng, n, d, density, dtype=np.float64):
    """CSR with int32 indices, whose entries lie anywhere and are uniform in [0, 1), by any SciPy."""
    at = rng.choice(n * d, round(density * n * d), replace=False)
    row, column = np.divmod(at, d)
    return sp.csr_array((rng.random(len(at), dtype), (row.astype(np.int32), column.astype(np.int32))), (n, d))


def eight_sums(X, Y):
    """<x_i, y_j> [n, m] in float64, summed as csrc/kernels/dot.inl.h does: term p in partial sum p mod 8."""
    d = X.shape[1]
    wide = [
        np.zeros((len(v), -(-d // 8) * 8)) for v in (X, Y)
    ]  # a partial sum is never -0: +0 changes nothing
    for padded, v in zip(wide, (X, Y), strict=True):
        padded[:, :d] = v
    Xt, Yt = (np.ascontiguousarray(v.T) for v in wide)
    out = np.empty((len(X), len(Y)))
    step = max(1, (1 << 14) // max(1, len(Y)))  # what stays in cache
    for i in range(0, len(X), step):
        s = np.zeros((8, len(X[i : i + step]), len(Y)))
        for p in range(0, d, 8):
            s += Xt[p : p + 8, i : i + step, None] * Yt[p : p + 8, None, :]
        out[i : i + step] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
    return out


_known = {}
_last = {}  # the products asked for last


def products(X, Y):
    """eight_sums, which is symmetric, once for all metrics."""
    key = hashlib.blake2b(f"{X.dtype}{X.shape}{Y.dtype}{Y.shape}".encode())
    for v in (X, Y):
        key.update(np.ascontiguousarray(v).data)
    key = key.digest()
    if key not in _last:
        out = np.empty((len(X), len(Y)))
        for i in range(0, len(X), 256) if X is Y else ():
            out[i : i + 256, i:] = eight_sums(X[i : i + 256], Y[i:])
            out[i:, i : i + 256] = out[i : i + 256, i:].T
        _last.clear()
        _last[key] = out if X is Y else eight_sums(X, Y)
    return _last[key].copy()


def topk_model(X, atoms, k, bias=None, metric="dot", activation="identity"):
    """topk_plain, computed once for all variants of the kernels that are held to it."""
    key = hashlib.blake2b(f"{X.dtype}{X.shape}{atoms.dtype}{atoms.shape}{k}{metric}{activation}".encode())
    for part in (X, atoms, () if bias is None else bias):
        key.update(np.ascontiguousarray(part).data)
    if key.digest() not in _known:
        if len(_known) > 4000:
            _known.clear()
        _known[key.digest()] = topk_plain(X, atoms, k, bias, metric, activation)
    return _known[key.digest()]


def topk_plain(X, atoms, k, bias=None, metric="dot", activation="identity"):
    """(values [n, k], indices [n, k]) as csrc/include/latom/encode.h defines them, bit by bit."""
    norm2 = np.array([eight_sums(x[None], x[None])[0, 0] for x in X]) if metric != "dot" else np.zeros(len(X))
    atom2 = np.array([eight_sums(w[None], w[None])[0, 0] for w in atoms]) if metric != "dot" else None
    score = products(X, atoms)
    if metric == "cosine":
        score *= np.divide(1.0, np.sqrt(atom2), out=np.zeros_like(atom2), where=atom2 > 0)
    if metric == "euclidean":
        score = score + -0.5 * atom2
    if bias is not None:
        score = score + bias
    key = np.abs(score) if activation == "abs" else score
    order = np.argsort(-key, axis=1, kind="stable")[:, :k]
    value = np.take_along_axis(score, order, axis=1)
    if metric == "cosine":
        value = np.clip(
            value * np.divide(1, np.sqrt(norm2), out=np.zeros_like(norm2), where=norm2 > 0)[:, None], -1, 1
        )
    if metric == "euclidean":
        value = np.minimum(0.0, 2 * value - norm2[:, None])
    none = (value <= 0) if activation == "relu" else np.zeros(value.shape, bool)
    value = np.where(none, 0.0, value)
    return value.astype(atoms.dtype), np.where(none, 0, order).astype(np.int32)
