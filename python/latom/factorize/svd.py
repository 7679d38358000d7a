"""Leading singular vectors, by a randomized range finder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend
from latom._base.row_blocks import RowBlocks
from latom._base.rows import NonNegativeRows

Array = NDArray[Any]


def truncated_svd(
    products: NonNegativeRows | RowBlocks, k: int, rng: np.random.RandomState
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
    values, vectors = np.linalg.eigh(backend().gram(Z, products.n_threads))
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
    values, vectors = np.linalg.eigh(backend().gram(Y, n_threads))
    least = values[-1] * np.finfo(Y.dtype).eps
    inverse = np.divide(1, np.sqrt(np.abs(values)), out=np.zeros_like(values), where=values > max(least, 0))
    basis: Array = Y @ (vectors * inverse).astype(Y.dtype)
    return basis
