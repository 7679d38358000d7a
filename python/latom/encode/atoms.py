"""Atoms, packed for the search of the best."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_stored, as_vector, widen
from latom._base.backend import backend
from latom._base.checks import check_integer, check_threads

ACTIVATIONS = {"relu": "relu", "topk-relu": "relu", "identity": "identity", "abs": "abs"}
"""What :func:`encode` offers, and what the core calls it."""


class Atoms:
    """Atoms with their bias, packed for rows of either float type when first asked for."""

    def __init__(self, function: str, rows: NDArray[Any], metric: str, n_threads: int | None) -> None:
        self.rows = rows
        self.bias: NDArray[np.float64] | None = None
        self._metric = metric
        self._threads = check_threads(function, n_threads)
        self._indexes: dict[Any, Any] = {}

    def index(self, function: str, dtype: Any) -> Any:
        """The core's index of the atoms as float32 or float64; made once."""
        if dtype not in self._indexes:
            atoms = self.rows.astype(dtype, copy=False)
            self._indexes[dtype] = backend().AtomIndex(
                atoms, self.bias, self._metric, "auto", self._threads, function
            )
        return self._indexes[dtype]

    def topk(
        self, function: str, X: Any, k: int, activation: str, n_threads: int | None, pack: bool = False
    ) -> tuple[NDArray[Any], NDArray[np.int32], dict[str, int]]:
        """:func:`topk` of these atoms. pack: keep what a first call prepares for those that follow."""
        index, rows, storage = self._matched(function, X)
        k = check_integer(function, "k", k, len(self.rows))
        threads = check_threads(function, n_threads)
        if pack:
            index.pack(threads, function)
        values, indices, scored, crowded = index.topk(rows, storage, k, activation, threads, function)
        return values, indices, {"scored": scored, "crowded": crowded}

    def above(self, function: str, X: Any, threshold: float, n_threads: int | None) -> Matrix:
        """:func:`above` with these atoms."""
        index, rows, storage = self._matched(function, X)
        threads = check_threads(function, n_threads)
        indptr, indices, values = index.above(rows, storage, threshold, threads, function)
        width = np.int32 if indptr[-1] < 2**31 else np.int64
        parts = (values, indices.astype(width, copy=False), indptr.astype(width))
        return sp.csr_array(parts, shape=(len(rows), len(self.rows)))

    def _matched(self, function: str, X: Any) -> tuple[Any, NDArray[Any], str]:
        """An index and rows of one float type, float32 where neither needs more; how the rows are stored."""
        rows, storage = as_stored(function, X)
        if self.rows.dtype == np.float32 and (storage or rows.dtype == np.float32):
            return self.index(function, np.float32), rows, storage
        return self.index(function, np.float64), widen(rows, storage).astype(np.float64, copy=False), ""

    def encode(
        self, function: str, X: Any, k: int, activation: str, n_threads: int | None, pack: bool = False
    ) -> Matrix:
        """:func:`encode` with these atoms."""
        values, indices, _ = self.topk(function, X, k, ACTIVATIONS[activation], n_threads, pack)
        return _as_csr(values, indices, len(self.rows))


def encoder_atoms(function: str, W_enc: NDArray[Any], b_enc: Any, b_pre: Any, n_threads: int | None) -> Atoms:
    """The atoms of an encoder, its two biases made one."""
    table = Atoms(function, W_enc, "dot", n_threads)
    table.bias = as_vector(function, "b_enc", b_enc, W_enc.shape[0])
    center = as_vector(function, "b_pre", b_pre, W_enc.shape[1])
    if center is not None:
        table.bias = backend().fold_center(
            W_enc, center, table.bias, check_threads(function, n_threads), function
        )
    return table


def as_atoms(function: str, name: str, atoms: Any) -> NDArray[Any]:
    """Atoms as float32 or float64 rows; half precision is widened."""
    return widen(*as_stored(function, atoms, name))


def _as_csr(values: NDArray[Any], indices: NDArray[np.int32], m: int) -> Matrix:
    """Entries other than 0 as CSR with sorted columns; padding goes with the zeros."""
    order = np.argsort(indices, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    indices = np.take_along_axis(indices, order, axis=1)
    kept = values != 0
    indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1, dtype=np.int64))))
    width = np.int32 if indptr[-1] < 2**31 else np.int64
    parts = (values[kept], indices[kept].astype(width, copy=False), indptr.astype(width))
    return sp.csr_array(parts, shape=(len(values), m))
