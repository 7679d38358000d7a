"""Codes that semi-NMF starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latom._base.rows import Rows
from latom.cluster.assign import assign_rows
from latom.cluster.kmeans import KMeans
from latom.factorize.long_steps import LongSteps
from latom.factorize.row_blocks import RowBlocks
from latom.factorize.singular_vectors import singular_vectors

LEAST_CODE = 1e-6  # multiplicative updates cannot leave 0
KMEANS_ROWS, KMEANS_ITERATIONS = 50_000, 15


def initial_codes(
    function: str, blocks: RowBlocks, k: int, init: str, rng: np.random.Generator, verbose: int = 0
) -> NDArray[Any]:
    """Codes [n, k] of at least LEAST_CODE; init "random", "svd" or "kmeans" as in SemiNMF."""
    if init == "random":
        codes: NDArray[Any] = rng.random((blocks.n, k), dtype=blocks.dtype)
        np.maximum(codes, blocks.dtype.type(LEAST_CODE), out=codes)
        return codes
    if init == "svd":
        return _from_svd(function, blocks, k, rng, verbose)
    return _from_kmeans(function, blocks, k, rng, verbose)


def _from_svd(
    function: str, blocks: RowBlocks, k: int, rng: np.random.Generator, verbose: int
) -> NDArray[Any]:
    """The positive part of U sqrt(S), from a randomized SVD."""
    n, d = blocks.shape
    if k > min(n, d):
        raise ValueError(
            f"{function}: n_components must be at most min(n, d) = {min(n, d)} with init='svd'; got {k}. "
            "Use init='random'."
        )
    own, say = np.random.RandomState(rng.integers(2**32)), LongSteps(function, verbose)
    left, values, _ = singular_vectors(blocks, k, own, say)
    U = left * np.sqrt(values).astype(left.dtype)
    positive = np.einsum("ij,ij->j", np.maximum(U, 0), U)
    U *= np.where(2 * positive >= np.einsum("ij,ij->j", U, U), 1, -1).astype(U.dtype)
    codes: NDArray[Any] = np.maximum(U, U.dtype.type(LEAST_CODE), out=U)
    return codes


def _from_kmeans(
    function: str, blocks: RowBlocks, k: int, rng: np.random.Generator, verbose: int
) -> NDArray[Any]:
    """1 for the nearest center; centers from at most KMEANS_ROWS rows."""
    rows = blocks.sample(KMEANS_ROWS, rng)
    if k > len(rows):
        raise ValueError(
            f"{function}: n_components must be at most the number of rows, n_samples={len(rows)}, with "
            f"init='kmeans'; got {k}. Use init='random'."
        )
    n_threads = blocks.context.n_threads or None
    model = KMeans(k, max_iter=KMEANS_ITERATIONS, random_state=rng, n_threads=n_threads, verbose=verbose)
    centers = model.fit(rows).cluster_centers_
    codes = np.full((blocks.n, k), LEAST_CODE, blocks.dtype)
    for part, block in blocks:
        labels = assign_rows(function, Rows(function, block), centers, "euclidean", n_threads)[0]
        codes[np.arange(part.start, part.stop), labels] = 1
    return codes
