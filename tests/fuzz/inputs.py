"""Random matrices as users bring them: any type, order, storage and scale, and the numbers that they mean."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from fuzzing import pick

PLAIN = ["normal", "whole", "ties", "thin", "same rows", "few rows", "small", "large"]
HARD = ["tiny", "huge", "subnormal", "mixed", "cancel", "zero", "one nan", "one inf"]
TYPES = ["f4", "f4", "f4", "f8", "f8", "f8", ">f4", ">f8", "f2", "i1", "i4", "u8", "?", "g", "O"]
LAYOUTS = ["C", "C", "C", "F", "steps", "backward", "read-only", "unaligned", "list", "tensor"]
FORMATS = [
    "csr",
    "csr",
    "csr",
    "csr_matrix",
    "csr64",
    "unsorted",
    "csc",
    "coo",
    "bsr",
    "lil",
    "dia",
    "explicit",
]


@dataclass
class Rows:
    """A matrix as it is passed, and its numbers in float64; sane if no function may refuse it."""

    X: Any
    exact: np.ndarray
    sane: bool
    kind: str

    @property
    def sparse(self) -> bool:
        return sp.issparse(self.X)

    def parts(self) -> list[np.ndarray]:
        """Copies of the arrays that the caller owns, which no call may change."""
        if sp.issparse(self.X):
            return [
                np.array(getattr(self.X, name))
                for name in ("data", "indices", "indptr")
                if hasattr(self.X, name)
            ]
        return [np.array(self.X)] if not isinstance(self.X, list) else []


def sizes(rng: np.random.Generator) -> tuple[int, int]:
    n = int(rng.integers(1, 30)) if rng.random() < 0.9 else int(rng.integers(30, 700))
    d = int(rng.integers(1, 20)) if rng.random() < 0.9 else int(rng.integers(20, 140))
    return n, d


def rows(
    rng: np.random.Generator,
    shape: tuple[int, int],
    sparse: bool | None = None,
    positive: bool = False,
    hard: float = 0.15,
) -> Rows:
    """A random matrix. sparse: whether it may, must (True) or must not (False) be so."""
    kind = pick(rng, HARD if rng.random() < hard else PLAIN)
    A = values(rng, shape, kind)
    if positive:
        A = np.abs(A)
    as_sparse = rng.random() < 0.45 if sparse is None else sparse
    storage = pick(rng, FORMATS if as_sparse else LAYOUTS)
    types = [t for t in TYPES if t not in ("f2", "g", "O", ">f4", ">f8")] if as_sparse else TYPES
    dtype = np.dtype("f4" if storage == "tensor" else pick(rng, types))
    A = cast(A, dtype)
    X = stored_sparse(rng, A, storage) if as_sparse else stored_dense(A, storage)
    exact = A.astype(np.float64)
    sane = kind in PLAIN and bool((np.abs(exact[exact != 0]) > 1e-30).all())
    return Rows(X, exact, sane, f"{kind} {dtype.str} {storage} {shape}")


def values(rng: np.random.Generator, shape: tuple[int, int], kind: str) -> np.ndarray:
    A = rng.standard_normal(shape)
    if kind == "whole":
        return rng.integers(-3, 4, shape).astype(float)
    if kind == "ties":
        return rng.integers(0, 2, shape).astype(float)
    if kind == "thin":
        return A * (rng.random(shape) < 0.2)
    if kind == "same rows":
        return np.tile(A[:1], (shape[0], 1))
    if kind == "few rows":
        return A[rng.integers(0, min(shape[0], 3), shape[0])]
    scales = {
        "small": 1e-3,
        "large": 1e4,
        "tiny": pick(rng, [1e-30, 1e-38, 1e-120, 1e-160]),
        "subnormal": 1e-42,
    }
    scales |= {"huge": pick(rng, [1e18, 1e30, 1e120, 1e153, 1e200])}
    if kind in scales:
        return A * scales[kind]
    if kind == "mixed":
        return A * 10.0 ** rng.integers(-20, 20, (shape[0], 1))
    if kind == "cancel":
        return A * 1e-6 + 1e5
    if kind == "zero":
        return A * (rng.random((shape[0], 1)) < 0.3)
    if kind in ("one nan", "one inf"):
        A[int(rng.integers(shape[0])), int(rng.integers(shape[1]))] = np.nan if kind == "one nan" else np.inf
    return A


def cast(A: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The numbers in another type, with those that it cannot hold at its limits."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        A = np.clip(np.nan_to_num(A.round(), nan=0.0), max(limits.min, -(2.0**40)), min(limits.max, 2.0**40))
    with np.errstate(all="ignore"):
        return A.astype(dtype)


def stored_dense(A: np.ndarray, storage: str) -> Any:
    if storage == "F":
        return np.asfortranarray(A)
    if storage == "steps":
        return np.repeat(A, 2, axis=1)[:, ::2]
    if storage == "backward":
        return np.ascontiguousarray(A[::-1, ::-1])[::-1, ::-1]
    if storage == "read-only":
        A = A.copy()
        A.flags.writeable = False
        return A
    if storage == "unaligned" and A.dtype.kind != "O":
        return np.frombuffer(b"x" + A.tobytes(), A.dtype, offset=1).reshape(A.shape)
    if storage == "list":
        return A.tolist() if A.dtype.kind != "g" else A
    if storage == "tensor" and "torch" in sys.modules:
        return sys.modules["torch"].from_numpy(np.ascontiguousarray(A))
    return np.ascontiguousarray(A)


def stored_sparse(rng: np.random.Generator, A: np.ndarray, storage: str) -> Any:
    X = sp.csr_array(A)
    if storage == "csr_matrix":
        return sp.csr_matrix(A)
    if storage == "csr64":
        X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    elif storage == "unsorted":
        order = np.concatenate(
            [rng.permutation(np.arange(a, b)) for a, b in zip(X.indptr, X.indptr[1:], strict=False)]
        )
        order = order.astype(np.int64)
        X = sp.csr_array((X.data[order], X.indices[order], X.indptr), shape=A.shape)
    elif storage == "explicit":  # zeros that are stored
        indptr = np.arange(A.shape[0] + 1) * A.shape[1]
        X = sp.csr_array((A.reshape(-1), np.tile(np.arange(A.shape[1]), A.shape[0]), indptr), shape=A.shape)
    elif storage != "csr":
        X = getattr(X, f"to{storage}")()
    return X
