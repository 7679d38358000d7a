"""Starting factors: random, or from the leading singular vectors (NNDSVD)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom.factorize.long_steps import LongSteps
from latom.factorize.non_negative_rows import NonNegativeRows
from latom.factorize.singular_vectors import singular_vectors

Array = NDArray[Any]
INITS = ("random", "nndsvd", "nndsvda", "nndsvdar")


def initial_factors(
    products: NonNegativeRows, k: int, init: str | None, rng: np.random.RandomState, verbose: int = 0
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
            f"{products.function}: n_components must be at most the sides of X (init = '{init}' can only be "
            f"used when n_components <= min(n_samples, n_features)); got {k} > {min(n, d)}. Use "
            "init='random'."
        )
    U, S, V = singular_vectors(products, k, rng, LongSteps(products.function, verbose))
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
