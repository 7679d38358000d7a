"""Atoms, packed for the search of the best."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from latom._base.arrays import Matrix, as_dense, as_numpy, as_vector
from latom._base.backend import backend
from latom._base.checks import check_integer
from latom._base.csr import csr_of_parts
from latom._base.device import Place
from latom._base.device_select import DeviceAtoms
from latom._base.finite import check_finite, check_held
from latom._base.foreign import is_tensor, refuse_sparse
from latom._base.rows import Rows

ACTIVATIONS = {"relu": "relu", "topk-relu": "relu", "identity": "identity", "abs": "abs"}
"""What :func:`encode` offers, and what the core calls it."""


class Atoms:
    """Atoms with their bias, packed for rows of either float type when first asked for."""

    def __init__(self, rows: NDArray[Any], metric: str) -> None:
        self.rows = rows
        self.bias: NDArray[np.float64] | None = None
        self._metric = metric
        self._indexes: dict[Any, Any] = {}

    def on_device(self, function: str, place: Place, dtype: Any) -> DeviceAtoms:
        """The atoms on a GPU, for rows of a type: prepared once, and kept there for the next call."""
        wide = np.dtype(np.float32 if self.rows.dtype == dtype == np.float32 else np.float64)
        key = (place.module, place.ordinal, wide)
        made = self._indexes.get(key)
        if made is None:
            made = DeviceAtoms(function, place, self.rows, self._metric, self.bias, wide)
            made = self._indexes.setdefault(key, made)
        there: DeviceAtoms = made.at(place)
        return there

    def index(self, context: Any, dtype: Any) -> Any:
        """The core's index of the atoms as float32 or float64, one for all threads: it packs them once."""
        index = self._indexes.get(dtype)
        if index is None:
            atoms = self.rows.astype(dtype, copy=False)
            made = backend().AtomIndex(context, atoms, self.bias, self._metric)
            index = self._indexes.setdefault(dtype, made)
        return index

    def topk(
        self, context: Any, X: Any, k: int, activation: str, pack: bool = False
    ) -> tuple[NDArray[Any], NDArray[np.int32], dict[str, int]]:
        """:func:`topk` of these atoms. pack: keep what a first call prepares for those that follow."""
        X, stack = unstacked(context.function, X)
        index, rows = self._matched(context, X)
        k = check_integer(context.function, "k", k, len(self.rows))
        if pack:
            index.pack(context)
        values, indices, scored, overflowed = index.topk(context, rows.core, k, activation)
        _check_scores(context.function, values[:, :: max(1, k - 1)])  # the first and the last column
        if stack:
            values, indices = values.reshape(*stack, k), indices.reshape(*stack, k)
        return values, indices, {"scored": scored, "overflowed": overflowed}

    def above(self, context: Any, X: Any, threshold: NDArray[np.float64]) -> Matrix:
        """:func:`above` with these atoms."""
        X, stack = unstacked(context.function, X)
        index, rows = self._matched(context, X)
        if threshold.shape not in ((1,), (len(rows),), stack):
            raise ValueError(
                f"{context.function}: threshold must be a number or have shape {stack or (len(rows),)}; got "
                f"shape {threshold.shape}. Pass one number for all rows."
            )
        indptr, indices, values = index.above(context, rows.core, threshold.reshape(-1))
        _check_scores(context.function, values)
        return csr_of_parts(values, indices, indptr, (len(rows), len(self.rows)))

    def _matched(self, context: Any, X: Any) -> tuple[Any, Rows]:
        """An index and rows of one float type: float32 where neither needs more."""
        rows = X if isinstance(X, Rows) else _dense(context.function, X)
        dtype = np.float32 if self.rows.dtype == rows.dtype == np.float32 else np.float64
        return self.index(context, dtype), rows.as_type(context.function, dtype)

    def encode(self, context: Any, X: Any, k: int, activation: str, pack: bool = False) -> Matrix:
        """:func:`encode` with these atoms."""
        values, indices, _ = self.topk(context, X, k, ACTIVATIONS[activation], pack)
        kept = values.shape[-1]
        return as_csr(values.reshape(-1, kept), indices.reshape(-1, kept), len(self.rows))


def _check_scores(function: str, scores: NDArray[Any]) -> None:
    """Refuse scores that float64 holds and float32 does not."""
    check_held(function, "X and atoms", "scores", scores, remedy="Pass X or atoms as float64.")


def unstacked(function: str, X: Any) -> tuple[Any, tuple[int, ...]]:
    """X of three or more dimensions, as tokens have, as rows; and the shape that the rows came in.

    Anything else comes back as it is, with an empty shape.
    """
    if isinstance(X, Rows) or sp.issparse(X) or (isinstance(X, np.ndarray) and X.ndim < 3):
        return X, ()
    if is_tensor(X) and X.is_nested:  # has no shape, and is refused with other types
        return X, ()
    if not hasattr(X, "reshape") and not hasattr(X, "__array__"):  # lists and DLPack
        X = as_numpy(function, X, "X")
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) < 3:
        return X, ()
    return X.reshape(prod(shape[:-1]), shape[-1]), shape[:-1]


def _dense(function: str, X: Any) -> Rows:
    refuse_sparse(function, X)
    return Rows(function, X)


def encoder_atoms(context: Any, W_enc: NDArray[Any], b_enc: Any, b_pre: Any) -> Atoms:
    """The atoms of an encoder, its two biases made one."""
    function = context.function
    table = Atoms(W_enc, "dot")
    table.bias = as_vector(function, "b_enc", b_enc, W_enc.shape[0])
    center = as_vector(function, "b_pre", b_pre, W_enc.shape[1])
    if center is not None:
        table.bias = backend().fold_center(context, W_enc, center, table.bias)
        must = "have finite products with W_enc"
        check_finite(function, "b_pre", table.bias, "Scale b_pre and X down.", must=must, place="with latent")
    return table


def as_atoms(function: str, name: str, atoms: Any) -> NDArray[Any]:
    """Atoms as float32 or float64 rows; half precision is widened."""
    return as_dense(function, atoms, name)


def as_csr(values: NDArray[Any], indices: NDArray[np.int32], m: int) -> Matrix:
    """Entries other than 0 as CSR with sorted columns; padding goes with the zeros."""
    order = np.argsort(indices, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    indices = np.take_along_axis(indices, order, axis=1)
    kept = values != 0
    indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1, dtype=np.int64))))
    return csr_of_parts(values[kept], indices[kept], indptr, (len(values), m))
