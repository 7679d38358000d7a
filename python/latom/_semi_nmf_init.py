"""Codes that semi-NMF starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._row_blocks import RowBlocks
from latom.assignment import assign_rows
from latom.cluster import KMeans

LEAST_CODE = 1e-6  # multiplicative updates cannot leave 0
KMEANS_ROWS, KMEANS_ITERATIONS = 50_000, 15
POWERS, BEYOND = 4, 10  # of the range finder: power iterations, columns beyond k


def initial_codes(
    function: str, blocks: RowBlocks, k: int, init: str, rng: np.random.Generator, threads: int
) -> NDArray[Any]:
    """Codes [n, k] of at least LEAST_CODE; init "random", "svd" or "kmeans" as in SemiNMF."""
    if init == "random":
        return np.maximum(rng.random((blocks.n, k), dtype=blocks.dtype), blocks.dtype.type(LEAST_CODE))
    if init == "svd":
        return _from_svd(function, blocks, k, rng)
    return _from_kmeans(function, blocks, k, rng, threads)


def _from_svd(function: str, blocks: RowBlocks, k: int, rng: np.random.Generator) -> NDArray[Any]:
    """The positive part of U sqrt(S), by 2 POWERS + 2 passes (Halko, Martinsson & Tropp 2011)."""
    n, d = blocks.n, blocks.d
    if k > min(n, d):
        raise ValueError(
            f"{function}: n_components must be at most min(n, d) = {min(n, d)} with init='svd'; got {k}. "
            "Use init='random'."
        )
    size = min(k + BEYOND, n, d)
    basis = rng.standard_normal((d, size), dtype=np.float32).astype(blocks.dtype)
    for _ in range(POWERS):
        Y = np.linalg.qr(blocks.multiply(basis))[0]
        basis = np.linalg.qr(blocks.multiply_transposed(Y))[0].astype(blocks.dtype)
    Y = np.linalg.qr(blocks.multiply(basis))[0]
    left, values, _ = np.linalg.svd(blocks.multiply_transposed(Y).T, full_matrices=False)
    U = Y @ (left[:, :k] * np.sqrt(values[:k])).astype(blocks.dtype)
    positive = np.einsum("ij,ij->j", np.maximum(U, 0), U)
    U *= np.where(2 * positive >= np.einsum("ij,ij->j", U, U), 1, -1).astype(U.dtype)
    return np.maximum(U, U.dtype.type(LEAST_CODE), out=U)


def _from_kmeans(
    function: str, blocks: RowBlocks, k: int, rng: np.random.Generator, threads: int
) -> NDArray[Any]:
    """1 for the nearest centre; centres from at most KMEANS_ROWS rows."""
    rows = blocks.sample(KMEANS_ROWS, rng)
    if k > len(rows):
        raise ValueError(
            f"{function}: n_components must be at most the number of rows, n_samples={len(rows)}, with "
            f"init='kmeans'; got {k}. Use init='random'."
        )
    centers = KMeans(
        k, max_iter=KMEANS_ITERATIONS, random_state=rng, n_threads=threads or None
    ).fit(rows).cluster_centers_  # fmt: skip
    codes = np.full((blocks.n, k), LEAST_CODE, blocks.dtype)
    for part, block in blocks:
        labels = assign_rows(function, block, centers, "euclidean", threads or None)[0]
        codes[np.arange(part.start, part.stop), labels] = 1
    return codes
