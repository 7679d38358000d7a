"""Starting factors: random, or from the leading singular vectors (NNDSVD)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom.factorize.long_steps import LongSteps
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.singular_vectors import singular_vectors

Array = NDArray[Any]
LEAST = 1e-6  # what is below counts as 0
PART = 1 << 15  # numbers that the second cache holds, in float64
INITS = ("random", "nndsvd", "nndsvda", "nndsvdar")


def initial_factors(
    products: NonNegativeRows, k: int, init: str | None, rng: np.random.RandomState, verbose: int = 0
) -> tuple[Array, Array]:
    """W [n, k] and F [d, k] (H transposed) in the dtype of X.

    Boutsidis & Gallopoulos, "SVD based initialization: a head start for nonnegative matrix factorization",
    2008.
    """
    n, d = products.shape
    if init is None:
        init = "nndsvda" if k <= min(n, d) else "random"
    if init == "random":
        scale = np.sqrt(products.mean() / k)
        F = scale * rng.standard_normal((k, d)).astype(products.dtype)
        W = scale * rng.standard_normal((n, k)).astype(products.dtype)
        return np.abs(W).astype(products.dtype), np.ascontiguousarray(np.abs(F).T, products.dtype)
    if k > min(n, d):
        raise ValueError(
            f"{products.function}: n_components must be at most the sides of X (init = '{init}' can only be "
            f"used when n_components <= min(n_samples, n_features)); got {k} > {min(n, d)}. Use "
            "init='random'."
        )
    U, S, V = singular_vectors(products, k, rng, LongSteps(products.function, verbose))
    W, F = _larger_parts(U, S, V)
    if init in ("nndsvda", "nndsvdar"):
        mean = products.mean()
        for A in (W, F):
            if init == "nndsvda":
                for part in _parts(A):
                    A[part][A[part] == 0] = mean
            else:
                zero = A == 0
                A[zero] = np.abs(mean / 100 * rng.standard_normal(int(zero.sum())))
    return W, F


def _parts(A: Array) -> Iterator[slice]:
    """Rows of A by parts that the second cache holds."""
    step = max(1, PART // A.shape[1])
    for first in range(0, len(A), step):
        yield slice(first, first + step)


def _norms(A: Array) -> NDArray[np.float64]:
    """Lengths of the positive and of the negative part of each column [2, k]."""
    squares = np.zeros((2, A.shape[1]))
    for part in _parts(A):
        for square, one in zip(squares, (np.maximum, np.minimum), strict=True):
            square += np.einsum("ij,ij->j", one(A[part], 0), A[part], dtype=np.float64)
    return np.sqrt(squares)


def _larger_parts(U: Array, S: NDArray[np.float64], V: Array) -> tuple[Array, Array]:
    """W and F: of each s u v^T the larger of its two non-negative parts, in the memory of U and V."""
    of_U, of_V = _norms(U), _norms(V)
    products = of_U * of_V
    best = (products[1] >= products[0]).astype(int)
    best[0] = 0
    columns = np.arange(len(S))
    a, b = of_U[best, columns], of_V[best, columns]
    there = a * b > 0
    root = np.sqrt(S * a * b)
    for A, length in ((U, a), (V, b)):
        sign = np.where(best == 0, 1, -1)
        factor = np.divide(sign * root, length, out=np.zeros_like(root), where=there)
        for part in _parts(A):
            rows = A[part]
            first = np.sqrt(S[0]) * np.abs(rows[:, 0])
            rows[...] = np.maximum(rows * factor, 0)
            rows[:, 0] = first
            rows[rows < LEAST] = 0
    return U, V
