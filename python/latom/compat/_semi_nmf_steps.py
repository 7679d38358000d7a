"""Steps of semi-NMF on rows in memory: X [n, d] ~ G H with codes G [n, k] >= 0 and components H [k, d]."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend, call
from latom._base.rows import Rows
from latom.factorize.semi_nmf import SemiNMF

Array = NDArray[Any]


def measured(name: str, X: Any, d: int | None = None) -> tuple[Array, float]:
    """Dense rows as float32 or float64, and the sum of their squares."""
    rows = Rows(name, X)
    if rows.sparse:
        raise TypeError(f"{name}: X must be dense; got {type(X).__name__}. Pass X.toarray().")
    if d is not None and rows.shape[1] != d:
        raise ValueError(
            f"{name}: X must have the {d} columns of the components; got {rows.shape[1]}. Pass rows of that "
            "width."
        )
    return rows.numbers, float(rows.core.norm2(call(name)).sum())


def swept(name: str, X: Array, G: Array, H: Array, sweeps: int, inner_tol: float) -> Array:
    """G after sweeps over its coordinates toward the least ||X - G H||."""
    wide = H.astype(np.float64)
    G = np.array(G, X.dtype, order="C")
    backend().coordinate_sweep(call(name), wide @ wide.T, X @ H.T, G, 0.0, sweeps, inner_tol)
    return G


def solved(X: Array, H: Array) -> Array:
    """The best codes for components that stay."""
    model = SemiNMF(len(H))
    model.components_, model.n_features_in_ = H, H.shape[1]
    return model.transform(X)


def multiplied(X: Array, G: Array, H: Array, sparsity: float) -> Array:
    """G sqrt((P+ + G Q-) / (P- + G Q+ + sparsity)) with P = X H^T and Q = H H^T (Ding, Li & Jordan)."""
    P, Q = X @ H.T, H @ H.T
    top = np.maximum(P, 0) + G @ np.maximum(-Q, 0)
    bottom = np.maximum(-P, 0) + G @ np.maximum(Q, 0) + X.dtype.type(sparsity)
    codes: Array = G * np.sqrt(top / bottom)
    return codes


def least_squares(name: str, X: Array, G: Array) -> Array:
    """H of the least ||X - G H||; of all such the shortest."""
    gram = backend().gram(call(name), G)
    H: Array = np.linalg.pinv(gram, hermitian=True) @ (G.T @ X).astype(np.float64)
    return H.astype(X.dtype)


def error(name: str, X: Array, G: Array, H: Array, squares: float) -> float:
    """||X - G H||, entry by entry where the Gram matrices would lose it."""
    wide = H.astype(np.float64)
    cross = float(np.einsum("ij,ij->", (G.T @ X).astype(np.float64), wide))
    loss = (
        squares
        - 2 * cross
        + float(np.sum(backend().gram(call(name), np.ascontiguousarray(G)) * (wide @ wide.T)))
    )
    if loss < 1e-3 * squares:
        return float(np.linalg.norm(X - G @ H))
    return sqrt(loss)
