"""Starting factors: random, or from the leading singular vectors (NNDSVD)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom import _core
from latom._base.row_blocks import RowBlocks
from latom._base.rows import Products

Array = NDArray[Any]
INITS = ("random", "nndsvd", "nndsvda", "nndsvdar")


def initial_factors(
    products: Products, k: int, init: str | None, rng: np.random.RandomState
) -> tuple[Array, Array]:
    """W [n, k] and F [d, k] (H transposed) in the dtype of X.

    Boutsidis & Gallopoulos, "SVD based initialization: a head start for nonnegative matrix factorization",
    2008.
    """
    n, d = products.shape
    scale = np.sqrt(products.mean() / k)
    if init is None:
        init = "nndsvda" if k <= min(n, d) else "random"
    if init == "random":
        F = scale * rng.standard_normal((k, d)).astype(products.dtype)
        W = scale * rng.standard_normal((n, k)).astype(products.dtype)
        return np.abs(W).astype(products.dtype), np.ascontiguousarray(np.abs(F).T, products.dtype)
    if k > min(n, d):
        raise ValueError(
            f"{products.function}: init = '{init}' can only be used when n_components <= "
            f"min(n_samples, n_features); got {k} > {min(n, d)}. Use init='random'."
        )
    U, S, V = truncated_svd(products, k, rng)
    W, F = np.zeros((n, k), products.dtype), np.zeros((d, k), products.dtype)
    W[:, 0], F[:, 0] = (np.sqrt(S[0]) * np.abs(A[:, 0]) for A in (U, V))
    for j in range(1, k):
        # The larger of the two non-negative parts of s u v^T.
        parts = [(np.maximum(sign * U[:, j], 0), np.maximum(sign * V[:, j], 0)) for sign in (1, -1)]
        norms = [(np.linalg.norm(u), np.linalg.norm(v)) for u, v in parts]
        best = int(norms[1][0] * norms[1][1] >= norms[0][0] * norms[0][1])
        (u, v), (a, b) = parts[best], norms[best]
        if a * b > 0:
            root = np.sqrt(S[j] * a * b)
            W[:, j], F[:, j] = root * u / a, root * v / b
    least, mean = 1e-6, products.mean()
    for A in (W, F):
        A[least > A] = 0
        if init == "nndsvda":
            A[A == 0] = mean
        elif init == "nndsvdar":
            zero = A == 0
            A[zero] = np.abs(mean / 100 * rng.standard_normal(int(zero.sum())))
    return W, F


def truncated_svd(
    products: Products | RowBlocks, k: int, rng: np.random.RandomState
) -> tuple[Array, Array, Array]:
    """U [n, k], S [k], V [d, k] of the leading singular triplets, by a randomized range finder.

    Halko, Martinsson & Tropp, "Finding structure with randomness", 2011: ten more columns than asked for, and
    four (seven for few components) power iterations, each orthonormalised through its Gram matrix.
    """
    n, d = products.shape
    width = min(k + 10, n, d)
    iterations = 7 if k < 0.1 * min(n, d) else 4
    Y = products.times(rng.standard_normal((d, width)).astype(products.dtype))
    for _ in range(iterations):
        Z = products.transposed_times(_orthonormal(Y, products.n_threads))
        Y = products.times(_orthonormal(Z, products.n_threads))
    Q = _orthonormal(_orthonormal(Y, products.n_threads), products.n_threads)
    Z = products.transposed_times(Q)  # X is about Q Z^T
    values, vectors = np.linalg.eigh(_core.gram(Z, products.n_threads))
    order = np.argsort(-values)[:k]
    S = np.sqrt(np.maximum(values[order], 0))
    vectors = vectors[:, order]
    inverse = np.divide(1, S, out=np.zeros_like(S), where=1e-7 * S[0] < S)
    U, V = Q @ vectors.astype(Q.dtype), Z @ (vectors * inverse).astype(Z.dtype)
    # A sign that does not depend on how the SVD was found.
    sign = np.sign(U[np.abs(U).argmax(axis=0), np.arange(len(order))])
    return U * sign, S.astype(Q.dtype), V * sign


def _orthonormal(Y: Array, n_threads: int) -> Array:
    """Columns that span those of Y; columns of no length become 0.

    Nearly orthonormal, which is what a power iteration needs; a second time repairs what the Gram matrix
    lost to its condition.
    """
    values, vectors = np.linalg.eigh(_core.gram(Y, n_threads))
    least = values[-1] * np.finfo(Y.dtype).eps
    inverse = np.divide(1, np.sqrt(np.abs(values)), out=np.zeros_like(values), where=values > max(least, 0))
    return Y @ (vectors * inverse).astype(Y.dtype)
