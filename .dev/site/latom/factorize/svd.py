"""Leading singular vectors, by a randomized range finder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.backend import backend
from latom.factorize.long_steps import LongSteps
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.product_in_parts import product_in_parts
from latom.factorize.row_blocks import RowBlocks

Array = NDArray[Any]


def truncated_svd(
    products: NonNegativeRows | RowBlocks, k: int, rng: np.random.RandomState, say: LongSteps
) -> tuple[Array, Array, Array]:
    """U [n, k], S [k], V [d, k] of the leading singular triplets, by a randomized range finder.

    Halko, Martinsson & Tropp, "Finding structure with randomness", 2011: ten more columns than asked for, and
    four (seven for few components) power iterations, each orthonormalized through its Gram matrix.
    """
    n, d = products.shape
    width = min(k + 10, n, d)
    iterations = 7 if k < 0.1 * min(n, d) else 4
    Y = products.times(rng.standard_normal((d, width)).astype(products.dtype))
    for done in range(iterations):
        say(f"power iteration {done + 1} of {iterations} for the singular vectors to start from")
        Z = products.transposed_times(_orthonormal(products.context, Y))
        Y = products.times(_orthonormal(products.context, Z))
    Q = _orthonormal(products.context, _orthonormal(products.context, Y))
    Z = products.transposed_times(Q)  # X is about Q Z^T
    values, vectors = np.linalg.eigh(backend().gram(products.context, Z))
    order = np.argsort(-values)[:k]
    S = np.sqrt(np.maximum(values[order], 0))
    vectors = vectors[:, order]
    inverse = np.divide(1, S, out=np.zeros_like(S), where=1e-7 * S[0] < S)
    U = product_in_parts(Q, vectors.astype(Q.dtype))
    V = product_in_parts(Z, (vectors * inverse).astype(Z.dtype))
    # A sign that does not depend on how the SVD was found.
    sign = np.sign(U[np.abs(U).argmax(axis=0), np.arange(len(order))])
    return U * sign, S.astype(Q.dtype), V * sign


def _orthonormal(context: Any, Y: Array) -> Array:
    """Columns that span those of Y; columns of no length become 0.

    Nearly orthonormal, which is what a power iteration needs; a second time repairs what the Gram matrix
    lost to its condition.
    """
    values, vectors = np.linalg.eigh(backend().gram(context, Y))
    least = values[-1] * np.finfo(Y.dtype).eps
    inverse = np.divide(1, np.sqrt(np.abs(values)), out=np.zeros_like(values), where=values > max(least, 0))
    return product_in_parts(Y, (vectors * inverse).astype(Y.dtype))
