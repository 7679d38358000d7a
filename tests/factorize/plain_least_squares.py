"""Alternating least squares in numpy float64, one row's normal equations at a time."""

from __future__ import annotations

import numpy as np


def weights(values, rule, alpha, offsets=None, index=None):
    """(a, b) of stored numbers."""
    if rule == "observed":
        return np.ones(len(values)), values if offsets is None else values - offsets[index]
    c = alpha * values
    return np.abs(c) - (rule == "implicit"), np.maximum(c, 0)


def systems(X, V, rule, alpha, ridge, offsets=None):
    """(A, b, value of x = 0) of each row."""
    X, V = X.tocsr(), np.asarray(V, np.float64)
    G = 0 if rule == "observed" else V.T @ V
    for i in range(X.shape[0]):
        part = slice(X.indptr[i], X.indptr[i + 1])
        index = X.indices[part]
        a, b = weights(X.data[part].astype(np.float64), rule, alpha, offsets, index)
        A = (V[index].T * a) @ V[index] + G + ridge[i] * np.eye(V.shape[1])
        yield A, V[index].T @ b, float((b**2 if rule == "observed" else b).sum())


def half_step(X, V, rule, alpha, ridge, offsets=None):
    """Solutions of all rows and the sum of their minima."""
    rows, value = [], 0.0
    for A, b, zero in systems(X, V, rule, alpha, ridge, offsets):
        rows.append(np.linalg.solve(A, b) if b.any() else np.zeros(len(b)))
        value += zero - rows[-1] @ b
    return np.array(rows), value


def gradients(A, b, x, steps, H=None):
    """Conjugate gradients from x, preconditioned with H."""
    towards = (lambda r: r) if H is None else (lambda r: np.linalg.solve(H, r))
    r = b - A @ x
    p = z = towards(r)
    rho = r @ z
    for _ in range(steps):
        q = A @ p
        length = rho / (p @ q)
        x, r = x + length * p, r - length * q
        z = towards(r)
        rho, before = r @ z, rho
        p = z + rho / before * p
    return x


def objective(X, U, V, rule, alpha, left, right):
    """What is minimized, term by term over all entries."""
    X, U, V = X.tocsr(), np.asarray(U, np.float64), np.asarray(V, np.float64)
    total = left @ (U**2).sum(1) + right @ (V**2).sum(1)
    said = U @ V.T
    if rule != "observed":
        total += (said**2).sum()
    for i in range(X.shape[0]):
        part = slice(X.indptr[i], X.indptr[i + 1])
        a, b = weights(X.data[part].astype(np.float64), rule, alpha)
        y = said[i, X.indices[part]]
        total += (a * y**2 - 2 * b * y + (b**2 if rule == "observed" else b)).sum()
    return total


def block_epoch(X, U, V, rule, alpha, left, right, width):
    """One pass of iALS++: blocks of coordinates, users and items in turn."""
    U, V = np.array(U, np.float64), np.array(V, np.float64)
    for first in range(0, U.shape[1], width):
        block = slice(first, first + width)
        for matrix, own, other, ridge in ((X, U, V, left), (X.T, V, U, right)):
            for i, (A, b, _) in enumerate(systems(matrix, other, rule, alpha, ridge)):
                if b.any() or matrix.tocsr()[[i]].nnz:
                    own[i, block] -= np.linalg.solve(A[block, block], (A @ own[i] - b)[block])
                else:
                    own[i] = 0
    return U, V
